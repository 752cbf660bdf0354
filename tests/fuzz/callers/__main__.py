"""`make fuzz-callers`: everybody asks everything of a whole Headwater; exit code 1 when anything was found."""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from pathlib import Path

import anyio
from tests.fuzz.callers.running import Pace, open_whole, run

from headwater.kernel.testing import postgres

REQUESTS = 5_000_000


def main() -> int:
    """Run as the command line says."""
    parser = argparse.ArgumentParser(prog="make fuzz-callers", description=__doc__)
    parser.add_argument("--requests", type=int, default=REQUESTS, help=f"how many; default {REQUESTS}")
    parser.add_argument(
        "--seed", type=int, default=1, help="the same seed makes the same callers and requests"
    )
    parser.add_argument("--minutes", type=float, default=60.0, help="ends after that, asked or not")
    parser.add_argument("--json", type=Path, help="write what came of it to this file")
    options = parser.parse_args()
    chance, pace = random.Random(options.seed), Pace(options.requests, options.minutes * 60)
    with (
        tempfile.TemporaryDirectory(prefix="headwater-callers-") as folder,
        postgres.shared_server() as server,
        open_whole(anyio.run(postgres.create_template, server), Path(folder), chance) as whole,
    ):
        told = anyio.run(run, whole, chance, pace, _say, backend_options={"use_uvloop": True})
    _say("\n".join(told.lines()))
    if options.json is not None:
        options.json.write_text(json.dumps(told.facts(), indent=1) + "\n", encoding="utf-8")
    return 0 if told.clean and told.report.requests >= options.requests else 1


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
