"""Runs a scan: `python -m headwater.identity.bulk FILE --into DIR`; progress and result are JSON lines on stdout.

Lines: `{"progress": [stage, done, of]}` while it works, then `{"report": …}` or `{"error": …}`. A scan that
was stopped goes on where it was when it is called again with the same file and options.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from headwater.identity.bulk.report import write_report
from headwater.identity.bulk.scanning import Plan, Scan
from headwater.identity.bulk.settings import Limits
from headwater.identity.bulk.showing import write_pages
from headwater.identity.bulk.sources import FileSource
from headwater.kernel.errors import Conflict, HeadwaterError, InvalidInput

OBJECTS: Final = ("contact", "lead", "account")
"""What can be resolved."""


def main(arguments: Sequence[str]) -> int:
    """Run a scan to its end; return the exit code."""
    options = _options(arguments)
    try:
        report = scan(_plan(options), options.into, keep=options.keep)
    except (HeadwaterError, OSError) as error:
        reason = error.reason if isinstance(error, HeadwaterError) else "FILE"
        _tell("error", {"reason": reason, "message": str(error)})
        return 1
    _tell("report", report)
    return 0


def scan(plan: Plan, into: Path, *, keep: bool) -> Any:
    """Run all stages that are not complete, write the report, and clear the scratch directory unless it is kept."""
    _claim(plan)
    work = Scan(plan, lambda stage, done, of: _tell("progress", [stage, done, of]))
    try:
        work.run()
        report = write_report(work, plan, into)
    except InvalidInput:  # the next call may name other columns
        work.close()
        shutil.rmtree(plan.scratch)
        raise
    finally:
        work.close()
    write_pages(report, into)
    if not keep:
        shutil.rmtree(plan.scratch)
    return msgspec.to_builtins(report)


def _claim(plan: Plan) -> None:
    """Note what the scratch directory is of.

    Raises:
        Conflict: it is of another scan: another file, or other options.
    """
    stat = plan.source.path.stat()
    ours = [
        str(plan.source.path.resolve()),
        stat.st_size,
        stat.st_mtime_ns,
        plan.source.id_column,
        sorted(plan.source.left_out),
        sorted(plan.source.names.items()),
        plan.object,
        plan.region,
        plan.learn,
        plan.as_service,
        plan.seed,
        plan.limits.chunk_records,
        plan.limits.chunk_pairs,
        plan.limits.key_rows_max,
        plan.limits.learn_records_max,
    ]
    note = plan.scratch / "scan.json"
    if not note.exists():
        plan.scratch.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps(ours), encoding="utf-8")
    elif json.loads(note.read_text(encoding="utf-8")) != json.loads(json.dumps(ours)):
        raise Conflict(
            f"{plan.scratch} holds an unfinished scan of another file or with other options; "
            "remove it, or call that scan again",
            reason="OTHER_SCAN",
        )


def _tell(kind: str, what: Any) -> None:
    sys.stdout.write(json.dumps({kind: what}) + "\n")
    sys.stdout.flush()


def _plan(options: argparse.Namespace) -> Plan:
    if options.object not in OBJECTS:
        raise InvalidInput(f"{options.object!r} is none of {', '.join(OBJECTS)}", reason="UNKNOWN_OBJECT")
    names = dict(_mapped(one) for one in options.map)
    source = FileSource(options.file, options.id_column, frozenset(options.ignore), names)
    return Plan(
        source,
        options.object,
        options.into / "scratch",
        options.region or None,
        learn=options.learn,
        seed=options.seed,
        as_service=options.as_service,
        limits=Limits(cores=options.cores, database_mb=options.database_mb),
    )


def _mapped(pair: str) -> tuple[str, str]:
    column, found, name = pair.rpartition("=")
    if not (column and found and name):
        raise InvalidInput(f"{pair!r} is not COLUMN=FIELD", reason="BAD_MAP")
    return column, name


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="headwater.identity.bulk", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--into", type=Path, required=True)
    parser.add_argument("--object", default="contact")
    parser.add_argument("--id-column", default="")
    parser.add_argument("--ignore", action="append", default=[])
    parser.add_argument("--map", action="append", default=[], metavar="COLUMN=FIELD")
    parser.add_argument("--region", default="")
    parser.add_argument("--learn", action="store_true")
    parser.add_argument("--as-service", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--database-mb", type=int, default=1_200)
    parser.add_argument("--keep", action="store_true")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
