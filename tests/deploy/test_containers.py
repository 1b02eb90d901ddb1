"""The Dockerfile and the compose file, held against the project and against each other."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
import yaml

from harness.processes import ROOT
from myapp.environment import variable_for
from tests.deploy.dockerfile import FOLDER, steps
from tests.test_docs import DELETED
from tests.test_settings_are_documented import SETTINGS

COMPOSE = FOLDER / "compose.yaml"
PAGE = ROOT / "docs" / "how-to" / "containers.md"
CADDYFILE = ROOT / "deploy" / "caddy" / "Caddyfile"
# Of what runs beside the database itself.
OTHERS = ("SITE", "SERVERS", "POSTGRES_USER", "POSTGRES_PASSWORD")


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    """The services of the compose file."""
    services: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text("utf-8"))["services"]
    return services


def test_what_is_copied_into_the_image_exists_and_is_sent_to_the_builder() -> None:
    """V4: each file and folder of the Dockerfile is an exception of its .dockerignore."""
    sent = (FOLDER / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    copied = [
        step.text.split()[:-1] for step in steps() if step.name == "COPY" and not step.options
    ]
    names = {name for words in copied for name in words}
    assert all((ROOT / name).exists() for name in names)
    assert {f"!{name}" for name in names} == {line for line in sent if line.startswith("!")}


def test_the_image_installs_what_is_locked_and_runs_without_rights() -> None:
    """O2: hashes are asked for, and the last user is not root."""
    found = list(steps())
    (install,) = (
        step.text for step in found if "requirements.txt" in step.text and step.name == "RUN"
    )
    assert {"--require-hashes", "--no-deps"} <= set(install.split())
    *_, user = (step.text for step in found if step.name == "USER")
    assert int(user) > 0


def test_the_image_changes_lines_that_production_ini_has() -> None:
    """C2: the server listens to the proxy, and believes it."""
    (changes,) = (step.text for step in steps() if step.text.startswith("sed"))
    ini = (ROOT / "production.ini").read_text("utf-8")
    for pattern in re.findall(r"'s/(\^.*?)/", changes):
        plain = pattern.replace("\\(", "(").replace("\\)", ")").replace("\\|", "|")
        assert re.search(plain, ini, re.MULTILINE), pattern


def test_the_image_believes_the_address_of_the_proxy_alone(
    services: dict[str, dict[str, Any]],
) -> None:
    """O2, C5: which the compose file fixes within its own network, so that `audit` passes."""
    (changes,) = (step.text for step in steps() if step.text.startswith("sed"))
    (believed,) = re.findall(r"trusted_proxy = ([0-9.]+)/'", changes)
    assert services["proxy"]["networks"]["default"]["ipv4_address"] == believed
    network = yaml.safe_load(COMPOSE.read_text("utf-8"))["networks"]["default"]
    (pool,) = network["ipam"]["config"]
    # What is given to the others by Docker never is the proxy's.
    assert ip_address(believed) in ip_network(pool["subnet"])
    assert ip_address(believed) not in ip_network(pool["ip_range"])
    assert ip_address(believed) != ip_network(pool["subnet"])[1]


def test_a_variable_of_the_compose_file_is_a_setting(services: dict[str, dict[str, Any]]) -> None:
    """C: each is known to the application, or to what runs beside it."""
    known = {variable_for(name) for name in SETTINGS} | set(OTHERS)
    given = {name for service in services.values() for name in service.get("environment", {})}
    # The variables of a feature that was taken out do no harm.
    deleted = tuple(variable_for(f"{feature}.") for feature in DELETED)
    assert {name for name in given if not name.startswith(deleted)} <= known
    assert {"SITE", "SERVERS"} == set(re.findall(r"\{\$(\w+):", CADDYFILE.read_text("utf-8")))


def test_what_an_operator_has_to_say_is_on_the_page() -> None:
    """O1: every variable that the compose file takes from outside."""
    taken = set(re.findall(r"\$\{(\w+)", COMPOSE.read_text("utf-8")))
    said = set(re.findall(r"^(\w+)=", PAGE.read_text("utf-8"), re.MULTILINE))
    assert said == taken


def test_nothing_but_the_proxy_is_reached_from_outside(services: dict[str, dict[str, Any]]) -> None:
    """C5: the application believes whoever reaches it."""
    assert [name for name, service in services.items() if "ports" in service] == ["proxy"]


def test_each_waits_for_what_it_needs(services: dict[str, dict[str, Any]]) -> None:
    """O4: the database answers before the migrations run, and these end before the code starts."""
    waits = {name: service.get("depends_on", {}) for name, service in services.items()}
    conditions = {name: {k: v["condition"] for k, v in on.items()} for name, on in waits.items()}
    assert conditions == {
        "database": {},
        "migrations": {"database": "service_healthy"},
        "myapp": {"migrations": "service_completed_successfully"},
        "proxy": {"myapp": "service_healthy"},
    }
