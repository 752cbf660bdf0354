"""What one seed does: who runs, what is recorded when, and what breaks when. Pure values, made from a seed.

A plan is data, so that a failing one can be written down, replayed, and made smaller piece by piece.
"""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Literal, get_args

from tests.simulation.chance import stream
from tests.simulation.crm import Ailment

FaultKind = Literal[
    "crash", "crash_at_step", "pause", "clock", "hand_over", "policy", "database", "races", "identity",
    "delete", "ail", "operator", "rollout",
]  # fmt: skip
CHAOS_S: Final = 30.0
"""How long events come and things break."""
QUIET_S_MAX: Final = 240.0
"""How long after the last fault everything must stand still (I9)."""
AILMENTS: Final[tuple[Ailment, ...]] = get_args(Ailment)


@dataclass(frozen=True, slots=True)
class PlannedAccount:
    """One connector account with its CRM."""

    tenant: str
    name: str
    calls: int
    window_s: float
    concurrency: int
    batch_records: int
    unique_external_id: bool
    unique_email: bool
    daily_calls: int = 0
    two_way: bool = False

    @property
    def is_unmetered(self) -> bool:
        """Whether no quota of a day may leave deliveries waiting when the run ends."""
        return not self.daily_calls

    @property
    def place(self) -> tuple[str, str]:
        """Tenant and connector."""
        return self.tenant, self.name

    @property
    def system(self) -> str:
        """Name of the system that it belongs to, and source of what it tells."""
        return f"crm-{self.name}"

    @property
    def crm(self) -> str:
        """Name of its CRM."""
        return f"{self.tenant}-{self.name}"


@dataclass(frozen=True, slots=True)
class PlannedEvent:
    """One event: what a source says at a moment.

    Args:
        number: rank by event time; the value that the order check follows.
        kind: `contact`, `account`, `merge`, `delete`, `unreadable`, `unstorable` or `mangled`.
        subject: external id of the record; of a merge, the winner's.
        other: the account a contact refers to; of a merge, the loser's record.
    """

    number: int
    time_s: float
    tenant: str
    source: str
    kind: str
    subject: str
    other: str = ""
    email: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that breaks from *start_s* to *end_s*.

    Args:
        target: a process, a CRM, or empty for all.
        what: of `ail`, the ailment.
        size: probability, seconds, or number of a step, by kind.
    """

    kind: FaultKind
    start_s: float
    end_s: float
    target: str = ""
    what: str = ""
    size: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that a run is made of, besides the engine."""

    seed: int
    processes: int
    accounts: tuple[PlannedAccount, ...]
    events: tuple[PlannedEvent, ...]
    faults: tuple[Fault, ...]
    lease_ttl_s: float = 5.0
    profile: str = "chaos"

    def as_json(self) -> dict[str, Any]:
        """Return the plan in JSON's values."""
        return asdict(self)


def plan_from_json(stored: dict[str, Any]) -> Plan:
    """Return the plan that was written down."""
    return Plan(
        **{
            **stored,
            "accounts": tuple(PlannedAccount(**item) for item in stored["accounts"]),
            "events": tuple(PlannedEvent(**item) for item in stored["events"]),
            "faults": tuple(Fault(**item) for item in stored["faults"]),
        }
    )


def make_plan(seed: int) -> Plan:
    """Return the plan of *seed*: chaos, or one of the profiles that look at one thing closely."""
    dice = stream(seed, "profile")
    die = dice.random()
    if die < 0.05:
        return _lanes_plan(seed, dice)
    if die < 0.15:
        return _pauses_plan(seed, dice)
    if die < 0.25:
        return _quota_plan(seed, dice)
    if die < 0.32:
        return _unheard_plan(seed, dice)
    if die < 0.36:
        return _rollout_plan(seed, dice)
    plan = _operated(_chaos_plan(seed))
    if die < 0.40:
        return _poisoned(plan, dice)
    return _two_way(plan) if die < 0.60 else plan


