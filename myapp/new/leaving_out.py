"""Takes a feature out of the files that all features share, and its migrations out of the chain."""

from __future__ import annotations

import re

from myapp.new.files import CannotMake, Files, edit


def leave_out(files: Files, feature: str) -> None:
    """Delete the feature's line in main(), its parts of ini files and setup.cfg, its migrations."""
    edit(files, "myapp/__init__.py", lambda text: _without_line(text, feature))
    for ini in ("development.ini", "production.ini"):
        edit(files, ini, lambda text: _without_part(text, feature))
    edit(files, "setup.cfg", lambda text: _without_package(text, feature))
    for path in [path for path in sorted(files) if _is_migration_of(path, feature)]:
        _unlink(files, path)


def _without_line(text: str, feature: str) -> str:
    line = f'            config.include("myapp.{feature}")\n'
    if text.count(line) != 1:
        raise CannotMake(f"main() includes {feature} {text.count(line)} times, not once")
    return text.replace(line, "")


def _without_part(ini: str, feature: str) -> str:
    """Without what stands below `# ---- Feature ----`, up to the next part or section."""
    title = re.escape(feature.replace("_", " ").capitalize())
    return re.sub(rf"^# ---- {title} ----\n.*?(?=^\[|^# ----)", "", ini, flags=re.M | re.S)


def _without_package(cfg: str, feature: str) -> str:
    """Without its data files, and without its modules in mypy's lists."""
    cfg = re.sub(rf"^myapp\.{feature} =\n(?:[ \t]+.*\n)*", "", cfg, flags=re.M)
    return re.sub(rf",myapp\.{feature}(?:\.[\w.*]+)?(?=[,\]])", "", cfg)


def _is_migration_of(path: str, feature: str) -> bool:
    """By the file's name: 0003_accounts.py, 0007_accounts_keep_forms.py."""
    return bool(re.fullmatch(rf"alembic/versions/[0-9a-f]+_{feature}(?:_\w+)?\.py", path))


def _unlink(files: Files, path: str) -> None:
    """Delete a migration; the one after it follows the one before it."""
    text = files.pop(path).decode()
    revision, before = _value(text, "revision", path), _value(text, "down_revision", path)
    for other in files:
        if other.startswith("alembic/versions/"):
            edit(
                files,
                other,
                lambda text: re.sub(
                    rf"^down_revision = {re.escape(revision)}$",
                    f"down_revision = {before}",
                    text,
                    flags=re.M,
                ),
            )


def _value(text: str, name: str, path: str) -> str:
    found = re.search(rf'^{name} = ("[^"]*"|None)$', text, re.M)
    if found is None:
        raise CannotMake(f"{path} has no line `{name} = …`")
    return found[1]
