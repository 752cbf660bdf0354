"""Checks, offline, that requirements.lock answers pyproject.toml; compiles nothing.

Sound means: every requirement, followed from package to package through the metadata of what is
installed, is pinned at a version that satisfies it; every pin for this platform is asked for by
somebody; and the installed version is the pinned one. Pins for other platforms are not judged.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
UNLOCKED = frozenset({"all", "spark"})
"""Extras that `make lock` does not compile: `all` is the others' names, who wants Spark brings it along."""
_PIN = re.compile(r"^(?P<name>[\w.-]+)==(?P<version>[^\s;]+)\s*(?:;\s*(?P<marker>.+?))?\s*\\?$")


def read_pins(lock: str) -> dict[str, str]:
    """Return name -> version of the pins that apply to this platform."""
    pins: dict[str, str] = {}
    for match in filter(None, map(_PIN.match, lock.splitlines())):
        requirement = Requirement(f"{match['name']}; {match['marker']}" if match["marker"] else match["name"])
        if requirement.marker is None or requirement.marker.evaluate():
            pins[canonicalize_name(match["name"])] = str(match["version"])
    return pins


def declared(project: Mapping[str, object]) -> list[Requirement]:
    """Return the requirements of pyproject.toml's `[project]` table, the locked extras included."""
    direct = project["dependencies"]
    extras = project["optional-dependencies"]
    assert isinstance(direct, list)
    assert isinstance(extras, dict)
    locked = [texts for name, texts in extras.items() if name not in UNLOCKED]
    return [Requirement(text) for text in [*direct, *(text for texts in locked for text in texts)]]


def faults(requirements: list[Requirement], pins: Mapping[str, str]) -> Iterator[str]:
    """Yield what is missing, too old, or asked for by nobody."""
    asked: set[tuple[str, frozenset[str]]] = set()
    queue = [(requirement, "pyproject.toml", frozenset({""})) for requirement in requirements]
    while queue:
        requirement, asker, extras = queue.pop()
        if not _applies(requirement, extras):
            continue
        name = canonicalize_name(requirement.name)
        if fault := _fault(requirement, name, asker, pins):
            yield fault
            continue
        key = (name, frozenset(requirement.extras))
        if key not in asked:
            asked.add(key)
            queue += [(further, name, frozenset({"", *key[1]})) for further in _requirements_of(name)]
    for orphan in sorted(set(pins) - {name for name, _ in asked}):
        yield f"{orphan} is pinned, but nothing asks for it"


def _applies(requirement: Requirement, extras: frozenset[str]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in extras)


def _fault(requirement: Requirement, name: str, asker: str, pins: Mapping[str, str]) -> str | None:
    if name not in pins:
        return f"{asker} asks for {requirement.name}, which is not pinned"
    if not requirement.specifier.contains(pins[name], prereleases=True):
        return f"{asker} asks for {requirement}, but {pins[name]} is pinned"
    try:
        installed = metadata.version(name)
    except metadata.PackageNotFoundError:
        return f"{name} {pins[name]} is pinned, but not installed"
    return None if installed == pins[name] else f"{name} {pins[name]} is pinned, but {installed} is installed"


def _requirements_of(name: str) -> list[Requirement]:
    return [Requirement(text) for text in metadata.requires(name) or []]


def main() -> int:
    """Check the repository; return the exit code."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = read_pins((ROOT / "requirements.lock").read_text(encoding="utf-8"))
    found = sorted(set(faults(declared(project), pins)))
    sys.stdout.write("".join(f"{fault}\n" for fault in found))
    hint = "run 'make lock', then 'make setup'" if found else "requirements.lock answers pyproject.toml"
    sys.stdout.write(f"{len(pins)} pins, {len(found)} faults: {hint}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