def _rollout_plan(seed: int, dice: random.Random) -> Plan:
    """Return a plan in which a new mapping is rolled out to what was delivered before, and processes and database fail."""
    account = PlannedAccount(
        "t0", "c0", 20, 1.0, dice.choice((1, 2)), dice.choice((1, 3)), dice.random() < 0.5, False
    )
    said = [(dice.uniform(0.0, 5.0), "site", f"p{number}") for number in range(dice.choice((3, 12, 25)))]
    processes = dice.choice((1, 2, 3))
    begins_s = 15.0
    rollout = Fault("rollout", begins_s, begins_s, account.crm, dice.choice(("Grade", "Bad")))
    kinds: tuple[FaultKind, ...] = ("crash", "hand_over", "pause", "clock", "database", "races")
    broken = tuple(
        _process_fault(dice, dice.choice(kinds), f"p{dice.randrange(processes)}", begins_s)
        for _ in range(dice.randint(0, 4))
    )
    return Plan(
        seed, processes, (account,), _numbered_events("t0", said), (rollout, *broken), profile="rollout"
    )


def _process_fault(dice: random.Random, kind: FaultKind, process: str, begins_s: float) -> Fault:
    start_s = begins_s + dice.uniform(0.0, 12.0)
    target = "" if kind in {"database", "races"} else process
    size = dice.choice((-3600.0, -5.0, 5.0, 3600.0)) if kind == "clock" else 0.3
    return Fault(kind, start_s, start_s + dice.uniform(0.5, 7.0), target, size=size)


def _operated(plan: Plan) -> Plan:
    """Return *plan* with an operator who replays and gives up deliveries meanwhile, and more that dies, at times."""
    dice = stream(plan.seed, "operator")
    if dice.random() < 0.6 or plan.profile != "chaos":
        return plan
    accounts, count = plan.accounts, len(plan.events)
    begins_s = dice.uniform(0.0, CHAOS_S * 0.5)
    dying = tuple(
        PlannedEvent(
            count + number, begins_s + dice.uniform(0.0, 1.0), dice.choice(accounts).tenant, "site",
            "mangled" if number == 1 else dice.choice(("rejected", "contact")), f"dying{number}", "", f"dying{number}@x.io",
        )
        for number in range(1, dice.randint(2, 9))
    )  # fmt: skip
    faults = tuple(
        Fault(
            "operator", start_s, start_s, dice.choice(accounts).crm, dice.choice(("all", "named", "discard"))
        )
        for start_s in (dice.uniform(begins_s, CHAOS_S) for _ in range(dice.randint(1, 4)))
    )
    return replace(plan, events=(*plan.events, *dying), faults=(*plan.faults, *faults))


def _two_way(plan: Plan) -> Plan:
    """Return *plan* with CRMs that tell what changes in them, also what we change."""
    accounts = tuple(replace(item, two_way=True) for item in plan.accounts)
    return replace(plan, accounts=accounts, profile="two_way" if plan.profile == "chaos" else plan.profile)


def _lanes_plan(seed: int, dice: random.Random) -> Plan:
    """Return a plan in which live work comes faster than it can go, and some backfill before it."""
    account = PlannedAccount("t0", "c0", 3, 1.0, 1, 1, unique_external_id=True, unique_email=False)
    slow = [(dice.uniform(0.0, 1.0), "bulk", f"b{number}") for number in range(4)]
    live = [(dice.uniform(0.0, 15.0), "site", f"p{number}") for number in range(110)]
    events = _numbered_events("t0", [*slow, *live])
    return Plan(seed, 1, (account,), events, (), profile="lanes")


def _numbered_events(tenant: str, said: list[tuple[float, str, str]]) -> tuple[PlannedEvent, ...]:
    return tuple(
        PlannedEvent(number + 1, time_s, tenant, source, "contact", subject, "", f"{subject}@x.io")
        for number, (time_s, source, subject) in enumerate(sorted(said))
    )


def _pauses_plan(seed: int, dice: random.Random) -> Plan:
    """Return a plan of processes that stand still for longer than their leases, under constant traffic."""
    calls, window_s = dice.choice(((5, 1.0), (20, 4.0), (100, 10.0)))
    accounts = tuple(
        PlannedAccount(
            "t0", f"c{number}", calls, window_s, dice.choice((1, 2)), dice.choice((1, 3)), False,
            dice.random() < 0.3,
        )
        for number in range(dice.choice((1, 2)))
    )  # fmt: skip
    processes = dice.choice((2, 3))
    said = [
        (dice.uniform(0.0, CHAOS_S), "site", f"p{dice.randrange(dice.choice((3, 40)))}") for _ in range(120)
    ]
    faults = tuple(_pause(dice, f"p{dice.randrange(processes)}") for _ in range(dice.randint(3, 6)))
    ill = tuple(
        Fault("ail", start_s, start_s + 2.0, dice.choice(accounts).crm, dice.choice(("slow", "lost")))
        for start_s in (dice.uniform(0.0, CHAOS_S) for _ in range(2))
    )
    return Plan(seed, processes, accounts, _numbered_events("t0", said), (*faults, *ill), profile="pauses")


