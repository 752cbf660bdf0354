"""The connectors that are installed, as tables for the terminal and for the README. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Kind:
    """One connector as people see it.

    Args:
        level: the strongest level at which writing was proven.
        proven: level to operations, the strongest first.
        fault: why it cannot be used; empty when it can.
    """

    name: str
    package: str
    objects: tuple[str, ...] = ()
    can: tuple[str, ...] = ()
    batch_records_max: int = 0
    limits: tuple[str, ...] = ()
    level: str = "none"
    proven: tuple[tuple[str, tuple[str, ...]], ...] = ()
    fault: str = ""

    def told(self) -> str:
        """Return the evidence in one line."""
        return (
            "; ".join(f"{level}: {', '.join(names)}" for level, names in self.proven) or "nothing was proven"
        )


COLUMNS: Final = ("connector", "objects", "batch", "can", "writing proven by", "evidence of each operation")


def row_of(kind: Kind) -> tuple[str, ...]:
    """Return a kind's cells."""
    if kind.fault:
        return kind.name, "", "", "", "", f"{kind.package} {kind.fault}"
    return (
        kind.name,
        "any" if kind.objects == ("*",) else ", ".join(kind.objects),
        str(kind.batch_records_max),
        ", ".join(kind.can),
        kind.level,
        kind.told(),
    )


def markdown(kinds: Sequence[Kind]) -> str:
    """Return the table as Markdown."""
    rows = [COLUMNS, tuple("---" for _ in COLUMNS), *(row_of(kind) for kind in kinds)]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows)


def document(kinds: Sequence[Kind]) -> dict[str, Any]:
    """Return the kinds as JSON values."""
    return {
        "connectors": [
            {
                "connector": kind.name,
                "package": kind.package,
                "objects": list(kind.objects),
                "capabilities": list(kind.can),
                "batch_records_max": kind.batch_records_max,
                "limits": list(kind.limits),
                "level": kind.level,
                "evidence": {level: list(names) for level, names in kind.proven},
                "fault": kind.fault,
            }
            for kind in kinds
        ]
    }
