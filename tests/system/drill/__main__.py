"""The live drill: real Prometheus and Alertmanager watch a whole Headwater while faults are brought about, one by one.

Each must raise its alert and no other. Hours become seconds: every window, pause and age of the rules is divided
by DIVISOR, with floors of some seconds (`headwater.alerting.rules`); shares and counts stay as they are.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import anyio
from deploy.grafana.boards import BOARDS
from tests.integration.alerting.tools import filled, find_tool
from tests.system.drill.faults import FAULTS, Fault, Scene
from tests.system.drill.feeding import Feed
from tests.system.drill.monitoring import Monitoring
from tests.system.policies import policy_text
from tests.system.tenant import Tenant, event
from tests.system.world import World, running_world, secret_variable

from headwater.alerting.rules import Scale
from headwater.cli.migrating import migrate_all
from headwater.kernel.pg.embedded import EmbeddedPostgres
from headwater.policy.loading import load_policy, policy_digest

DIVISOR: Final = 240.0
TARGETS: Final = 3
"""Processes with a door: ingest, identity, sync."""
CALM_S: Final = 75.0
"""Longest wait until nothing fires any more."""
FIRES_S: Final = 30.0
"""Longest wait for an alert."""
HOLD_S: Final = 4.0
"""How long it is listened for others after the last alert that was expected."""
LOOK_S: Final = 0.25
TENANT: Final = "t00"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one fault brought about."""

    fault: str
    what: str
    expected: list[str]
    told: list[str]
    fired_after_s: float | None
    passed: bool


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the drill; return 0 when every fault raised its alert and no other."""
    parser = argparse.ArgumentParser(prog="python -m tests.system.drill", description=__doc__)
    parser.add_argument("--only", action="append", default=[], help="one fault by its name; may be repeated")
    parser.add_argument("--json", type=Path, help="where to write the verdicts")
    parser.add_argument("--keep", action="store_true", help="keep the folder with logs and series")
    given = parser.parse_args(arguments)
    programs = {name: find_tool(name) for name in ("prometheus", "prometheus-alertmanager")}
    if missing := [name for name, path in programs.items() if path is None]:
        sys.stderr.write(
            f"no {', '.join(missing)}: `make drill-alerts` fetches them where there is apt-get\n"
        )
        return 1
    chosen = [fault for fault in FAULTS if not given.only or fault.name in given.only]
    directory = Path(tempfile.mkdtemp(prefix="headwater-drill-"))
    directory.chmod(0o755)  # Postgres, started by root, runs as another account and must be able to enter
    began_s = time.monotonic()
    try:
        with ExitStack() as stack:
            verdicts, checks = _drill(stack, directory, {k: str(v) for k, v in programs.items()}, chosen)
    finally:
        if given.keep:
            sys.stderr.write(f"kept: {directory}\n")
        else:
            shutil.rmtree(directory, ignore_errors=True)
    took_s = time.monotonic() - began_s
    _show(verdicts, checks, took_s)
    passed = all(one.passed for one in verdicts) and all(checks.values())
    if given.json:
        told = {
            "divisor": DIVISOR, "took_s": round(took_s, 1), "passed": passed, "checks": checks,
            "faults": [asdict(one) for one in verdicts],
        }  # fmt: skip
        given.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return 0 if passed else 1


def _drill(
    stack: ExitStack, directory: Path, programs: dict[str, str], faults: Sequence[Fault]
) -> tuple[list[Verdict], dict[str, bool]]:
    targets = directory / "targets"
    os.environ |= {
        "HEADWATER_METRICS_ADDRESS": "127.0.0.1:0",
        "HEADWATER_METRICS_TARGETS_DIR": str(targets),
        "HEADWATER_SYNC_AUDIT_CHECKPOINT_S": "1",
    }
    server = EmbeddedPostgres(directory / "postgres")
    url = server.start()
    stack.callback(server.stop)
    anyio.run(migrate_all, url)
    world = stack.enter_context(running_world(url, directory))
    tenant, text = _tenant(world)
    feed = Feed(tenant)
    stack.enter_context(feed.running())
    monitoring = Monitoring(directory, targets, load_policy(text), Scale(DIVISOR), programs)
    stack.enter_context(monitoring.running())
    _until(lambda: monitoring.up() == TARGETS, 20, "all doors answer Prometheus")
    scene = Scene(world, tenant, feed)
    time.sleep(8)  # some windows have to fill first
    verdicts = []
    for fault in faults:
        verdicts.append(_try(scene, monitoring, fault))
        sys.stderr.write(f"{'PASS' if verdicts[-1].passed else 'FAIL'} {fault.name}: {verdicts[-1].told}\n")
    return verdicts, _checks(monitoring)


def _tenant(world: World) -> tuple[Tenant, str]:
    """Return a tenant whose traffic is expected at every hour; alarms and pauses as in production."""
    tenant = Tenant(world, TENANT)
    retry = {"fast_s": [0.5, 1.0, 1.0], "slow_s": [2.0] * 12, "in_doubt_s": 0.5}
    text = policy_text(world.sandbox_url, TENANT, secret_variable(TENANT), retry=retry, timeout_s=10.0)
    document = json.loads(text)
    for vendor, connector in document["connectors"].items():
        connector["alarms"] = {"traffic_hours_utc": [0, 24], "traffic_days": list(range(7))}
        place = f"/_sandbox/{vendor}/{TENANT}"
        world.http.post(f"{place}/reset", json={"seed": False}).raise_for_status()
        world.http.put(
            f"{place}/options", json={"calls_max": 1_000, "calls_daily_max": 1_000_000}
        ).raise_for_status()
    text = json.dumps(document, indent=1)
    recorded = event("headwater", "policy", TENANT, document=text, digest=policy_digest(text))
    recorded.request_id = f"policy:{policy_digest(text)}"
    tenant.record_one(recorded)
    world.until(
        lambda: len(tenant.connectors()) == 2 and all(one.holder for one in tenant.connectors().values()),
        "served",
    )
    return tenant, text


def _try(scene: Scene, monitoring: Monitoring, fault: Fault) -> Verdict:
    """Bring a fault about, wait for its alerts, listen for others, heal it."""
    calm = _wait(lambda: not monitoring.firing(), CALM_S)
    stray = set() if calm else {f"before: {name}" for name in monitoring.firing()}
    began_s = time.monotonic()
    with fault.inject(scene):
        fired = _wait(lambda: fault.alerts <= {one.shown for one in monitoring.pager.since(began_s)}, FIRES_S)
        fired_after_s = round(time.monotonic() - began_s, 1) if fired else None
        time.sleep(HOLD_S)
        told = {one.shown for one in monitoring.pager.since(began_s)} | stray
    passed = told == set(fault.alerts)
    return Verdict(fault.name, fault.what, sorted(fault.alerts), sorted(told), fired_after_s, passed)


def _checks(monitoring: Monitoring) -> dict[str, bool]:
    """Return what else a live Prometheus must tell."""
    exemplars = monitoring.exemplars("headwater_delivery_latency_seconds_bucket", 600)
    traces = [one["labels"].get("trace_id") for series in exemplars for one in series["exemplars"]]
    panels = [panel for board in BOARDS for panel in board.panels if not panel.may_be_empty]
    empty = [p.title for p in panels for query, _ in p.queries if not monitoring.query(filled(query))]
    if empty:
        sys.stderr.write(f"panels without data: {empty}\n")
    return {
        f"every query of the dashboards' {len(panels)} panels returns data": not empty,
        "the dead man's switch is heard at its own receiver": monitoring.pager.heard_switch(),
        "exemplars lead from the latency to traces": any(traces),
    }


def _show(verdicts: Sequence[Verdict], checks: dict[str, bool], took_s: float) -> None:
    lines = [f"{'fault':18} {'verdict':8} {'after':>7}  told"]
    for one in verdicts:
        after = "-" if one.fired_after_s is None else f"{one.fired_after_s:.1f} s"
        told = ", ".join(one.told) or "nothing"
        wanted = "" if one.passed else f"   expected: {', '.join(one.expected)}"
        lines.append(f"{one.fault:18} {'PASS' if one.passed else 'FAIL':8} {after:>7}  {told}{wanted}")
    lines += [f"{'PASS' if passed else 'FAIL'}: {name}" for name, passed in checks.items()]
    lines.append(f"times divided by {DIVISOR:g}; took {took_s:.0f} s")
    sys.stdout.write("\n".join(lines) + "\n")


def _until(question: Callable[[], bool], timeout_s: float, what: str) -> None:
    if not _wait(question, timeout_s):
        raise AssertionError(f"not within {timeout_s:g} s: {what}")


def _wait(question: Callable[[], Any], timeout_s: float) -> bool:
    give_up_at = time.monotonic() + timeout_s
    while not question():
        if time.monotonic() > give_up_at:
            return False
        time.sleep(LOOK_S)
    return True


if __name__ == "__main__":
    sys.exit(main())
