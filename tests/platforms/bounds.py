"""The lowest version of each range in setup.cfg, as constraints for pip."""

from collections.abc import Iterator
from configparser import ConfigParser

from packaging.requirements import Requirement

from harness.processes import ROOT


def lowest() -> list[str]:
    """`name==version` for every requirement of setup.cfg that has a lower bound."""
    return [
        f"{requirement.name}=={specifier.version}"
        for requirement in _requirements()
        for specifier in requirement.specifier
        if specifier.operator == ">="
    ]


def _requirements() -> Iterator[Requirement]:
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    texts = [setup["options"]["install_requires"], *setup["options.extras_require"].values()]
    for line in "\n".join(texts).splitlines():
        if line and not line.startswith("#"):
            yield Requirement(line)
