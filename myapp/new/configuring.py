"""Writes the answers into the files of settings: cookie, database, licence."""

from __future__ import annotations

import re
from typing import Final

from myapp.new.answers import Answers
from myapp.new.files import CannotMake, Files, edit

_INIS: Final = ("development.ini", "production.ini")
_URLS: Final = {
    "sqlite": "sqlite:///%(here)s/myapp.sqlite",
    "postgresql": "postgresql://myapp@localhost/myapp",
    "mariadb": "mysql://myapp@localhost/myapp",
}
_SECURE: Final = "__Host-Http-"

_SESSIONS_LOGGER: Final = """
# The sessions' package keeps its name.
[logger_sessions]
level = INFO
handlers =
qualname = myapp.sessions
"""

_IGNORED: Final = """\
    # The formatter breaks lines at 100; a comment that names the package may be longer.
    "E501",
"""


def configure(files: Files, answers: Answers) -> None:
    """Set what was answered."""
    for ini in _INIS:
        prefix = _SECURE if ini == "production.ini" else ""
        _set(files, ini, "session.cookie_name", prefix + answers.cookie_name)
        _set(files, ini, "sqlalchemy.url", _URLS[answers.database])
        if not answers.migrations:
            for name in ("database.migrate_on_start", "database.version_table"):
                edit(files, ini, lambda text, name=name: _without_setting(text, name))  # type: ignore[misc]
            edit(files, ini, _without_alembic)
        if answers.require_sessions:
            edit(files, ini, _with_sessions_logger)
    edit(files, "ruff.toml", lambda text: text.replace("ignore = [\n", f"ignore = [\n{_IGNORED}"))
    edit(files, "setup.cfg", lambda text: _described(text, answers))
    _choose_licence(files, answers)


def _set(files: Files, ini: str, name: str, value: str) -> None:
    text, count = re.subn(
        rf"^{re.escape(name)} *=.*$", lambda _: f"{name} = {value}", files[ini].decode(), flags=re.M
    )
    if count != 1:
        raise CannotMake(f"{ini} sets {name} {count} times, not once")
    files[ini] = text.encode()


def _without_setting(text: str, name: str) -> str:
    """Without the paragraph that sets it, comment included."""
    paragraphs = text.split("\n\n")
    line = re.compile(rf"^#?{re.escape(name)} =", re.M)
    return "\n\n".join(paragraph for paragraph in paragraphs if not line.search(paragraph))


def _without_alembic(text: str) -> str:
    text = text.replace("sqlalchemy, alembic\n", "sqlalchemy\n")
    return re.sub(r"\[logger_alembic\]\n(?:.+\n)+\n", "", text)


def _with_sessions_logger(text: str) -> str:
    text = text.replace("keys = root, myapp,", "keys = root, myapp, sessions,")
    return re.sub(r"(\[logger_myapp\]\n(?:.+\n)+)", rf"\1{_SESSIONS_LOGGER}", text)


def _described(cfg: str, answers: Answers) -> str:
    """Whose project it is, for setup.cfg and mypy."""
    title = answers.title.replace("\n", " ")
    cfg = re.sub(r"^description = .*$", lambda _: f"description = {title}", cfg, flags=re.M)
    cfg = re.sub(r"^classifiers =\n(?:    .+\n)+", "", cfg, flags=re.M)
    if answers.licence == "none":
        cfg = re.sub(r"^license = .*\n", "", cfg, flags=re.M)
    return cfg.replace("[mypy]\nstrict = true\n", "[mypy]\nstrict = true\nfiles = myapp, tests\n")


def _choose_licence(files: Files, answers: Answers) -> None:
    """One of the texts in the skeleton's folder of licences."""
    files["LICENSE"] = files[f"licences/{answers.licence}"]
    for path in [path for path in files if path.startswith("licences/")]:
        del files[path]
