"""A connector to begin with: a package of its own that passes lint, types and the conformance suite as it is.

Owns the template (`template/`, files named `*.txt`) and what is filled in. The name stands for `@@name@@`.
"""

from __future__ import annotations

import keyword
import re
from importlib import resources
from pathlib import Path
from typing import Final

from headwater.kernel.errors import Conflict, InvalidInput

NAME: Final = re.compile(r"[a-z][a-z0-9_]{1,30}")
"""Of a connector: it becomes an entry point, a package and a word of policies."""

_FILES: Final = {
    "pyproject.txt": "pyproject.toml",
    "readme.txt": "README.md",
    "package/init.txt": "headwater_@@name@@/__init__.py",
    "package/client.txt": "headwater_@@name@@/client.py",
    "package/errors.txt": "headwater_@@name@@/errors.py",
    "package/limits.txt": "headwater_@@name@@/limits.py",
    "package/wire.txt": "headwater_@@name@@/wire.py",
    "tests/conftest.txt": "tests/conftest.py",
    "tests/double.txt": "tests/double.py",
    "tests/test_conformance.txt": "tests/test_conformance.py",
}
"""Template file to the file that is made of it."""


def write_scaffold(name: str, into: Path) -> tuple[Path, ...]:
    """Write a new connector called *name* into the folder *into*, which must not be there yet; return its files.

    Raises:
        InvalidInput: the name cannot be a package's.
        Conflict: *into* is there already.
    """
    if not NAME.fullmatch(name) or keyword.iskeyword(name):
        message = (
            f"a connector's name must be 2 to 31 characters of [a-z0-9_], the first a letter, not {name!r}"
        )
        raise InvalidInput(message, reason="CONNECTOR_NAME")
    if into.exists():
        raise Conflict(f"{into} is there already; name another folder by --into", reason="FOLDER_EXISTS")
    template = resources.files(__package__).joinpath("template")
    written: list[Path] = []
    for source, target in _FILES.items():
        file = into / _filled(target, name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(
            _filled(template.joinpath(source).read_text(encoding="utf-8"), name), encoding="utf-8"
        )
        written.append(file)
    return tuple(written)


def _filled(text: str, name: str) -> str:
    camel = "".join(part.capitalize() for part in name.split("_"))
    return text.replace("@@name@@", name).replace("@@Name@@", camel)