def _pause(dice: random.Random, process: str) -> Fault:
    start_s = dice.uniform(0.5, CHAOS_S * 0.9)
    return Fault("pause", start_s, start_s + dice.uniform(5.2, 9.0), process)


def _unheard_plan(seed: int, dice: random.Random) -> Plan:
    """Return a plan of a database whose answers are lost again and again under constant traffic."""
    account = PlannedAccount("t0", "c0", 20, 1.0, 2, dice.choice((1, 3)), False, False)
    said = [(dice.uniform(0.0, CHAOS_S), "site", f"p{dice.randrange(30)}") for _ in range(100)]
    starts = [dice.uniform(1.0, CHAOS_S * 0.8) for _ in range(3)]
    faults = tuple(Fault("database", start_s, start_s + 6.0, "", size=0.3) for start_s in starts)
    ill = Fault("ail", starts[0], starts[0] + 8.0, account.crm, dice.choice(("errors", "partial", "gateway")))
    return Plan(
        seed, dice.choice((1, 2)), (account,), _numbered_events("t0", said), (*faults, ill), profile="unheard"
    )


def _quota_plan(seed: int, dice: random.Random) -> Plan:
    """Return a plan whose first account may make few calls a day."""
    plan = _chaos_plan(seed)
    first, *others = plan.accounts
    metered = replace(first, daily_calls=dice.choice((8, 15, 30, 60)), batch_records=dice.choice((1, 3)))
    return replace(plan, accounts=(metered, *others), profile="quota")


def _poisoned(plan: Plan, dice: random.Random) -> Plan:
    """Return *plan* with several rows of one tenant that our own code trips over, among good ones, at about one time."""
    count, begins_s = len(plan.events), dice.uniform(0.0, CHAOS_S * 0.8)
    kinds = ["mangled"] * dice.randint(2, 3) + ["contact"] * dice.randint(0, 4)
    dice.shuffle(kinds)
    burst = tuple(
        PlannedEvent(
            number, begins_s + dice.uniform(0.0, 0.2), plan.accounts[0].tenant, "site", kind, f"bad{number}", "",
            f"bad{number}@x.io",
        )
        for number, kind in enumerate(kinds, start=count + 1)
    )  # fmt: skip
    first, *others = plan.accounts
    wide = replace(first, batch_records=10, unique_external_id=False)
    return replace(plan, accounts=(wide, *others), events=(*plan.events, *burst))


def _chaos_plan(seed: int) -> Plan:
    dice = stream(seed, "plan")
    tenants = [f"t{number}" for number in range(dice.choice((1, 1, 2)))]
    accounts = tuple(
        _account(dice, tenant, f"c{number}")
        for tenant in tenants
        for number in range(dice.choice((1, 2, 2, 3)))
    )
    processes = dice.choice((1, 2, 2, 3))
    profile = "isolation" if dice.random() < 0.1 else "chaos"
    if profile == "isolation":
        faults = tuple(_ail(dice, accounts[0].crm) for _ in range(2))
    else:
        faults = tuple(_fault(dice, processes, accounts) for _ in range(dice.randint(0, 7)))
    plan = Plan(seed, processes, accounts, _events(dice, tenants), faults, profile=profile)
    return plan if processes > 1 or profile != "isolation" else replace(plan, processes=1)


def _account(dice: random.Random, tenant: str, name: str) -> PlannedAccount:
    calls, window_s = dice.choice(((5, 1.0), (10, 2.0), (20, 4.0), (100, 10.0), (3, 1.0)))
    return PlannedAccount(
        tenant, name, calls, window_s,
        concurrency=dice.choice((1, 2, 4)),
        batch_records=dice.choice((1, 3, 10)),
        unique_external_id=dice.random() < 0.5,
        unique_email=dice.random() < 0.25,
    )  # fmt: skip


