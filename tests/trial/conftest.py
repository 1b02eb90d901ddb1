"""The whole application, from the folder of its own tests."""

from tests.functional.conftest import app as app
from tests.functional.conftest import settings as settings
from tests.functional.conftest import testapp as testapp
