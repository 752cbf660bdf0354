"""Prints the part of requirements.lock that some requirements need, with all hashes.

The lock holds runtime and development together, so that one resolution covers both. An image wants
the runtime alone: the pins reached from `[project] dependencies`, or from the names given. The lock
says after each pin who asks for it (`# via`); those lines are followed. Standard library only.

    python deploy/lock_subset.py             the runtime
    python deploy/lock_subset.py hatchling   what builds the wheel
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==", re.MULTILINE)
_VIA = re.compile(r"^    # (?:via |  )(?P<name>[A-Za-z0-9._-]+)", re.MULTILINE)
_NAME = re.compile(r"[A-Za-z0-9._-]+")


def normal(name: str) -> str:
    """Return the one spelling of a package's name."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_blocks(lock: str) -> dict[str, str]:
    """Return name -> its pin with hashes and `# via` lines."""
    starts = list(_PIN.finditer(lock))
    ends = [*(start.start() for start in starts[1:]), len(lock)]
    return {normal(start["name"]): lock[start.start() : end] for start, end in zip(starts, ends, strict=True)}


def reached(blocks: dict[str, str], roots: set[str]) -> set[str]:
    """Return the names in *blocks* that the roots need, the roots included.

    Raises:
        KeyError: a root is not pinned.
    """
    asked_by = {name: {normal(via["name"]) for via in _VIA.finditer(text)} for name, text in blocks.items()}
    found = {name for name in roots if blocks[name]}
    while more := {name for name, askers in asked_by.items() if askers & found} - found:
        found |= more
    return found


def runtime_roots(pyproject: str, extras: Iterable[str] = ()) -> set[str]:
    """Return the names under `[project] dependencies` and those of the extras.

    Raises:
        KeyError: there is no such extra.
    """
    project = tomllib.loads(pyproject)["project"]
    texts = [
        *project["dependencies"],
        *(one for extra in extras for one in project["optional-dependencies"][extra]),
    ]
    return {normal(name[0]) for name in map(_NAME.match, texts) if name}


def main(names: list[str]) -> None:
    """Print the subset for the names, or for the runtime with the extras that a plus leads."""
    blocks = read_blocks((ROOT / "requirements.lock").read_text(encoding="utf-8"))
    packages = {normal(name) for name in names if not name.startswith("+")}
    extras = [name[1:] for name in names if name.startswith("+")]
    roots = packages or runtime_roots((ROOT / "pyproject.toml").read_text(encoding="utf-8"), extras)
    wanted = reached(blocks, roots)
    sys.stdout.write("".join(text for name, text in blocks.items() if name in wanted))


if __name__ == "__main__":
    main(sys.argv[1:])
