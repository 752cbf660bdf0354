"""Limits under load: `python -m tests.load.sync.limits --seconds 300` (`make load-limits`).

First a million simulated calls under virtual time: random limits, latencies, losses, crashes, zombies,
headers; and saturated scenes for the use. Then 4 processes that hand one account's lease over again
and again against the real sandbox, which turns away whatever exceeds a window; then the same with
processes that end without a word. Exit code 1 when a figure misses its goal.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import anyio
from tests.contract.sandbox.process import SandboxProcess
from tests.load.figures import Figure, Goal, Report, conclude
from tests.load.sync.limit_worker import Plan
from tests.unit.sync.limit_model import MS, Model, Scene, random_scene

from headwater.kernel.testing.postgres import create_template, shared_server
from headwater.sync.domain.limiting import CLASSES, Rules
from headwater.sync.domain.windows import NS_PER_S, WindowRule

SCENE_CALLS = 2_000
"""Calls of one random scene: enough for dozens of windows, lives and crashes."""
USE_WINDOWS = 50
"""Windows of a saturated scene: the first, which is empty at the start, is 2 % of them."""
USE_GOAL = Goal(">=", 0.95)
NONE = Goal("<=", 0)
CALLS_PER_S = 10
"""HubSpot's smallest account: 100 calls in 10 s."""
ROOT = Path(__file__).resolve().parents[3]


