"""What a failing run leaves behind: plan, violations, hash and journal in one file, to be replayed bit for bit."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from tests.simulation.plan import Plan, plan_from_json
from tests.simulation.running import Verdict


def write_bundle(folder: Path, plan: Plan, verdict: Verdict, ablation: str = "") -> Path:
    """Write the bundle of a failing run; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"seed-{plan.seed}{f'-{ablation}' if ablation else ''}.json"
    bundle = {
        "seed": plan.seed,
        "ablation": ablation,
        "digest": verdict.digest,
        "violations": [asdict(item) for item in verdict.violations],
        "plan": plan.as_json(),
        "journal": list(verdict.journal),
    }
    path.write_text(json.dumps(bundle, indent=1), encoding="utf-8")
    return path


def read_bundle(path: Path) -> tuple[Plan, str, str]:
    """Return plan, hash and ablation of a bundle."""
    stored = json.loads(path.read_text(encoding="utf-8"))
    return plan_from_json(stored["plan"]), stored["digest"], stored["ablation"]
