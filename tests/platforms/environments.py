"""Virtual environments of the project, and the suite run in one of them."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.processes import ROOT, WORKERS
from tests.platforms import report

_QUIETLY = ("--quiet", "--disable-pip-version-check")


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """A folder with a virtual environment; `within` are the words that lead into another root."""

    folder: Path
    within: tuple[str, ...] = ()

    def make(self, interpreter: str) -> None:
        """Make it with that interpreter, unless it is there."""
        if not (self.folder / "pyvenv.cfg").exists():
            made = [*self.within, interpreter, "-m", "venv", str(self.folder)]
            subprocess.run(made, cwd=ROOT, check=True)

    def install(self, *words: str | Path) -> None:
        """Call pip in it."""
        self.python("-m", "pip", "install", *_QUIETLY, *words)

    def install_project(self) -> None:
        """Install the project as it lies there; what it needs must be there already."""
        self.install("--no-deps", "--no-build-isolation", "--editable", ".")

    def python(self, *words: str | Path) -> None:
        """Run its interpreter to the end; raise CalledProcessError if it fails."""
        subprocess.run(self.command(*words), cwd=ROOT, check=True)

    def command(self, *words: str | Path) -> list[str]:
        """The words of a command for its interpreter."""
        return [*self.within, str(self.folder / "bin" / "python"), *map(str, words)]

    def version(self, package: str) -> str:
        """The version of a package that is installed in it."""
        return self._answer(f"from importlib.metadata import version; print(version({package!r}))")

    @property
    def python_version(self) -> str:
        """The version of its interpreter."""
        return self._answer("import platform; print(platform.python_version())")

    def test(self, name: str, *, tests: Sequence[str]) -> bool:
        """Run the suite or some `tests` of it, and keep what came of it under `name`."""
        results = self.folder / "results.xml"
        results.unlink(missing_ok=True)
        words = ["-m", "pytest", "-q", "-n", WORKERS, f"--junitxml={results}", *tests]
        done = subprocess.run(self.command(*words), cwd=ROOT, check=False)
        # Any other status says that pytest was interrupted, or found no tests.
        if done.returncode in (0, 1) and results.exists():
            kept = "`" + " ".join(tests) + "`" if tests else "all"
            report.keep(report.Row.of_results(name, kept, results))
        return done.returncode == 0

    def _answer(self, code: str) -> str:
        answer: str = subprocess.check_output(self.command("-c", code), text=True, cwd=ROOT)
        return answer.strip()
