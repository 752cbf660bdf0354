"""The coverage-guided run (`make fuzz-guided`): atheris on the pure targets, each in a process of its own.

atheris is libFuzzer for Python: it keeps inputs that reach code which none before reached. It is no dependency of
the project: `requirements-guided.txt` beside this file pins it for the make target.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from tests.fuzz import findings, values
from tests.fuzz.corpus import make_examples
from tests.fuzz.policy import POLICY
from tests.fuzz.strategies import INGEST_HINTS

from headwater.event.v1 import event_pb2

INSTRUMENTED: Final = ("headwater.ingest", "headwater.policy", "headwater.kernel", "tests.fuzz.pure")
INPUT_BYTES_MAX: Final = 65_536
RSS_MB_MAX: Final = 4_096
HANG_S: Final = 10
_STATS = re.compile(r"stat::(number_of_executed_units|new_units_added|peak_rss_mb):\s+(\d+)")
_COVERAGE = re.compile(r"cov: (\d+) ft: (\d+) corp: (\d+)")


def main() -> int:
    """Run every target, or inside a child the one that it is told; exit code 1 when anything was found."""
    options = _options().parse_args()
    if options.inside:
        _fuzz_inside(options.inside, options.rest)
        return 0
    names = options.target or list(_seeds_of())
    with tempfile.TemporaryDirectory(prefix="headwater-guided-") as folder:
        clean = [_run_target(name, Path(folder), options) for name in names]
    return 0 if all(clean) else 1


def _fuzz_inside(target: str, arguments: Sequence[str]) -> None:
    import atheris  # type: ignore[import-untyped,import-not-found,unused-ignore]  # noqa: PLC0415 - there in the child only

    with atheris.instrument_imports(include=list(INSTRUMENTED)):
        from tests.fuzz import pure  # noqa: PLC0415 - instrumented as it is imported
    mutator = {"custom_mutator": pure.mutated} if target == "event" else {}
    atheris.Setup([sys.argv[0], *arguments], pure.TARGETS[target], **mutator)
    atheris.Fuzz()


def _run_target(name: str, folder: Path, options: argparse.Namespace) -> bool:
    corpus, crashes = folder / name, folder / f"{name}-crashes"
    corpus.mkdir()
    crashes.mkdir()
    seeds = list(_seeds_of()[name])
    for number, seed in enumerate(seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    command = [sys.executable, "-m", "tests.fuzz.guided", "--inside", name, "--", str(corpus)]
    limits = [f"-max_total_time={options.seconds}", f"-seed={options.seed}", f"-timeout={HANG_S}"]
    sizes = [f"-max_len={INPUT_BYTES_MAX}", f"-rss_limit_mb={RSS_MB_MAX}", f"-artifact_prefix={crashes}/"]
    done = subprocess.run(
        [*command, *limits, *sizes, "-print_final_stats=1"], capture_output=True, check=False
    )
    output = done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")
    _say(f"{name}: {_figures(output, len(seeds))}")
    for crash in sorted(crashes.iterdir()):
        found = findings.Finding(name, crash.read_bytes(), _reason(output), service="pure")
        _say(f"  FOUND {found.breach}; written: {findings.write(found, options.findings)}")
    if done.returncode and not any(crashes.iterdir()):
        _say(output[-3000:])
    return done.returncode == 0


def _figures(output: str, seeds: int) -> str:
    stats = {found[1]: found[2] for found in _STATS.finditer(output)}
    seen = _COVERAGE.findall(output)
    first, last = (seen[0], seen[-1]) if seen else (("0", "0", "0"), ("0", "0", "0"))
    return (
        f"{stats.get('number_of_executed_units', '?')} executions, {seeds} seeds, "
        f"corpus {first[2]} -> {last[2]}, edges {first[0]} -> {last[0]}, features {first[1]} -> {last[1]}"
    )


def _reason(output: str) -> str:
    uncaught = output.partition("Uncaught Python exception")[2].splitlines()
    return next((line for line in uncaught[1:] if line.strip()), "crash, hang or out of memory")[:300]


def _seeds_of() -> dict[str, Iterator[bytes]]:
    return {
        "event": iter(make_examples(event_pb2.Event.DESCRIPTOR, INGEST_HINTS, examples=500, chance_seed=1)),
        "payload": iter([item for item in values.ODD_PAYLOADS if len(item) < INPUT_BYTES_MAX]),
        "policy": iter([POLICY.encode(), *(text.encode() for text in values.ODD_POLICIES)]),
        "page_token": iter([text.encode() for text in values.PAGE_TOKENS]),
        "trace": iter([f"{text}\na=1".encode() for text in values.TRACEPARENTS]),
    }


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make fuzz-guided", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--target", action="append", help="only this one; may be given again")
    parser.add_argument("--findings", type=Path, default=findings.FOLDER, help="where findings are written")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    parser.add_argument("rest", nargs="*", help=argparse.SUPPRESS)
    return parser


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
