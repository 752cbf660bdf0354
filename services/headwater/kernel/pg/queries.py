"""Loads named SQL from `.sql` files. Owns the file format; must not build, alter or run a statement.

Format: any number of blocks, each ``-- name: insert_events``, then comment lines (one sentence, the
parameters), then one statement. Comment lines before the first block describe the file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING

from headwater.kernel.pg.errors import QueryFileFaulty

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_HEADER = re.compile(r"--\s*name\s*:(?P<name>.*)")
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Query:
    """One named statement; the name is also its span and its metric."""

    name: str
    text: str
    doc: str


@dataclass(frozen=True, slots=True)
class _Block:
    name: str
    line: int
    lines: tuple[str, ...]


def load(package: str, file_name: str) -> Mapping[str, Query]:
    """Read the named statements of a file that lies in a package, in file order.

    Args:
        package: a package (`headwater.ingest.sql`) or a package with a `sql/` folder in it.
        file_name: name of the file, `event.sql`.
    """
    root = resources.files(package)
    resource = root / file_name
    if not resource.is_file():
        resource = root / "sql" / file_name
    return parse(resource.read_text(encoding="utf-8"), file_name)


def parse(source: str, file_name: str) -> Mapping[str, Query]:
    """Take the text of a file apart into its named statements."""
    found: dict[str, Query] = {}
    for block in _blocks(source, file_name):
        if block.name in found:
            raise QueryFileFaulty(file_name, block.line, f"the name {block.name} stands twice")
        found[block.name] = _query(block, file_name)
    if not found:
        raise QueryFileFaulty(file_name, 1, "no `-- name:` block in this file")
    return MappingProxyType(found)


def _blocks(source: str, file_name: str) -> Sequence[_Block]:
    lines = source.splitlines()
    starts = [number for number, line in enumerate(lines) if _HEADER.fullmatch(line.strip())]
    _check_preamble(lines[: starts[0] if starts else len(lines)], file_name)
    return [
        _Block(_name(lines[start], start + 1, file_name), start + 1, tuple(lines[start + 1 : end]))
        for start, end in pairwise([*starts, len(lines)])
    ]


def _check_preamble(lines: Sequence[str], file_name: str) -> None:
    for number, line in enumerate(lines, start=1):
        if line.strip() and not line.lstrip().startswith("--"):
            raise QueryFileFaulty(file_name, number, "a statement without a `-- name:` line")


def _name(header: str, line: int, file_name: str) -> str:
    match = _HEADER.fullmatch(header.strip())
    name = match["name"].strip() if match else ""
    if not _NAME.fullmatch(name):
        raise QueryFileFaulty(file_name, line, f"`{name}` is no name: lower case letters, digits and _ only")
    return name


def _query(block: _Block, file_name: str) -> Query:
    doc: list[str] = []
    rest = list(block.lines)
    while rest and (not rest[0].strip() or rest[0].lstrip().startswith("--")):
        doc.append(rest.pop(0).strip().removeprefix("--").strip())
    text = "\n".join(rest).strip().removesuffix(";").rstrip()
    if not text:
        raise QueryFileFaulty(file_name, block.line, f"{block.name} has no statement")
    if not any(doc):
        raise QueryFileFaulty(file_name, block.line, f"{block.name} has no describing comment")
    return Query(block.name, text, "\n".join(doc).strip())