@dataclass(slots=True)
class _Drawing:
    dice: random.Random
    tenants: list[str]
    merged: set[tuple[str, str]] = field(default_factory=set)
    ended: set[tuple[str, str]] = field(default_factory=set)


def _events(dice: random.Random, tenants: list[str]) -> tuple[PlannedEvent, ...]:
    drawing = _Drawing(dice, tenants)
    count = dice.randint(10, 50)
    contacts, accounts = dice.randint(1, 12), dice.randint(1, 4)
    hot = dice.random() < 0.3
    times = sorted(dice.uniform(0.0, CHAOS_S * dice.choice((0.3, 0.9))) for _ in range(count))
    return tuple(
        _event(drawing, number + 1, time_s, contacts, accounts, hot=hot)
        for number, time_s in enumerate(times)
    )


def _event(
    drawing: _Drawing, number: int, time_s: float, contacts: int, accounts: int, *, hot: bool
) -> PlannedEvent:
    dice = drawing.dice
    tenant, die = dice.choice(drawing.tenants), dice.random()
    contact = 0 if hot and dice.random() < 0.7 else dice.randrange(contacts)
    subject, account = f"p{contact}", f"a{dice.randrange(accounts)}"
    source = "bulk" if dice.random() < 0.2 else "site"
    if die < 0.12:
        return PlannedEvent(number, time_s, tenant, "site", "account", account)
    if die < 0.17 and contacts > 1:
        other = f"p{dice.randrange(contacts)}"
        pair = {(tenant, subject), (tenant, other)}
        if other != subject and not pair & drawing.ended:
            drawing.merged |= pair
            return PlannedEvent(number, time_s, tenant, "site", "merge", subject, other)
    if die < 0.20 and (tenant, subject) not in drawing.merged:
        drawing.ended.add((tenant, subject))
        return PlannedEvent(number, time_s, tenant, source, "delete", subject)
    if die < 0.23:
        kind = dice.choice(("unreadable", "unstorable", "mangled", "rejected"))
        return PlannedEvent(number, time_s, tenant, "site", kind, f"bad{number}")
    email = f"p{dice.randrange(contacts)}@x.io" if dice.random() < 0.15 else f"{subject}@x.io"
    other = account if dice.random() < 0.4 else ""
    return PlannedEvent(number, time_s, tenant, source, "contact", subject, other, email)


def _ail(dice: random.Random, crm: str) -> Fault:
    start_s = dice.uniform(0.0, CHAOS_S * 0.8)
    return Fault("ail", start_s, start_s + dice.uniform(1.0, 12.0), crm, dice.choice(AILMENTS))


def _fault(dice: random.Random, processes: int, accounts: tuple[PlannedAccount, ...]) -> Fault:
    start_s = dice.uniform(0.0, CHAOS_S * 0.9)
    process = f"p{dice.randrange(processes)}"
    crm = dice.choice(accounts).crm
    kind = dice.choices(
        ("crash", "crash_at_step", "pause", "clock", "hand_over", "policy", "database", "races", "identity",
         "delete", "ail"),
        (2, 4, 2, 1, 2, 1, 3, 1, 1, 1, 10),
    )[0]  # fmt: skip
    match kind:
        case "ail":
            return _ail(dice, crm)
        case "crash" | "hand_over":
            return Fault(kind, start_s, start_s + dice.uniform(0.05, 8.0), process)
        case "crash_at_step":
            return Fault(kind, 0.0, dice.uniform(0.05, 8.0), process, size=dice.randint(5, 600))
        case "pause":
            return Fault(kind, start_s, start_s + dice.uniform(0.5, 15.0), process)
        case "clock":
            return Fault(kind, start_s, CHAOS_S, process, size=dice.choice((-3600.0, -5.0, 5.0, 3600.0)))
        case "database":
            target = dice.choice(("", process))
            return Fault(
                kind, start_s, start_s + dice.uniform(0.2, 6.0), target, size=dice.choice((0.05, 0.3, 1.0))
            )
        case "races":
            return Fault(kind, start_s, start_s + dice.uniform(0.2, 6.0), "", size=0.3)
        case "identity":
            return Fault(kind, start_s, start_s + dice.uniform(0.5, 8.0), size=dice.choice((0.3, 1.0)))
        case "delete":
            return Fault(kind, start_s, start_s, crm)
    return Fault("policy", start_s, start_s)
