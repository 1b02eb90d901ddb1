"""What README and docs say of accounts, as far as a machine can tell."""

from tests.test_docs import PAGES, imports, unproved


def test_what_is_said_of_accounts_to_be_safe_has_a_proof() -> None:
    """Every id in the last column of their table stands in a test."""
    assert unproved("Met by accounts") == set()


def test_an_example_imports_what_accounts_have() -> None:
    """A1: every name that an example takes from them, on whatever page."""
    found = [each for page in PAGES for each in imports(page)]
    of_accounts = [statement for module, statement in found if module.startswith("myapp.accounts")]
    assert of_accounts
    for statement in of_accounts:
        exec(statement)
