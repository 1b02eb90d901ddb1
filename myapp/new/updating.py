"""Merges the changes since a codebase was generated into it, on a new branch.

Git does the merge: the codebase as it was generated then is the common ancestor of the codebase as
it is now and as it would be generated now. Only the branch is written.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from myapp.new.files import CannotMake, Files, write
from myapp.new.manifest import Manifest, read_manifest
from myapp.new.rendering import render
from myapp.new.source import commit_of, files_of, generator_hash, git, identity

_IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "myapp.new"), ("EMAIL", "nobody@localhost"))
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """The result of an update."""

    branch: str
    before: str
    conflicts: tuple[str, ...]
    generator_changed: bool


def update(folder: Path, name: str = "HEAD") -> Update | None:
    """Update a codebase to a commit of this repository; None where nothing has changed.

    Raises CannotMake, before anything is written, for a codebase that can't be updated.
    """
    _refuse_unfit(folder)
    manifest = read_manifest(folder)
    old, new = commit_of(manifest.commit), commit_of(name)
    if old == new:
        return None
    branch = f"update-{new[:12]}"
    _refuse_present(folder, branch)
    before, after = render(old, manifest.answers), render(new, manifest.answers)
    if _without_manifest(before) == _without_manifest(after):
        return None
    return _merge(folder, branch, manifest, (before, after), new)


def _merge(
    folder: Path, branch: str, manifest: Manifest, both: tuple[Files, Files], new: str
) -> Update:
    current = git("rev-parse", "--abbrev-ref", "HEAD", folder=folder).decode().strip()
    base = _commit(folder, both[0], f"As generated from {manifest.commit[:12]}")
    theirs = _commit(folder, both[1], f"Update to {new[:12]}", base)
    git("switch", "--quiet", "--create", branch, folder=folder)
    try:
        git(*identity(folder), "cherry-pick", "--allow-empty", theirs, folder=folder)
    except CannotMake:
        # Git reports conflicts only by its status, and leaves them in the files.
        if not _conflicts(folder):
            git("switch", "--quiet", current, folder=folder)
            git("branch", "--quiet", "-D", branch, folder=folder)
            raise
    return Update(
        branch=branch,
        before=current,
        conflicts=_conflicts(folder),
        generator_changed=generator_hash(files_of(new)) != manifest.generator,
    )


def _commit(folder: Path, files: Files, message: str, *parents: str) -> str:
    """A commit of these files in the codebase's repository, on no branch."""
    with tempfile.TemporaryDirectory() as name:
        tree = Path(name) / "tree"
        write(files, tree)
        repository = git("rev-parse", "--absolute-git-dir", folder=folder).decode().strip()
        # An index of its own: that of the codebase stays as it is.
        index = {"GIT_INDEX_FILE": str(Path(name) / "index"), "GIT_DIR": repository}
        git("--work-tree", str(tree), "add", "--all", "--force", ".", folder=tree, **index)
        written = git("write-tree", folder=folder, **index).decode().strip()
    words = [word for parent in parents for word in ("-p", parent)]
    made = git("commit-tree", written, *words, "-m", message, folder=folder, **_IDENTITY)
    return made.decode().strip()


def _refuse_unfit(folder: Path) -> None:
    """Raise CannotMake if git could not merge, or would mix the update with unfinished work."""
    try:
        top = git("rev-parse", "--show-toplevel", folder=folder).decode().strip()
    except CannotMake as error:
        raise CannotMake(
            f"{folder} is not a git repository: run `git init` and commit it"
        ) from error
    if Path(top).resolve() != folder.resolve():
        raise CannotMake(
            f"{folder} is inside the repository {top}: expected the root of a repository"
        )
    if git("status", "--porcelain", folder=folder).strip():
        raise CannotMake(f"{folder} has changes that are not committed: commit or stash them first")


def _refuse_present(folder: Path, branch: str) -> None:
    if git("branch", "--list", branch, folder=folder).strip():
        raise CannotMake(f"{folder} already has a branch {branch}: merge or delete it first")


def _conflicts(folder: Path) -> tuple[str, ...]:
    said = git("diff", "--name-only", "--diff-filter=U", folder=folder).decode()
    return tuple(said.splitlines())


def _without_manifest(files: Files) -> Files:
    return {path: content for path, content in files.items() if path != "codebase.json"}
