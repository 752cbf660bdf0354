"""Staged policy changes without a database: whom a stage holds for, what the course decides, and that no history breaks it."""

from __future__ import annotations

import uuid
from dataclasses import replace
from functools import cache
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.sync.tenant import NOON, POLICY, TENANT, event, key

from headwater.policy.document import PolicyDocument
from headwater.policy.loading import load_policy, policy_digest
from headwater.policy.parsing import PolicyRefused
from headwater.policy.sharing import DRAW_MAX, NONE_DRAWN, Share, draw
from headwater.policy.staging import StagedText, load_event, load_staged, read_staged
from headwater.sync.domain.changing import PolicyChange
from headwater.sync.domain.log import RecordKey
from headwater.sync.domain.projecting import Workspace
from headwater.sync.domain.reading import IdentityReading, RecordReading, read_event
from headwater.sync.domain.renewing import Holding, concerned
from headwater.sync.domain.respelling import respelt
from headwater.sync.domain.rollout import (
    Fate,
    Rollout,
    RolloutKind,
    RolloutState,
    Selection,
    Stage,
    Terms,
)
from headwater.sync.domain.staging import (
    WHOLE,
    InForce,
    alters_values,
    approved_stages,
    follow_stages,
    joined,
    may_put,
    seed_of,
    share_of,
    spread,
    way_back_of_stages,
)

OWNED: Final = "first_name: {type: text, owners: [crm, site, mail], rule: most_recent}"
LONGEST: Final = "title: {type: text, owners: [crm, site], rule: longest}"
NEW: Final = (
    POLICY.replace(OWNED, "first_name: {type: text, owners: [site, crm, mail], rule: source_priority}")
    .replace(LONGEST, "title: {type: text, owners: [crm, site], rule: longest, normalise: [spaces]}")
    .replace('version: "7"', 'version: "8"')
)
THIRD: Final = POLICY.replace('version: "7"', 'version: "9"')
CHANGE: Final = uuid.UUID(int=77)
SEED: Final = seed_of(TENANT, policy_digest(POLICY), policy_digest(NEW))


def staged(stage: int = 0, upto: int = NONE_DRAWN, *entities: int) -> StagedText:
    """Return the newer policy for some."""
    return StagedText(Share(CHANGE, stage, SEED, upto, frozenset(map(key, entities))), NEW)


def in_force(text: str, held: StagedText | None = None) -> InForce:
    """Return what the log says."""
    return InForce(text, policy_digest(text), held)


def change(**told: Any) -> PolicyChange:
    """Return the change under test."""
    digests = (POLICY, policy_digest(POLICY), NEW, policy_digest(NEW))
    return PolicyChange(TENANT, CHANGE, *digests, "ann", NOON, by_stages=True, **told)


def rollout(state: RolloutState, number: int = 0, total: int = 40) -> Rollout:
    """Return its rollout."""
    return Rollout(
        TENANT, key(1), "", RolloutKind.VALUES, Selection(CHANGE), Terms(records=4, ramp=(8,)), "ann", "8", NOON,
        NOON, state, planned=True, total_count=total, stage=Stage(number, 4, {Fate.DELIVERED: 4}),
    )  # fmt: skip


# what a policy event says


def test_a_stage_is_read_as_it_was_written() -> None:
    """Whom it holds for, and the newer policy: byte for byte the same from the log."""
    told = staged(1, 2**62, 3, 4)
    assert read_staged(told.as_json()) == told
    assert read_staged(None) is None


@pytest.mark.parametrize(
    "broken", [{"stage": -1}, {"upto": DRAW_MAX + 1}, {"digest": "0" * 16}, {"entities": ["no"]}, {"more": 1}]
)
def test_a_stage_that_is_none_is_refused(broken: dict[str, Any]) -> None:
    """With the path of what is wrong."""
    with pytest.raises(PolicyRefused, match="staged"):
        read_staged({**staged().as_json(), **broken})


