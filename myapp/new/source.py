"""The repository from which codebases are made, and its files at a commit."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Final

from myapp.new.files import CannotMake, Files

ROOT: Final = Path(__file__).resolve().parent.parent.parent

GENERATOR: Final = "myapp/new/"
SKELETON: Final = "myapp/new/skeleton/"


def git(*words: str, folder: Path = ROOT, **environment: str) -> bytes:
    """The output of git. Raises CannotMake with the last line of an error."""
    command = ["git", "-C", str(folder), *words]
    try:
        done = subprocess.run(  # noqa: S603  # the words are ours, or a commit that git checks
            command, capture_output=True, env={**os.environ, **environment}, check=False
        )
    except OSError as error:
        raise CannotMake(f"git can't be run: {error}") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise CannotMake(f"git {words[0]} failed in {folder}: {said[-1]}")
    return done.stdout


def identity(folder: Path) -> tuple[str, ...]:
    """Options for a commit on a machine whose git has no identity; otherwise none."""
    try:
        git("var", "GIT_COMMITTER_IDENT", folder=folder)
    except CannotMake:
        return ("-c", "user.name=nobody", "-c", "user.email=nobody@localhost")
    return ()


def commit_of(name: str, root: Path = ROOT) -> str:
    """The whole hash of a commit of this repository. Raises CannotMake if there is none."""
    _refuse_no_checkout(root)
    try:
        return git("rev-parse", "--verify", f"{name}^{{commit}}", folder=root).decode().strip()
    except CannotMake as error:
        raise CannotMake(
            f"{name} is not a commit of {root}: expected one that `git log` shows there"
            " (`git fetch --unshallow` fetches the older ones)"
        ) from error


def files_of(commit: str, root: Path = ROOT) -> Files:
    """The files of a commit, by their paths."""
    archive = git("archive", "--format=tar", commit, folder=root)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        files = {
            member.name: opened.read()
            for member in tar
            if member.isfile() and (opened := tar.extractfile(member))
        }
    if not any(path.startswith(SKELETON) for path in files):
        raise CannotMake(f"commit {commit[:12]} is older than the codebase generator")
    return files


def generator_hash(files: Files) -> str:
    """A hash of the generator, in 16 characters: of its modules, not of the skeleton."""
    digest = hashlib.sha256()
    for path in sorted(files):
        if path.startswith(GENERATOR) and not path.startswith(SKELETON):
            digest.update(f"{path}\0".encode() + files[path] + b"\0")
    return digest.hexdigest()[:16]


def _refuse_no_checkout(root: Path) -> None:
    if not (root / ".git").exists():
        raise CannotMake(
            f"{root} is not a git checkout: expected a clone of the repository, since a codebase is"
            " made from one of its commits"
        )
