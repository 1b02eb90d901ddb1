"""`python -m myapp.new ../blog`, and `python -m myapp.new --update ../blog`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from myapp.new.answers import DATABASES, LICENCES
from myapp.new.files import CannotMake
from myapp.new.questions import Said, answer
from myapp.new.rendering import render
from myapp.new.selecting import features_in
from myapp.new.source import commit_of, files_of
from myapp.new.updating import update
from myapp.new.writing import place, refuse_target


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--update", "updating", is_flag=True, help="Update the codebase in FOLDER.")
@click.option("--commit", default="HEAD", show_default=True, help="The commit to generate from.")
@click.option("--yes", is_flag=True, help="Ask nothing: use the defaults for what no option sets.")
@click.option("--package", help="Name of the Python package. Default: the folder's name.")
@click.option("--title", help="Title of the pages. Default: the package's name.")
@click.option("--database", type=click.Choice(DATABASES), help="Default: sqlite.")
@click.option(
    "--migrations/--no-migrations", default=None, help="Migrate with alembic, or use plain SQL."
)
@click.option(
    "--with", "features", multiple=True, metavar="FEATURE", help="Include it; repeatable."
)
@click.option("--without", multiple=True, metavar="FEATURE", help="Leave it out; repeatable.")
@click.option("--licence", type=click.Choice(LICENCES), help="Default: none.")
@click.option("--holder", metavar="NAME", help="Who holds the copyright.")
@click.option(
    "--require-sessions",
    is_flag=True,
    help="Install the sessions as a package instead of copying them.",
)
@click.option("--git/--no-git", "with_git", default=True, help="Create a git repository.")
def main(folder: Path, updating: bool, commit: str, yes: bool, with_git: bool, **said: Any) -> None:
    """Create a codebase of your own in FOLDER, or update one.

    \b
    python -m myapp.new ../blog
    python -m myapp.new ../blog --yes --database postgresql --without trial
    python -m myapp.new --update ../blog
    """
    target = folder.resolve()
    try:
        if updating:
            _update(target, commit)
        else:
            _make(target, commit, Said(**said, ask=not yes), with_git=with_git)
    except CannotMake as error:
        raise click.ClickException(str(error)) from error


def _make(target: Path, name: str, said: Said, *, with_git: bool) -> None:
    refuse_target(target)
    commit = commit_of(name)
    answers = answer(said, target, features_in(files_of(commit)))
    files = render(commit, answers)
    place(files, target, with_git=with_git)
    click.echo(
        f"{target}: {len(files)} files, package {answers.package}, session cookie"
        f" {answers.cookie_name}"
    )
    if answers.require_sessions:
        (wheel,) = (path for path in files if path.startswith("wheels/"))
        click.echo(
            f"The sessions are in {wheel}, which requirements.txt names: `make` installs it."
        )
    click.echo(f"Next: cd {target} && make serve")


def _update(folder: Path, name: str) -> None:
    done = update(folder, name)
    if done is None:
        click.echo(f"{folder} is up to date.")
        return
    if done.generator_changed:
        click.echo(
            "The generator has changed, too: move or delete the files that it moved or dropped."
        )
    if done.conflicts:
        click.echo(
            "Resolve the conflicts in these files, then run `git cherry-pick --continue`:"
            f" {', '.join(done.conflicts)}"
        )
        raise SystemExit(1)
    click.echo(
        f"{folder} is on the branch {done.branch}. Next: make test, then"
        f" git switch {done.before} && git merge {done.branch}"
    )