def test_each_entity_has_one_policy() -> None:
    """Those named and those drawn up to the place the newer one, all others the one before; so its accounts."""
    place = draw(SEED, key(9))
    named, *others = (n for n in range(20, 60) if draw(SEED, key(n)) > place)
    told = staged(1, place, named)
    document = load_event({"document": POLICY, "staged": told.as_json()})
    assert [document.of(key(n), "contact").version for n in (named, 9)] == ["8", "8"]
    assert {document.of(key(n), "contact").version for n in others} == {"7"}
    account = document.connectors["salesforce"]
    assert account.of(key(named)) is not account
    assert account.of(key(others[0])) is account
    assert document != load_policy(POLICY), "whoever works by the former one has to notice"


def test_without_a_staged_change_there_is_one_policy() -> None:
    """And no entity costs more than to see that."""
    document = load_policy(POLICY)
    assert document.share is None
    assert document.of(key(1), "contact") is document
    assert document.connectors["salesforce"].of(key(1)) is document.connectors["salesforce"]


# who is reached first


def test_the_first_are_spread_over_the_kinds() -> None:
    """Of each kind in turn the next that is drawn; who has two kinds counts once."""
    found = [("b", 5, key(5)), ("b", 6, key(6)), ("b", 7, key(7)), ("a", 9, key(9)), ("c", 5, key(5))]
    assert spread(found, 3) == (key(9), key(5), key(6))
    assert spread(found, 10) == (key(9), key(5), key(6), key(7))
    assert spread(found, 0) == ()


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9), st.integers(0, 9)), max_size=30),
    st.integers(0, 9),
)
def test_spreading_depends_on_no_order(found: list[tuple[str, int, int]], count: int) -> None:
    """The same entities, whatever the order in which they came; as many as there are."""
    candidates = [(kind, place, key(place * 10 + one)) for kind, place, one in found]
    chosen = spread(candidates, count)
    assert spread(reversed(candidates), count) == chosen
    assert len(set(chosen)) == len(chosen) == min(count, len({one for _, _, one in candidates}))


def test_shares_only_grow() -> None:
    """Named first, then drawn ones, then everybody."""
    first = share_of(rollout(RolloutState.RUNNING, 0), change(), [key(1)], None)
    second = share_of(rollout(RolloutState.RUNNING, 1), change(), [key(1)], 2**62)
    last = share_of(rollout(RolloutState.RUNNING, 2), change(), [key(1)], None)
    assert [first.upto, second.upto, last.upto] == [NONE_DRAWN, 2**62, DRAW_MAX]
    assert all(last.holds(key(n)) for n in range(50))
    for n in range(50):
        assert first.holds(key(n)) <= second.holds(key(n)) <= last.holds(key(n))


def test_only_what_decides_values_is_staged() -> None:
    """A rule does; a mapping, a limit or a stage's size do not."""
    before = load_policy(POLICY)
    assert alters_values(before, load_policy(NEW))
    for text in (POLICY.replace("transform: upper", "transform: lower"), POLICY + "rollout: {records: 3}\n"):
        assert not alters_values(before, load_policy(text))


# the course follows the log


@pytest.mark.parametrize(
    ("state", "told", "log", "becomes"),
    [
        ("PLANNING", {}, in_force(POLICY), "PLANNING"),
        ("PLANNING", {}, in_force(THIRD), "ABORTED"),
        ("RUNNING", {"wanted_stage": 0}, in_force(POLICY), None),
        ("RUNNING", {"wanted_stage": 0}, in_force(POLICY, staged()), None),
        ("RUNNING", {"wanted_stage": 0, "put_stage": 0}, in_force(POLICY, staged()), "RUNNING"),
        ("RUNNING", {"wanted_stage": 1, "put_stage": 0}, in_force(POLICY, staged()), None),
        ("RUNNING", {"wanted_stage": 0, "put_stage": 0}, in_force(POLICY), "ROLLING_BACK"),
        ("SOAKING", {"wanted_stage": 0, "put_stage": 0}, in_force(THIRD), "ABORTED"),
        ("SOAKING", {"wanted_stage": 0, "put_stage": 0}, in_force(NEW), "DONE"),
        ("SOAKING", {"wanted_stage": WHOLE, "put_stage": 2}, in_force(NEW), "DONE"),
        ("ROLLING_BACK", {"begin_time": NOON, "put_stage": 0}, in_force(POLICY, staged()), None),
        ("ROLLING_BACK", {"begin_time": NOON, "end_time": NOON}, in_force(POLICY), "ROLLING_BACK"),
        ("ROLLING_BACK", {"begin_time": NOON, "end_time": NOON, "replaced": True}, in_force(THIRD), "ABORTED"),
    ],
)  # fmt: skip
def test_the_log_decides_how_a_change_stands(
    state: str, told: dict[str, Any], log: InForce, becomes: str | None
) -> None:
    """It waits for its own event, ends with a third policy, goes back when the former one was put back."""
    found = follow_stages(rollout(RolloutState[state]), change(**told), log, NOON)
    assert (found.state.name if found else None) == becomes


