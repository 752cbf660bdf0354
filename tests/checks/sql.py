"""Lints every `.sql` file under the given folders with sqlfluff, statement by statement.

sqlfluff takes a file as a script; our query files hold named statements that need no `;` between
them. So each block is ended with one before the linter sees it; lines keep their numbers.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sqlfluff.core import FluffConfig, Linter


def end_statements(source: str) -> str:
    """Return *source* with a `;` at the end of each `-- name:` block that lacks one."""
    lines = source.splitlines()
    pending: int | None = None
    for number, line in enumerate([*lines, "-- name: end"]):
        if line.startswith("-- name:") and pending is not None:
            if not lines[pending].endswith(";"):
                lines[pending] += ";"
            pending = None
        elif line.strip() and not line.lstrip().startswith("--"):
            pending = number
    return "\n".join(lines) + "\n"


def faults(path: Path) -> list[str]:
    """Return one line per violation in the file, by the nearest `.sqlfluff`."""
    linter = Linter(config=FluffConfig.from_path(str(path)))
    text = path.read_text(encoding="utf-8")
    found = linter.lint_string(end_statements(text), fname=str(path)).get_violations()
    return [f"{path}:{fault.line_no}:{fault.line_pos}: {fault.rule_code()} {fault.desc()}" for fault in found]


def main(folders: list[str]) -> int:
    """Lint all files; return the exit code."""
    paths = sorted(path for folder in folders for path in Path(folder).rglob("*.sql"))
    found = [fault for path in paths for fault in faults(path)]
    sys.stdout.write("".join(f"{fault}\n" for fault in found))
    sys.stdout.write(f"{len(paths)} SQL files, {len(found)} faults\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
