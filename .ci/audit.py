"""Looks the locked packages up among the known vulnerabilities: ``audit.py REQUIREMENTS``.

A vulnerability fails; a database of vulnerabilities that can't be asked does not, but it is said:
silence must never pass for safety.
"""

import json
import subprocess
import sys
from typing import Any


def main(requirements: str) -> int:
    """Print what was found and return the exit status."""
    answer, errors = _ask(requirements)
    if answer is None:
        print(f"audit: nothing was audited: {errors}")
        return 0
    packages = answer["dependencies"]
    unknown = [package for package in packages if "skip_reason" in package]
    vulnerable = [package for package in packages if package.get("vulns")]
    for package in vulnerable:
        print(_describe(package))
    print(
        f"audit: {len(packages) - len(unknown)} packages audited, {len(vulnerable)} vulnerable,"
        f" {len(unknown)} not known to the database of vulnerabilities"
    )
    return 1 if vulnerable else 0


def _ask(requirements: str) -> tuple[dict[str, Any] | None, str]:
    """Return pip-audit's report, or None and its last word."""
    done = subprocess.run(  # noqa: S603 - the one word from outside is a path of the Makefile's
        [
            sys.executable,
            *("-m", "pip_audit", "--requirement", requirements, "--require-hashes"),
            *("--disable-pip", "--progress-spinner", "off", "--format", "json"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        return json.loads(done.stdout), ""
    except ValueError:
        return None, next(iter(done.stderr.strip().splitlines()[-1:]), "no answer")


def _describe(package: dict[str, Any]) -> str:
    names = ", ".join(vulnerability["id"] for vulnerability in package["vulns"])
    fixes = {fix for vulnerability in package["vulns"] for fix in vulnerability["fix_versions"]}
    return f"{package['name']} {package['version']}: {names}; fixed in {sorted(fixes) or 'none'}"


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