def test_nothing_is_put_over_another_policy() -> None:
    """Neither a stage nor the way back."""
    begun = change(wanted_stage=1, put_stage=0)
    assert may_put(begun, in_force(POLICY, staged()))
    assert not may_put(begun, in_force(THIRD))
    assert not may_put(begun, in_force(POLICY)), "somebody has put the former one back"
    assert may_put(change(wanted_stage=0), in_force(POLICY))
    assert way_back_of_stages(begun, in_force(POLICY, staged())) == "put_back"
    assert way_back_of_stages(begun, in_force(POLICY)) == "is_back"
    assert way_back_of_stages(begun, in_force(THIRD)) == "leave"
    other = StagedText(replace(staged().share, change_id=key(5)), NEW)
    assert way_back_of_stages(begun, in_force(POLICY, other)) == "leave"


def test_an_approval_does_not_end_the_last_stage_before_the_log_is_told() -> None:
    """Of an earlier stage it begins the next."""
    last = approved_stages(rollout(RolloutState.SOAKING, 2), NOON)
    assert last is not None
    assert (last.state, last.soak_time) == (RolloutState.SOAKING, NOON)
    following = approved_stages(rollout(RolloutState.HELD, 0), NOON)
    assert following is not None
    assert (following.state, following.stage.number) == (RolloutState.RUNNING, 1)


def test_an_entity_stands_as_its_worst_account() -> None:
    """Failed before failing before under way; without accounts there is nothing to wait for."""
    assert joined([Fate.DELIVERED, Fate.OPEN, Fate.FAILED]) is Fate.FAILED
    assert joined([Fate.DELIVERED, Fate.OPEN]) is Fate.OPEN
    assert joined([Fate.LEFT, Fate.DELIVERED]) is Fate.DELIVERED
    assert joined([]) is Fate.DELIVERED


# no history breaks it

OLD_DOCUMENT: Final = load_policy(POLICY)
PEOPLE: Final = tuple(range(1, 6))
PLACES: Final = sorted(draw(SEED, key(n)) for n in PEOPLE)
said = st.tuples(
    st.just("said"), st.sampled_from(PEOPLE), st.sampled_from(["site", "crm"]),
    st.sampled_from(["Rob", "Robert", "Bo"]), st.sampled_from(["head  of sales", "head of sales", "cto"]),
    st.integers(0, 9),
)  # fmt: skip
joins = st.tuples(st.sampled_from(["merged", "split"]), st.sampled_from(PEOPLE), st.sampled_from(PEOPLE))
steps = st.tuples(st.sampled_from(["advance", "advance", "abort", "third"]))
histories = st.lists(st.one_of(said, said, joins, steps), min_size=3, max_size=30)


@cache
def read(text: str, told: StagedText | None) -> PolicyDocument:
    """Return the policy of an event; reading one takes long."""
    return load_staged(text, told)