def use_scene(
    limit: int, window_s: float, costs: Mapping[str, int], latency_ms: int, concurrency: int = 16
) -> Scene:
    """A vendor as documented, called as fast as it allows, its actor handed over every few windows."""
    width = int(window_s * NS_PER_S)
    tokens = bool(costs)
    rule = WindowRule("main", limit, width, frozenset(CLASSES), tokens)
    rules = Rules((rule,), dict(costs), concurrency, {}, 0)
    average = sum(costs.get(name, 1) for name in CLASSES) / len(CLASSES)
    return Scene(
        rules,
        int(USE_WINDOWS * limit / average),
        latency_ns=(MS, latency_ms * MS),
        life_ns=(width // 2, width * 3),
        timeout_ns=5 * NS_PER_S,
    )


USE_SCENES: Mapping[str, Scene] = {
    "100 calls in 10 s": use_scene(100, 10, {}, 100),
    "190 calls in 10 s": use_scene(190, 10, {}, 100),
    "50 calls in 1 s": use_scene(50, 1, {}, 12),
    "480 tokens in 2 s": use_scene(480, 2, {"write": 10, "read": 2, "search": 40, "auth": 1}, 20),
    "6,000 calls in 300 s": use_scene(6_000, 300, {}, 1_000, concurrency=52),
}


def simulate(calls: int, seed: int) -> list[Figure]:
    """Run random scenes of *calls* in all, then the saturated ones; return the figures."""
    begun, done, over = time.monotonic(), 0, 0
    use: list[float] = []
    for scene in USE_SCENES.values():
        seen = Model(scene, seed).run()
        done += seen.calls
        over += seen.over
        use.append(seen.use["main"])
    number = seed
    while done < calls:
        seen = Model(random_scene(random.Random(number), SCENE_CALLS), number).run()
        if seen.over:
            sys.stdout.write(f"seed {number}: {seen}\n")
        done, over, number = done + seen.calls, over + seen.over, number + 1
    sys.stdout.write(f"simulated {done} calls in {time.monotonic() - begun:.0f} s\n")
    return [
        Figure("windows over the limit, simulated", "windows", NONE, (float(over),)),
        Figure("simulated calls", "calls", Goal(">=", calls), (float(done),)),
        Figure("use of the allowance, simulated, the least of all vendors", "", USE_GOAL, (min(use),)),
    ]


@contextmanager
def workers(plan: Plan, count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Run processes; end them at the end of the block."""
    running = [start_worker(plan) for _ in range(count)]
    try:
        for child in running:
            wait_ready(child)
        yield running
    finally:
        for child in running:
            child.kill()
        for child in running:
            child.communicate()


def start_worker(plan: Plan) -> subprocess.Popen[bytes]:
    """Start one process."""
    path = os.pathsep.join([str(ROOT / "services"), str(ROOT)])
    return subprocess.Popen(
        [sys.executable, "-m", "tests.load.sync.limit_worker", json.dumps(asdict(plan))],
        env={**os.environ, "PYTHONPATH": path},
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )


def wait_ready(child: subprocess.Popen[bytes]) -> None:
    """Wait for the line that says that a process works."""
    assert child.stdout is not None
    child.stdout.readline()


def live_through(plan: Plan, seconds: float, count: int) -> int:
    """Let the processes work for *seconds*, putting a new one in the place of each that ended; return how many."""
    replaced = 0
    with workers(plan, count) as running:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(0.1)
            for index, child in enumerate(running):
                if child.poll() is not None:
                    child.communicate()
                    running[index] = start_worker(plan)
                    replaced += 1
    return replaced


def real(
    dsn: str, sandbox: SandboxProcess, seconds: float, crash_seconds: float, seed: int, window_s: float
) -> list[Figure]:
    """Run both parts with real processes; return the figures."""
    calls = int(CALLS_PER_S * window_s)
    usual = Plan(dsn, sandbox.url, "handover", calls, window_s, (0.5, 3.0), 10.0, 8, 0.0, seed)
    report = run_part(sandbox, usual, seconds)
    figures = [
        Figure("windows over the limit, 4 processes", "windows", NONE, (float(report["limited"]),)),
        Figure("hand-overs", "", Goal(">=", seconds / 5), (float(report["tokens"]),)),
        Figure("use of the allowance, 4 processes", "", USE_GOAL, (use_of(report, usual),)),
        Figure("processes that ended unasked", "", NONE, (float(report["ended"]),)),
    ]
    if crash_seconds:
        crashing = Plan(dsn, sandbox.url, "crashes", calls, window_s, (0.5, 3.0), 5.0, 8, 0.9, seed)
        after = run_part(sandbox, crashing, crash_seconds)
        sys.stdout.write(f"with {after['ended']} processes killed: use {use_of(after, crashing):.3f}\n")
        name = "windows over the limit, processes ending without a word"
        figures += [
            Figure(name, "windows", NONE, (float(after["limited"]),)),
            Figure("ends without a word", "", Goal(">=", 1), (float(after["ended"]),)),
        ]
    return figures


def run_part(sandbox: SandboxProcess, plan: Plan, seconds: float) -> dict[str, Any]:
    """Run one part; return the sandbox's report of the calls."""
    sandbox.empty("hubspot", plan.account)
    window_ms = int(plan.window_s * 1000)
    sandbox.options("hubspot", plan.account, calls_max=plan.calls, calls_window_ms=window_ms)
    ended = live_through(plan, seconds, 4)
    answer = sandbox.client.get(sandbox.admin("hubspot", plan.account, "calls")).raise_for_status()
    return {**answer.json(), "ended": ended}


def use_of(report: Mapping[str, Any], plan: Plan) -> float:
    """Return admitted calls over allowed ones, in whole windows of whole seconds after the first window."""
    seconds: dict[int, int] = {}
    for line in report["by_second"]:
        if line["verdict"] == "admitted":
            seconds[line["second"]] = seconds.get(line["second"], 0) + line["calls"]
    width = int(plan.window_s)
    begin, end = min(seconds, default=0) + width, max(seconds, default=0)
    windows = max(1, (end - begin) // width)
    admitted = sum(seconds.get(begin + number, 0) for number in range(windows * width))
    return admitted / (windows * plan.calls)


def main() -> int:
    """Run all and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0, help="of the run of processes; 0: none")
    parser.add_argument("--crash-seconds", type=float, default=60.0, help="of the run with crashes; 0: none")
    parser.add_argument("--window", type=float, default=10.0, help="of the account, whole seconds")
    parser.add_argument("--calls", type=int, default=1_000_000, help="simulated; 0: none")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, default=None)
    given = parser.parse_args()
    figures = simulate(given.calls, given.seed) if given.calls else []
    if given.seconds:
        with tempfile.TemporaryDirectory() as directory, shared_server() as server:
            dsn = anyio.run(create_template, server)
            with SandboxProcess(Path(directory)) as sandbox:
                figures += real(dsn, sandbox, given.seconds, given.crash_seconds, given.seed, given.window)
    return conclude(Report("Limits", figures), json_path=given.json)


if __name__ == "__main__":
    sys.exit(main())
