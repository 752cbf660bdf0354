"""`make fuzz`: a whole run against a service started for it; exit code 1 when anything was found."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

import anyio
from tests.fuzz import findings
from tests.fuzz.corpus import make_corpus, sizes
from tests.fuzz.driving import Driver, Pace
from tests.fuzz.generating import Generator
from tests.fuzz.judging import Judge
from tests.fuzz.methods import INGEST
from tests.fuzz.policy import POLICY
from tests.fuzz.reporting import Report
from tests.fuzz.running import READ_BACK, apply_policies, check_log, ingest_process, log_faults
from tests.fuzz.seen import Seen
from tests.fuzz.shrinking import make_smaller
from tests.fuzz.strategies import INGEST_HINTS

from headwater.kernel.testing import postgres
from headwater.policy.loading import load_policy


def main() -> int:
    """Run as the command line says."""
    options = _options().parse_args()
    started = time.monotonic()
    corpus = make_corpus(INGEST, INGEST_HINTS, examples=options.examples, chance_seed=options.seed)
    _say(f"seed {options.seed}, {sizes(corpus)} seeds of Hypothesis in {time.monotonic() - started:.0f} s")
    with (
        tempfile.TemporaryDirectory(prefix="headwater-fuzz-") as folder,
        postgres.shared_server() as server,
        ingest_process(anyio.run(_database, server), Path(folder)) as child,
    ):
        address = f"127.0.0.1:{child.ready['port']}"
        pace = Pace(requests=options.requests, seconds=options.minutes * 60)
        report = anyio.run(run, address, options.seed, corpus, pace, backend_options={"use_uvloop": True})
        report.notes += log_faults(child.log.read_text(encoding="utf-8", errors="replace").splitlines())
        code = child.end()
        if code:
            report.notes.append(f"the service ended with exit code {code}")
    for finding in report.findings:
        _say(f"written: {findings.write(finding, options.findings)} {finding.breach[:200]}")
    _say("\n".join(report.lines()))
    return 0 if report.clean else 1


async def run(
    address: str, seed: int, corpus: dict[str, list[bytes]], pace: Pace, *, read_back: int = READ_BACK
) -> Report:
    """Drive the service on *address*, then look whether its log holds what it said, *read_back* events one by one."""
    seen = Seen()
    await apply_policies(address, seen)
    judge = Judge(seen, load_policy(POLICY))
    driver = Driver(
        address,
        INGEST["StreamEvents"],
        Generator(seed, corpus, seen),
        judge,
        pace,
        random.Random(seed + 1),
        _say,
    )
    report = await driver.run()
    report.findings = await make_smaller(address, report.findings, Judge(Seen(), load_policy(POLICY)))
    report.notes += await check_log(address, seen, random.Random(seed), read_back)
    return report


async def _database(server: str) -> str:
    return await postgres.create_template(server, ("ingest",))


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000, help="how many; default one million")
    parser.add_argument("--seed", type=int, default=1, help="the same seed makes the same requests")
    parser.add_argument("--minutes", type=float, default=20.0, help="ends after that, sent or not")
    parser.add_argument("--examples", type=int, default=2_000, help="seeds of Hypothesis for each method")
    parser.add_argument("--findings", type=Path, default=findings.FOLDER, help="where findings are written")
    return parser


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
