"""What every connector whose records can be read whole must do: tell each once, in order, and count as it tells."""

from __future__ import annotations

import pytest

from headwater.connectors.base import Seen
from headwater.connectors.base.sweeping import Span, Sweeper, Swept, place_of
from headwater.connectors.base.testing.lab import Lab
from headwater.connectors.base.testing.suite import Suite, proves

PEOPLE = 5
CALLS_MAX = 20


def _swept(lab: Lab, marked: str = "") -> Swept:
    return Swept(lab.subject.person.crm_object, (lab.subject.name, lab.subject.email), marked)


def _sweeper(lab: Lab) -> Sweeper:
    assert isinstance(lab.connector, Sweeper)
    return lab.connector


async def swept_of(lab: Lab, span: Span, marked: str = "") -> list[Seen]:
    """Return every record of *span*, page by page."""
    sweeper, seen = _sweeper(lab), list[Seen]()
    for _ in range(CALLS_MAX):
        page = await sweeper.sweep(_swept(lab, marked), span)
        seen.extend(page.records)
        if not page.more:
            return seen
        span = Span(page.last_id, span.upto)
    raise AssertionError(f"a span does not end within {CALLS_MAX} calls")


class SweepingConformance(Suite):
    """Records read by ranges of ids."""

    async def _people(self, lab: Lab) -> list[str]:
        made = [await lab.person(number) for number in range(1, PEOPLE + 1)]
        return sorted((item.crm_id for item in made), key=place_of)

    @proves("sweep", needs=("sweeping",))
    async def test_a_sweep_tells_every_record_once_in_the_order_of_ids(self, lab: Lab) -> None:
        """With the fields that were asked for and no others, and as many as the probe counts."""
        ids = await self._people(lab)
        seen = await swept_of(lab, Span())
        assert [item.crm_id for item in seen] == ids
        assert {frozenset(item.fields) for item in seen} == {frozenset({lab.subject.name, lab.subject.email})}
        probe = await _sweeper(lab).probe(_swept(lab), Span())
        assert (probe.count, probe.newest) == (PEOPLE, max(item.modify_time for item in seen))

    @proves("sweep", needs=("sweeping",))
    @pytest.mark.parametrize(("first", "last"), [(0, 3), (1, PEOPLE - 1), (2, 2)])
    async def test_a_span_begins_behind_its_first_id_and_ends_with_its_last(
        self, lab: Lab, first: int, last: int
    ) -> None:
        """Neighbouring spans share no record and leave none out; a probe of the same span agrees."""
        ids = await self._people(lab)
        span = Span(ids[first], ids[last])
        assert [item.crm_id for item in await swept_of(lab, span)] == ids[first + 1 : last + 1]
        assert (await _sweeper(lab).probe(_swept(lab), span)).count == last - first

    @proves("sweep", needs=("sweeping", "delete"))
    async def test_a_deleted_record_is_neither_told_nor_counted_nor_read(self, lab: Lab) -> None:
        """By the sweep, the probe and the read alike."""
        ids = await self._people(lab)
        lab.delete(ids[1])
        left = [ids[0], *ids[2:]]
        assert [item.crm_id for item in await swept_of(lab, Span())] == left
        assert (await _sweeper(lab).probe(_swept(lab), Span())).count == len(left)
        assert sorted(await _sweeper(lab).read(_swept(lab), ids), key=place_of) == left

    @proves("sweep", needs=("sweeping", "conflicts"))
    async def test_only_marked_records_are_told_when_asked_so(self, lab: Lab) -> None:
        """A record of somebody else's carries no external id: it is left out, and not counted."""
        ours = await lab.person(1)
        lab.plant(lab.subject.fields(2))
        mark = lab.subject.person.external_id_field
        assert [item.crm_id for item in await swept_of(lab, Span(), mark)] == [ours.crm_id]
        assert (await _sweeper(lab).probe(_swept(lab, mark), Span())).count == 1
        assert (await _sweeper(lab).probe(_swept(lab), Span())).count == 1 + 1

    @proves("sweep", needs=("sweeping",))
    async def test_a_read_tells_what_a_record_holds_now(self, lab: Lab) -> None:
        """At once after a write, by id."""
        one = await lab.person(1)
        await lab.person(1, one.crm_id, {lab.subject.name: "Changed"})
        seen = await _sweeper(lab).read(_swept(lab), [one.crm_id, lab.subject.missing_id])
        assert {crm_id: item.fields[lab.subject.name] for crm_id, item in seen.items()} == {
            one.crm_id: "Changed"
        }
