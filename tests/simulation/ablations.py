"""Engines that lack one safeguard each: the suite is worth what it catches of them.

Each is the product with one part replaced by one of `weakening` that leaves one thing out. Where one
safeguard covers for another, both are gone, and the table says so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from tests.simulation import weakening as weak
from tests.simulation import weakening_orders as weak_orders
from tests.simulation.engine import PRODUCT
from tests.simulation.process import Parts
from tests.simulation.store import replays, settling
from tests.simulation.swapping import Swap

from headwater.sync.delivery import account, handling
from headwater.sync.domain import rollout
from headwater.sync.rollouts import worker as rolling_worker


@dataclass(frozen=True, slots=True)
class Ablation:
    """A safeguard that is gone.

    Args:
        lacks: what is missing, in a few words.
        seed: one that shows it.
    """

    name: str
    lacks: str
    seed: int
    parts: Parts


_ROWS: Final[tuple[tuple[str, str, dict[str, Any]], ...]] = (
    (
        "no-fence",
        "no fence at turns and books (and no deadline, which covers for it)",
        {"deliveries": weak.NoFence, "books": weak.NoFenceBooks, **weak.NEVER_LOST},
    ),
    (
        "releases-at-send",
        "places in windows free from the sending on",
        {"swaps": (Swap(account, "Limiter", weak.ReleasesAtSend),)},
    ),
    ("usage-forgotten", "a successor's windows are empty", {"books": weak.UsageForgotten}),
    (
        "lane-shares",
        "live work goes first without end",
        {"document": weak.with_connectors(lanes=weak.ALL_LIVE)},
    ),
    ("quota-ignored", "the day's quota is not counted", {"document": weak.with_limits(daily_calls=0)}),
    ("retry-after-ignored", "a 429 and its Retry-After are not heard", {"gate": weak.DeafGate}),
    (
        "poison-not-isolated",
        "a row that cannot be handled is never parked",
        {"swaps": (Swap(handling, "choose_parked", weak.never_parked),)},
    ),
    (
        "halves-not-in-doubt",
        "halves of a batch that failed are sent again unasked",
        {"swaps": (Swap(handling, "_halves", weak.certain_halves),)},
    ),
    ("doubt-is-failure", "a lost answer is a plain failure", {"connector": weak.reworded(weak.not_in_doubt)}),
    ("doubt-forgotten", "what is in doubt is settled as failed", {"deliveries": weak.DoubtForgotten}),
    ("no-look-up", "in doubt, but never looked up", {"connector": weak.NoLookUp}),
    ("no-exclusion", "in-flight entities may be claimed again", {"deliveries": weak.NoExclusion}),
    (
        "put-back-held",
        "what a slot puts back is kept from the other slots",
        {"deliveries": weak.PutBackHeld},
    ),
    (
        "breaker-counts-nothing",
        "the breaker never opens",
        {"document": weak.with_policy(breaker={"failures": 100})},
    ),
    (
        "no-limiter",
        "windows far wider than the vendor's",
        {"document": weak.with_limits(window={"calls": 1000, "window_s": 1.0})},
    ),
    ("takeover-ignores-journal", "nothing is in doubt after a crash", {"deliveries": weak.ForgetfulTakeover}),
    ("newer-ignored", "settling hides a newer desired version", {"deliveries": weak.NewerIgnored}),
    ("attempts-reset", "each try counts as the first", {"deliveries": weak.AttemptsReset}),
    (
        "no-deadline",
        "a process works on after its lease has lapsed",
        {"may_work": weak.always, **weak.NEVER_LOST},
    ),
    ("no-sweep", "the low-water mark is never swept behind", {"deliveries": weak.NoSweep}),
    (
        "adoption-unchecked",
        "a CRM record is adopted whoever owns it (and no unique index, which covers for it)",
        {
            "connector": weak.NoOwners,
            "deliveries": weak.NoHolders,
            "swaps": (Swap(settling, "_refuse_impossible", weak.nothing),),
        },
    ),
    (
        "no-heir",
        "the CRM record of a merged entity stays with it, in the way of the one it was merged into",
        {"deliveries": weak.NoHeir},
    ),
    ("by-position", "answers are matched to rows by place", {"connector": weak.ByPosition}),
    (
        "no-retry",
        "the first failure buries",
        {"document": weak.with_policy(retry={"fast_s": [], "slow_s": []})},
    ),
    (
        "batch-unbounded",
        "calls larger than the policy allows",
        {"document": weak.with_limits(batch_records=100)},
    ),
    (
        "concurrency-unbounded",
        "more calls at once than the policy allows",
        {"document": weak.with_limits(concurrency=32)},
    ),
    ("no-audit", "deliveries without audit", {"deliveries": weak.NoAudit}),
    ("turns-not-numbered", "a turn sent again settles again", {"deliveries": weak.TurnsNotNumbered}),
    (
        "referrers-not-woken",
        "nobody is told that a referred record is there",
        {"deliveries": weak.ReferrersNotWoken},
    ),
    ("shared-leases", "two processes hold one lease", {"leases": weak.SharedLeases}),
    (
        "same-fence",
        "a new holder gets the old fence (and no deadline, which covers for it)",
        {"leases": weak.SameFence, **weak.NEVER_LOST},
    ),
    ("leases-for-ever", "a dead process keeps its leases", {"leases": weak.LeasesForEver}),
    ("nobody-watches", "sleeping accounts hear notifications only", {"due_times": weak.NobodyWatches}),
    (
        "cursor-apart",
        "the cursor moves outside of the transaction",
        {"projections": weak.CursorApartProjections},
    ),
    ("echo-unchecked", "what a CRM tells counts, whoever wrote it", {"echoes": weak_orders.no_echoes}),
    (
        "own-writes-forgotten",
        "an old look at a record is not told from a change",
        {"held_records": weak_orders.OwnWritesForgotten},
    ),
    (
        "echo-before-settling",
        "what comes back before its write is settled counts",
        {"held_records": weak_orders.NothingWritten},
    ),
    ("nothing-coming", "what is on its way is not known", {"held_records": weak_orders.NothingComing}),
    (
        "replay-unpaced",
        "a replay makes all due at once",
        {"swaps": (Swap(replays, "portion", weak_orders.all_at_once),)},
    ),
    (
        "replay-unasked",
        "what is in doubt is replayed without a look-up",
        {"replays": weak_orders.ReplaysUnasked},
    ),
    ("replay-resets", "a replay begins to count tries anew", {"replays": weak_orders.ReplaysResetTries}),
    (
        "rollout-never-aborts",
        "failures end no rollout",
        {"swaps": (Swap(rollout, "exceeds", weak.never_exceeds),)},
    ),
    (
        "rollout-at-once",
        "a rollout has one stage",
        {"swaps": (Swap(rollout, "stage_ends", weak_orders.one_stage),)},
    ),
    (
        "rollout-policy-stays",
        "an abort leaves its policy in force",
        {"swaps": (Swap(rolling_worker, "way_back", weak_orders.left_in_force),)},
    ),
    ("marks-lost", "a mark of a delivery under way is dropped", {"projections": weak.MarksLostProjections}),
)

_SEEDS: Final[dict[str, int]] = {
    "no-fence": 3,
    "releases-at-send": 2,
    "usage-forgotten": 13,
    "lane-shares": 32,
    "quota-ignored": 61,
    "retry-after-ignored": 12,
    "poison-not-isolated": 10,
    "halves-not-in-doubt": 14,
    "doubt-is-failure": 18,
    "doubt-forgotten": 69,
    "no-look-up": 2,
    "no-exclusion": 0,
    "put-back-held": 99,
    "breaker-counts-nothing": 45,
    "no-limiter": 2,
    "takeover-ignores-journal": 2,
    "newer-ignored": 17,
    "attempts-reset": 0,
    "no-deadline": 17,
    "no-sweep": 10,
    "adoption-unchecked": 7,
    "no-heir": 60,
    "by-position": 2,
    "no-retry": 2,
    "batch-unbounded": 0,
    "concurrency-unbounded": 1,
    "no-audit": 0,
    "turns-not-numbered": 62,
    "referrers-not-woken": 46,
    "shared-leases": 0,
    "same-fence": 3,
    "leases-for-ever": 1,
    "nobody-watches": 2,
    "cursor-apart": 3,
    "echo-unchecked": 2,
    "own-writes-forgotten": 2,
    "echo-before-settling": 2,
    "nothing-coming": 2,
    "replay-unpaced": 2,
    "replay-unasked": 95,
    "replay-resets": 2,
    "rollout-never-aborts": 0,
    "rollout-at-once": 1,
    "rollout-policy-stays": 0,
    "marks-lost": 16,
}
"""A seed that shows each."""
ABLATIONS: Final = tuple(
    Ablation(name, lacks, _SEEDS[name], replace(PRODUCT, **parts)) for name, lacks, parts in _ROWS
)
