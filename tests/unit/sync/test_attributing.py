"""Credit is shared out whole, by time alone; the first touch shows whatever comes first."""

from __future__ import annotations

import datetime as dt
import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.sync.tenant import NOON, POLICY, TENANT, event, key

from headwater.policy.loading import PolicyRefused, load_policy
from headwater.policy.timeline import Attribution, Touch
from headwater.sync.domain.attributing import MODELS, Model, TouchFact, credit, touch_of
from headwater.sync.domain.projecting import Workspace
from headwater.sync.domain.reading import RecordReading, read_event

WORDS = Attribution(touches={"site": {"contact": Touch(channel="form")}}, ends_share=0.4, half_life_days=7)
TOUCHED = POLICY.replace(
    "      title: {type: text, owners: [crm, site], rule: longest}\n",
    "      title: {type: text, owners: [crm, site], rule: longest}\n"
    "      first_touch: {type: text, owners: [site, crm], rule: first}\n"
    "      last_touch: {type: text, owners: [site, crm], rule: most_recent}\n",
) + (
    "attribution:\n  touches:\n    site: {contact: {channel: form, detail: title}}\n    crm: {contact: {channel: fair}}\n"
    "  first: first_touch\n  last: last_touch\n"
)  # fmt: skip


def touch(days: float, number: int = 1) -> TouchFact:
    """Return a touch so many days after noon."""
    when = NOON + dt.timedelta(days=days)
    return TouchFact(when, key(number), TENANT, "contact", "site", "1", "form", "", "1")


touches = st.lists(st.builds(touch, st.integers(0, 400), st.integers(1, 9)), min_size=1, max_size=8)


@given(touches, st.sampled_from(MODELS), st.randoms())
def test_credit_is_whole_and_blind_to_order(
    given_touches: list[TouchFact], model: Model, chance: random.Random
) -> None:
    """Shares add up to 1, and go with the touch wherever it stands."""
    shares = credit(WORDS, model, given_touches)
    assert sum(shares) == pytest.approx(1.0)
    assert all(0 <= share <= 1 for share in shares)
    shuffled = list(given_touches)
    chance.shuffle(shuffled)
    by_touch = sorted(zip(given_touches, shares, strict=True))
    assert sorted(zip(shuffled, credit(WORDS, model, shuffled), strict=True)) == by_touch


def test_each_model_shares_as_it_says() -> None:
    """Three touches, a week apart; none has no credit."""
    week = [touch(0), touch(7), touch(14)]
    assert credit(WORDS, "first", week) == (1, 0, 0)
    assert credit(WORDS, "last", week) == (0, 0, 1)
    assert credit(WORDS, "linear", week) == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert credit(WORDS, "position", week) == pytest.approx((0.4, 0.2, 0.4))
    assert credit(WORDS, "position", week[:2]) == (0.5, 0.5)
    assert credit(WORDS, "time_decay", week) == pytest.approx((1 / 7, 2 / 7, 4 / 7))
    assert credit(WORDS, "linear", []) == ()


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_first_and_last_touch_show_in_any_order(order: tuple[int, ...]) -> None:
    """Also of one record that was touched twice; other fields show its newest statement."""
    policy = load_policy(TOUCHED)
    events = [
        event(1, "site", email="a@x.io", title="one"),
        event(2, "crm", email="a@x.io"),
        event(3, "crm", email="a@x.io", title="x"),
        event(4, "site", email="a@x.io", title="three"),
    ]
    workspace = Workspace({TENANT: policy})
    for place in order:
        reading = read_event(policy, events[place])
        assert isinstance(reading, RecordReading)
        workspace.apply_record(reading, {subject.key: key(50) for subject in reading.subjects})
    fields = workspace.entities[TENANT, key(50)].fields
    assert (fields["first_touch"].value, fields["first_touch"].event_key) == ("form", key(1))
    assert (fields["last_touch"].value, fields["last_touch"].event_key) == ("form", key(4))
    assert sorted(item.event_key for item in workspace.touches) == [key(n) for n in (1, 2, 3, 4)]


def test_a_touch_tells_channel_and_detail_by_the_policy_of_the_time() -> None:
    """A deletion and a source that touches nobody are none."""
    policy = load_policy(TOUCHED)
    found = touch_of(policy, read_event(policy, event(1, email="a@x.io", title="Head")))
    assert found is not None
    assert (found.channel, found.detail, found.policy_version) == ("form", "Head", policy.version)
    assert touch_of(policy, read_event(policy, event(2, operation=2, payload=b""))) is None
    plain = load_policy(POLICY)
    assert touch_of(plain, read_event(plain, event(1, email="a@x.io"))) is None


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("first_touch: {type: text, owners: [site, crm], rule: first}", "first_touch: {type: text, owners: [site, crm], rule: longest}", "touch_field"),
        ("last_touch: {type: text, owners: [site, crm]", "last_touch: {type: text, owners: [site]", "touch_owner"),
        ("    crm: {contact: {channel: fair}}", "    crm: {lead: {channel: fair}}", "mapped_object"),
        ("detail: title", "detail: rank", "known_field"),
        ("people: people", "people: people, body: subject", "raw_content"),
        ("people: people", "people: people, call.transcript: subject", "raw_content"),
        ("attribution:\n", "timeline: {time: subject}\nattribution:\n", "field_type"),
    ],
)  # fmt: skip
def test_a_policy_that_contradicts_itself_is_refused(old: str, new: str, rule: str) -> None:
    """Touch fields by their rule and owners; raw contents are never read (A13)."""
    assert old in TOUCHED
    with pytest.raises(PolicyRefused) as told:
        load_policy(TOUCHED.replace(old, new))
    assert rule in {fault.rule for fault in told.value.faults}


def test_more_than_a_summary_goes_into_no_crm() -> None:
    """A text of an activity may be long in Headwater, but then it is not written (A13)."""
    target = (
        "      activity: [{target: Task, external_id: Id__c, fields: {Subject: {field: subject}}}]\n"
        "      account:\n        - target: Account"
    )
    mapped = TOUCHED.replace("      account:\n        - target: Account", target)
    load_policy(mapped)
    long = mapped.replace("subject: {type: text, owners", "subject: {type: text, chars_max: 4000, owners")
    with pytest.raises(PolicyRefused) as told:
        load_policy(long)
    assert [fault.rule for fault in told.value.faults] == ["summary_only"]
