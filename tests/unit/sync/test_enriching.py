"""Which provider is asked next, what its answer becomes, and when an entity is looked at again."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, get_args

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.sync.enriched import POLICY
from tests.unit.sync.tenant import NOON, TENANT, event, key

from headwater.policy.document import PolicyDocument
from headwater.policy.enrichment import Enrichment
from headwater.policy.loading import load_policy
from headwater.policy.survivorship import Chosen
from headwater.sync.domain.correcting import attached_entity, is_attached
from headwater.sync.domain.enriching import (
    NOTE,
    Answer,
    Outcome,
    Plan,
    Task,
    Told,
    Value,
    change_of,
    clearing_of,
    ending,
    lacking,
    next_asked,
    outdated,
    plan,
    question_of,
)
from headwater.sync.domain.log import LogEvent, RecordKey
from headwater.sync.domain.polling import Change
from headwater.sync.domain.projecting import Workspace
from headwater.sync.domain.reading import RecordReading, read_event

DOCUMENT: Final = load_policy(POLICY)
ADA: Final = key(1)
DAY: Final = dt.timedelta(days=1)


def section_of(document: PolicyDocument) -> Enrichment:
    """Return what a policy says of enrichment."""
    assert document.enrichment is not None
    return document.enrichment


SECTION: Final = section_of(DOCUMENT)


def chosen(value: Any, source: str = "crm") -> Chosen:
    """Return a value of a source."""
    return Chosen(value, "source_priority", source, key(5), NOON)


def task(told: Mapping[str, Told] | None = None, *, forced: bool = False, **values: Any) -> Task:
    """Return a contact with these values by crm, or the choices given."""
    held = {name: item if isinstance(item, Chosen) else chosen(item) for name, item in values.items()}
    return Task(TENANT, ADA, "contact", True, 3, held, NOON, told or {}, forced=forced)


def answer(item: Task, name: str, at: dt.datetime = NOON, **values: Any) -> Told:
    """Return what is kept of an answer by provider *name* about *item*."""
    question = plan(SECTION, item, at).questions[name]
    said = Answer(question.digest, at, {word: Value(value) for word, value in values.items()})
    return change_of(DOCUMENT, name, item, said, question)[1]


ADDRESS: Final[dict[str, Any]] = {"email": "ada@example.com"}


def test_the_second_provider_is_asked_for_what_the_first_lacks() -> None:
    """One that has a title and no city leaves the city to the next."""
    item = task(**ADDRESS)
    open_ = plan(SECTION, item, NOON)
    told = {"local": answer(item, "local"), "people": answer(item, "people", title="CTO")}
    assert next_asked(open_, {}) == "local"
    assert next_asked(open_, {"local": told["local"]}) == "people"
    assert next_asked(open_, told) == "other"
    told["people"] = answer(item, "people", title="CTO", city="London")
    assert next_asked(open_, told) is None


@given(outcomes=st.lists(st.sampled_from(get_args(Outcome)), min_size=3, max_size=3))
def test_nobody_is_asked_twice_in_a_round(outcomes: list[Any]) -> None:
    """However asking ends, each provider is asked once at the most, and then the round is over."""
    item = task(**ADDRESS)
    open_ = plan(SECTION, item, NOON)
    told: dict[str, Told] = {}
    for outcome in outcomes:
        name = next_asked(open_, told)
        if name is None:
            break
        assert name not in told
        told[name] = Told(outcome, "", NOON)
    assert next_asked(open_, told) is None


def test_a_value_that_nobody_brought_is_not_asked_for() -> None:
    """A title by crm closes the field; one by a provider leaves it open, to be refreshed."""
    assert "title" not in plan(SECTION, task(**ADDRESS, title="CEO"), NOON).fields
    assert "title" in plan(SECTION, task(**ADDRESS, title=chosen("CEO", "people")), NOON).fields
    assert "domain" in plan(SECTION, task(**ADDRESS, domain="x.example.com"), NOON).fields


def test_what_a_provider_brought_is_not_told_to_it() -> None:
    """Else its own answer would be a reason to ask it again."""
    bare = question_of("local", SECTION.providers["local"], task(**ADDRESS))
    own = question_of("local", SECTION.providers["local"], task(**ADDRESS, country=chosen("DE", "derived")))
    by_crm = question_of("local", SECTION.providers["local"], task(**ADDRESS, country="DE"))
    assert bare is not None
    assert bare == own != by_crm


def test_a_provider_is_asked_again_when_its_inputs_change_or_its_values_grow_old() -> None:
    """And only then, unless an operator orders it."""
    item = task(**ADDRESS)
    known = {"people": answer(item, "people", title="CTO")}
    assert "people" in plan(SECTION, replace(item, told=known), NOON).fresh
    assert "people" not in plan(SECTION, replace(item, told=known), NOON + 91 * DAY).fresh
    assert "people" not in plan(SECTION, task(known, email="eve@example.com"), NOON).fresh
    assert "people" not in plan(SECTION, replace(item, told=known, forced=True), NOON).fresh


def test_an_ended_entity_and_one_that_a_condition_leaves_out_are_left_alone() -> None:
    """Nobody is asked, and nothing is taken back."""
    when = POLICY.replace("    contact:\n      fields:\n        country: [local]",
                          "    contact:\n      when: {country: [DE]}\n      fields:\n        country: [local]")  # fmt: skip
    section = section_of(load_policy(when))
    known = {"people": answer(task(**ADDRESS), "people", title="CTO")}
    out = plan(section, task(known, **ADDRESS, country="FR"), NOON)
    assert (
        out == plan(section, replace(task(**ADDRESS, country="DE"), active=False), NOON) == Plan({}, {}, {})
    )
    assert outdated(section, task(known, **ADDRESS, country="FR"), out, {}) == ()
    assert plan(section, task(**ADDRESS, country="DE"), NOON).fields


def test_one_bad_value_does_not_cost_the_others() -> None:
    """A title that the contract refuses is left out, and told; a value that is doubted, too."""
    item = task(**ADDRESS)
    question = plan(SECTION, item, NOON).questions["people"]
    said = Answer(question.digest, NOON, {"title": Value("x" * 41), "city": Value("Leeds"), "shoe": Value(9)})
    change, told = change_of(DOCUMENT, "people", item, said, question)
    assert (told.outcome, told.fields, told.reason) == ("hit", ("city",), "title: chars_max")
    assert change is not None
    assert set(msgspec.json.decode(change.payload)) == {"city", NOTE}
    doubted = replace(said, values={"city": Value("Leeds", 0.2)})
    assert change_of(DOCUMENT, "people", item, doubted, question)[0] is None


def test_a_round_done_again_makes_the_same_event() -> None:
    """After a crash the kept answer gives the event that the log may hold already, also a while later."""
    item = task(**ADDRESS)
    question = plan(SECTION, item, NOON).questions["people"]
    said = Answer(question.digest, NOON + DAY, {"title": Value("CTO", 0.9)}, "p/1")
    first, second = (change_of(DOCUMENT, "people", item, said, question)[0] for _ in range(2))
    assert first == second
    assert first is not None
    assert (first.source, first.external_id, first.event_time) == ("people", f"entity:{ADA}", NOON + DAY)


def test_values_of_former_inputs_are_taken_back() -> None:
    """A new answer clears what it does not have; a provider that is not asked any more loses all of it."""
    known = {"people": answer(task(**ADDRESS), "people", title="CTO", city="London")}
    moved = task(known, email="eve@example.com")
    question = plan(SECTION, moved, NOON).questions["people"]
    change, _ = change_of(
        DOCUMENT, "people", moved, Answer(question.digest, NOON, {"city": Value("Rome")}), question
    )
    assert change is not None
    assert msgspec.json.decode(change.payload)["title"] is None
    closed = task(known, email="eve@example.com", title="CEO", city=chosen("Rome", "crm"))
    open_ = plan(SECTION, closed, NOON)
    assert outdated(SECTION, closed, open_, open_.fresh) == ("people",)
    cleared = msgspec.json.decode(clearing_of(SECTION, "people", closed).payload)
    assert (cleared["title"], cleared["city"]) == (None, None)
    failed = {"people": Told("timeout", "", NOON)}
    assert outdated(SECTION, closed, open_, failed) == ()


def test_failures_are_tried_again_and_then_left() -> None:
    """After the pauses of the policy; a budget is waited for until tomorrow; what was brought before stays known."""
    item = task(**ADDRESS)
    open_ = plan(SECTION, item, NOON)
    local = answer(item, "local")
    told = {"local": local, "people": Told("timeout", "", NOON), "other": Told("failed", "", NOON)}
    assert set(lacking(open_, told)) == {"title", "city"}
    first = ending(SECTION, item, open_, told, (), NOON, 0.5)
    assert (first.tries, first.due_time) == (1, NOON + dt.timedelta(seconds=30))
    last = ending(SECTION, replace(item, tries=2), open_, told, (), NOON, 0.5)
    assert (last.tries, last.due_time) == (3, None)
    spent = {**told, "people": Told("budget", "", NOON), "other": answer(item, "other")}
    assert ending(SECTION, item, open_, spent, (), NOON, 0.5).due_time == dt.datetime(
        2026, 3, 2, tzinfo=dt.UTC
    )
    known = {"people": answer(item, "people", title="CTO")}
    kept = ending(SECTION, replace(item, told=known), open_, told, (), NOON, 0.5).told["people"]
    assert (kept.outcome, kept.fields, kept.is_answer) == ("timeout", ("title",), False)


def test_answered_entities_are_looked_at_when_their_values_grow_old() -> None:
    """The provider that says how long its values last names the time."""
    item = task(**ADDRESS)
    told = {"local": answer(item, "local"), "people": answer(item, "people", title="CTO", city="Leeds")}
    end = ending(SECTION, item, plan(SECTION, item, NOON), told, (), NOON, 0.5)
    assert (end.tries, end.due_time) == (0, NOON + 90 * DAY)


class Bench:
    """A workspace in which enriching records are placed with the entity that they name."""

    def __init__(self, text: str = POLICY) -> None:
        self.document = load_policy(text)
        self.workspace = Workspace({TENANT: self.document})

    def apply(self, *events: LogEvent) -> None:
        """Apply events in the order given; records of crm are of ADA."""
        for item in events:
            reading = read_event(self.document, item)
            assert isinstance(reading, RecordReading), reading
            record = reading.subject.key
            self.workspace.apply_record(
                reading, {record: attached_entity(record) if is_attached(record) else ADA}
            )

    def values(self) -> dict[str, Any]:
        """Return the values of ADA."""
        return {name: item.value for name, item in self.workspace.entities[(TENANT, ADA)].fields.items()}


def as_event(number: int, change: Change) -> LogEvent:
    """Return the event that *change* is in the log."""
    return event(
        number, change.source, external_id=change.external_id, at_s=float(number), payload=change.payload
    )


def test_an_answer_fills_the_entity_and_the_owners_stand_above_it() -> None:
    """It needs no address of its own, is of nobody but its entity, and loses to crm."""
    bench = Bench()
    item = task(**ADDRESS)
    question = plan(SECTION, item, NOON).questions["people"]
    said = Answer(question.digest, NOON, {"title": Value("CTO"), "city": Value("Leeds")})
    change = change_of(DOCUMENT, "people", item, said, question)[0]
    assert change is not None
    bench.apply(as_event(2, change))
    assert bench.workspace.entities[(TENANT, ADA)].version == 0
    bench.apply(event(1, "crm", **ADDRESS, title="CEO"))
    assert bench.values() == {**ADDRESS, "title": "CEO", "city": "Leeds"}


def test_a_change_that_no_provider_is_told_of_is_no_reason_to_ask() -> None:
    """A new entity is one; a family name is none; an address is."""
    bench = Bench()
    bench.apply(event(1, "crm", **ADDRESS))
    assert set(bench.workspace.enriched) == {(TENANT, ADA)}
    bench.workspace.enriched.clear()
    bench.apply(event(2, "crm", last="Byron"))
    assert not bench.workspace.enriched
    bench.apply(event(3, "crm", email="countess@example.com"))
    assert set(bench.workspace.enriched) == {(TENANT, ADA)}


def test_a_policy_without_the_part_wants_nothing() -> None:
    """No entity is noted, so no statement follows."""
    bench = Bench(POLICY[: POLICY.index("enrichment:\n")])
    bench.apply(event(1, "crm", **ADDRESS))
    assert not bench.workspace.enriched


def test_only_ids_of_entities_are_attached() -> None:
    """Another id that begins alike is a record like any other."""
    assert is_attached(RecordKey(TENANT, "contact", "people", f"entity:{ADA}"))
    assert not is_attached(RecordKey(TENANT, "contact", "people", "entity:7"))
    assert not is_attached(RecordKey(TENANT, "contact", "people", str(ADA)))
