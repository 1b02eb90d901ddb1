"""Turns the files of a commit and the answers into a codebase's files: the order of the steps."""

from __future__ import annotations

from myapp.new.answers import Answers
from myapp.new.configuring import configure
from myapp.new.files import Files
from myapp.new.finishing import finish
from myapp.new.leaving_out import leave_out
from myapp.new.manifest import add_manifest
from myapp.new.markers import cut_all
from myapp.new.renaming import rename
from myapp.new.requirements import trim
from myapp.new.selecting import features_in, select
from myapp.new.source import files_of
from myapp.new.wheel import add_wheel


def render(commit: str, answers: Answers) -> Files:
    """The codebase as it is generated from this commit. Raises CannotMake."""
    source = files_of(commit)
    files = select(source, answers)
    for feature in features_in(source):
        if feature not in answers.features:
            leave_out(files, feature)
    cut_all(files, answers.conditions())
    configure(files, answers)
    trim(files)
    files = rename(files, answers)
    if answers.require_sessions:
        add_wheel(files, source)
    add_manifest(files, commit, source, answers)
    return finish(files, answers)
