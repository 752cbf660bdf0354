"""Proofs about the identity service on a real Postgres: `python -m tests.identity_histories`; exit code 1 when one fails.

Histories of concurrent clients, some while processes are killed, are checked for an order that explains them; 64
resolvers must leave no duplicate entity; what was merged, split and corrected must be undone without a trace. And the
same with one safeguard less each, which must be caught.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
"""Before grpc is imported: its fork handlers crash the children that start and end the embedded server."""

import anyio  # noqa: E402
from rich.console import Console  # noqa: E402
from tests.identity_histories.calls import read_history  # noqa: E402
from tests.identity_histories.checking import check, explain  # noqa: E402
from tests.identity_histories.crowding import RESOLVERS, Crowded, resolve_crowd  # noqa: E402
from tests.identity_histories.crowds import make_crowd  # noqa: E402
from tests.identity_histories.faults import Faulted, run_faulted  # noqa: E402
from tests.identity_histories.model import IdentityModel  # noqa: E402
from tests.identity_histories.services import service_on  # noqa: E402
from tests.identity_histories.tallying import Order, Tally, run_name, tally_histories  # noqa: E402
from tests.identity_histories.undoing_many import undo_sequences  # noqa: E402
from tests.identity_histories.weakened import WEAKENED, Forgiving, NoLock  # noqa: E402
from tests.load.figures import Figure, Goal, Report, conclude  # noqa: E402
from tests.system.chaos.striking import chosen_seed  # noqa: E402

from headwater.identity.store import PostgresIdentityStore  # noqa: E402
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
        if asked.records:
            figures += _crowds(url, asked.records, seed, console, details)
        if asked.sequences:
            figures += _undone(url, asked.sequences, seed, console, details)
        for name in () if asked.no_controls else WEAKENED:
            order = Order(CONTROL_HISTORIES_MAX, seed, asked.findings / "controls", failures_max=1)
            figures.append(_caught(name, anyio.run(_control, url, order, name, console), details, console))
    if asked.faulted:
        order = Order(asked.faulted, seed, asked.findings / "faulted")
        figures += _judge_faulted(run_faulted(order, asked.kills, console), details, console)
    return conclude(
        Report("Identity: histories, duplicates, undoing", figures, details), json_path=asked.json
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.identity_histories", description=__doc__)
    parser.add_argument("--histories", type=int, default=10_000, help="how many (10,000; 0 for none)")
    parser.add_argument("--faulted", type=int, default=400, help="how many while processes die (400)")
    parser.add_argument("--kills", type=int, default=12, help="kills, every third of Postgres (12)")
    parser.add_argument("--records", type=int, default=20_000, help="brought by 64 resolvers (20,000)")
    parser.add_argument("--sequences", type=int, default=10_000, help="done and undone (10,000)")
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


async def _crowd(url: str, size: int, seed: int, store: type[PostgresIdentityStore]) -> Crowded:
    async with service_on(url, RESOLVERS, store, replicas=RESOLVERS) as service:
        return await resolve_crowd(service, run_name(seed), make_crowd(size, seed), seed)


def _crowds(url: str, size: int, seed: int, console: Console, details: dict[str, Any]) -> Iterator[Figure]:
    """Judge the crowd, then the same without locks."""
    goals: tuple[tuple[str, type[PostgresIdentityStore], Goal], ...] = (
        ("duplicate entities", PostgresIdentityStore, NONE),
        ("duplicate entities in the control, no locks", NoLock, Goal(">=", 1)),
    )
    for name, store, goal in goals:
        found = anyio.run(_crowd, url, size, seed, store)
        console.print(found.line(), highlight=False)
        details[name] = asdict(found)
        yield Figure(name, "", goal, (float(found.findings.duplicates),))


def _undone(url: str, sequences: int, seed: int, console: Console, details: dict[str, Any]) -> list[Figure]:
    done = anyio.run(undo_sequences, url, sequences, seed, console)
    console.print(done.line(), *done.failures, sep="\n", markup=False, highlight=False)
    details["undone"] = asdict(done)
    return [
        Figure("sequences undone", "", Goal(">=", sequences), (float(done.sequences),)),
        Figure("sequences that left a trace", "", NONE, (float(len(done.failures)),)),
    ]


def _caught(name: str, tally: Tally, details: dict[str, Any], console: Console) -> Figure:
    console.print(f"{name}: {tally.line()}", highlight=False)
    details[name] = _facts(tally)
    return Figure(f"control caught, {name}", "", Goal(">=", 1), (float(tally.rejected),))


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
