"""Proofs about the identity service on a real Postgres: `python -m tests.identity_histories`; exit code 1 when one fails.

Histories of concurrent clients, some while processes are killed, are checked for an order that explains them; and the
same without one safeguard each, which must be caught.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
"""Before grpc is imported: its fork handlers crash the children that start and end the embedded server."""

import anyio  # noqa: E402
from rich.console import Console  # noqa: E402
from tests.identity_histories.calls import read_history  # noqa: E402
from tests.identity_histories.checking import check, explain  # noqa: E402
from tests.identity_histories.faults import Faulted, run_faulted  # noqa: E402
from tests.identity_histories.model import IdentityModel  # noqa: E402
from tests.identity_histories.services import service_on  # noqa: E402
from tests.identity_histories.tallying import Order, Tally, tally_histories  # noqa: E402
from tests.identity_histories.weakened import WEAKENED, Forgiving  # noqa: E402
from tests.load.figures import Figure, Goal, Report, conclude  # noqa: E402
from tests.system.chaos.striking import chosen_seed  # noqa: E402

from headwater.kernel.testing import postgres  # noqa: E402

CONTROL_HISTORIES_MAX = 4_000
NONE = Goal("<=", 0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for."""
    asked = _parser().parse_args(arguments)
    if asked.replay:
        return _replay(asked.replay)
    seed = chosen_seed() if asked.seed is None else asked.seed
    console = Console(stderr=True)
    console.print(f"seed {seed}")
    figures: list[Figure] = []
    details: dict[str, Any] = {"seed": seed}
    with postgres.shared_server() as server:
        url = anyio.run(postgres.create_template, server)
        if asked.histories:
            order = Order(asked.histories, seed, asked.findings)
            figures += _judge("history", anyio.run(_histories, url, order, console), details, console)
        for name in () if asked.no_controls else WEAKENED:
            order = Order(CONTROL_HISTORIES_MAX, seed, asked.findings / "controls", failures_max=1)
            caught = anyio.run(_control, url, order, name, console)
            console.print(f"{name}: {caught.line()}", highlight=False)
            details[name] = _facts(caught)
            figures.append(Figure(f"control caught, {name}", "", Goal(">=", 1), (float(caught.rejected),)))
    if asked.faulted:
        order = Order(asked.faulted, seed, asked.findings / "faulted")
        figures += _judge_faulted(run_faulted(order, asked.kills, console), details, console)
    return conclude(Report("Identity: histories", figures, details), json_path=asked.json)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.identity_histories", description=__doc__)
    parser.add_argument("--histories", type=int, default=10_000, help="how many (10,000; 0 for none)")
    parser.add_argument("--faulted", type=int, default=400, help="how many while processes die (400)")
    parser.add_argument("--kills", type=int, default=12, help="kills, every third of Postgres (12)")
    parser.add_argument("--no-controls", action="store_true", help="leave out the weakened services")
    parser.add_argument("--seed", type=int, help="draws the same calls again; their timing is the machine's")
    parser.add_argument("--findings", type=Path, default=Path("identity-findings"), help="where failures go")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--replay", type=Path, help="check one history that was kept, and explain it")
    return parser


async def _histories(url: str, order: Order, console: Console) -> Tally:
    async with service_on(url) as service:
        return await tally_histories(service, order, "histories", console)


async def _control(url: str, order: Order, name: str, console: Console) -> Tally:
    async with service_on(url, store=WEAKENED[name]) as service:
        return await tally_histories(Forgiving(service), order, name, console)


def _judge(title: str, tally: Tally, details: dict[str, Any], console: Console) -> list[Figure]:
    console.print(f"{title}: {tally.line()}", highlight=False)
    for failure in tally.failures:
        console.print(failure, markup=False, highlight=False)
    details[title] = _facts(tally)
    return [
        Figure(f"{title}: checked", "", Goal(">=", 1), (float(tally.histories),)),
        Figure(f"{title}: not linearizable", "", NONE, (float(tally.rejected),)),
        Figure(f"{title}: undecided", "", NONE, (float(tally.undecided),)),
    ]


def _facts(tally: Tally) -> dict[str, Any]:
    return {**asdict(tally), "failures": [text.partition(":")[0] for text in tally.failures]}


def _judge_faulted(found: Faulted, details: dict[str, Any], console: Console) -> list[Figure]:
    console.print(f"killed {found.kills}; {found.merges} merges; half done: {found.broken or 'none'}")
    figures = _judge("history under faults", found.tally, details, console)
    details["kills"] = found.kills
    return [*figures, Figure("half-done merges and splits", "", NONE, (float(sum(found.broken.values())),))]


def _replay(path: Path) -> int:
    saved = read_history(path)
    verdict = check(IdentityModel(), saved.operations)
    sys.stdout.write(f"{saved.source}\n{explain(saved.operations, verdict)}\n")
    return 0 if verdict.good else 1


if __name__ == "__main__":
    sys.exit(main())