class Life:
    """A tenant as live projecting and renewing keep it, policy event by policy event."""

    def __init__(self) -> None:
        self.workspace = Workspace({TENANT: OLD_DOCUMENT})
        self.holdings = [Holding(policy_digest(POLICY))]
        self.told: list[tuple[PolicyDocument, Any]] = []
        """What was read, and the policy by which."""
        self.stage = -1
        self.ended = False
        self.number = 0
        self.read_by = OLD_DOCUMENT
        self.homes = {(n, source): n for n in PEOPLE for source in ("site", "crm")}

    def do(self, step: tuple[Any, ...]) -> None:
        """Let one thing happen."""
        self.number += 1
        match step:
            case ("said", who, source, first, title, at):
                fact = event(self.number, source, "contact", str(who), at_s=at, first=first, title=title)
                self.told.append((self.read_by, fact))
                apply(self.workspace, read_event(self.read_by, fact))
            case ("merged" | "split" as kind, winner, loser) if winner != loser:
                moved = tuple(RecordKey(TENANT, "contact", source, str(loser)) for source in ("site", "crm"))
                reading = IdentityReading(
                    event(self.number, "headwater", "identity"), kind, key(winner), key(loser), "contact", moved,
                    key(1000 + self.number), self.number,
                )  # fmt: skip
                self.told.append((self.read_by, reading))
                apply(self.workspace, reading)
            case ("advance",) if not self.ended:
                self._advance()
            case ("abort",) if self.stage >= 0 and not self.ended:
                self._put(POLICY, None)
                self.ended = True
            case ("third",) if self.number % 3 == 0:
                self._put(THIRD, None)
                self.ended = True

    def _advance(self) -> None:
        self.stage += 1
        if self.stage > len(PEOPLE):
            self._put(NEW, None)
            self.ended = True
        elif self.stage == len(PEOPLE):
            self._put(POLICY, staged(self.stage, DRAW_MAX, 3))
        else:
            self._put(POLICY, staged(self.stage, PLACES[self.stage - 1] if self.stage else NONE_DRAWN, 3))

    def _put(self, text: str, told: StagedText | None) -> None:
        document, self.read_by = read(text, told), read(text, None)
        held = Holding(policy_digest(text), told.share if told else None, told.digest if told else "")
        of_it = concerned(held, self.holdings[-1:])
        self.holdings.append(held)
        self.workspace.policies = {TENANT: document}
        for entity in list(self.workspace.entities.values()):
            if of_it is None or of_it(entity.entity_id):
                self.workspace.renew(entity, event(self.number))

    def rebuilt(self) -> Workspace:
        """Return what projecting the log again makes: each event read by the policy of its moment."""
        workspace = Workspace(dict(self.workspace.policies))
        in_force = workspace.policies[TENANT]
        for read_by, told in self.told:
            if isinstance(told, IdentityReading):
                apply(workspace, told)
                continue
            reading = read_event(read_by, told)
            assert isinstance(reading, RecordReading)
            apply(workspace, respelt(in_force, reading))
        return workspace


def apply(workspace: Workspace, reading: Any) -> None:
    """Apply what was read as the projector does."""
    if isinstance(reading, IdentityReading):
        workspace.apply_identity(reading)
        return
    assert isinstance(reading, RecordReading)
    subject = reading.subject.key
    workspace.apply_record(reading, {subject: key(int(subject.external_id))})


def state(workspace: Workspace) -> dict[str, Any]:
    """Return values with provenance of all entities, and facts of all records."""
    entities = {
        str(item.entity_id): (item.state, item.merged_into, dict(item.fields))
        for item in workspace.entities.values()
        if item.version
    }
    return {**entities, **{str(item.key): dict(item.fields) for item in workspace.records.values()}}


@settings(max_examples=300, deadline=None)
@given(histories)
def test_every_entity_is_wholly_under_one_policy_and_the_log_rebuilds_it(
    history: list[tuple[Any, ...]],
) -> None:
    """After every step: computing it anew changes nothing; projecting the log again gives the same, value by value."""
    life = Life()
    for step in history:
        life.do(step)
        for entity in list(life.workspace.entities.values()):
            if not entity.version:
                continue
            before = state(life.workspace)
            policy = life.workspace.policies[TENANT].of(entity.entity_id, entity.object)
            alone = Workspace({TENANT: policy})
            alone.load([entity], list(life.workspace.members.get(entity.key, {}).values()))
            alone.renew(entity, event(life.number))
            assert state(life.workspace) == before, f"{entity.entity_id} is not as {policy.version} wants it"
    assert state(life.rebuilt()) == state(life.workspace)
