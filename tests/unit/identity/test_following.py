"""Where the id of a group leads, however often groups changed."""

from __future__ import annotations

import random
import uuid
from collections import Counter, defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.identity.domain.clustering.naming import name_groups
from headwater.identity.domain.following import follow
from headwater.identity.domain.records import GroupId, RecordId

RECORDS = [RecordId(str(uuid.UUID(int=number + 1))) for number in range(12)]


def _group(number: int) -> GroupId:
    return GroupId(uuid.UUID(int=number))


@given(st.integers(0, 100_000), st.integers(1, 12))
@settings(max_examples=200, deadline=None)
def test_every_id_ever_given_leads_to_the_present(seed: int, changes: int) -> None:
    """To itself while it stands; else to exactly one group, or to all that its records were parted into."""
    chance = random.Random(seed)
    home: dict[str, str] = {}
    ever: dict[str, set[RecordId]] = defaultdict(set)
    ids = (str(uuid.UUID(int=n)) for n in range(1_000, 10_000))
    for _ in range(changes):
        parts = chance.randint(1, len(RECORDS))
        drawn: dict[int, list[str]] = defaultdict(list)
        for record in RECORDS:
            drawn[chance.randrange(parts)].append(record)
        groups = [tuple(sorted(group)) for group in drawn.values()]
        home = dict(name_groups(groups, home, lambda _: next(ids)).entity_of)
        for one, group in home.items():
            ever[group].add(RecordId(one))
    for old, records in ever.items():
        present = {one: GroupId(uuid.UUID(home[one])) for one in records}
        found = follow(GroupId(uuid.UUID(old)), present)
        assert found is not None
        reached = set(present.values())
        if old in home.values():
            assert found.group_id == uuid.UUID(old)
        else:
            sizes = Counter(present.values())
            assert sizes[found.group_id] == max(sizes.values())
        assert (set(found.split_into) or {found.group_id}) == reached
        assert found.split_into[:1] in ((), (found.group_id,))
        shuffled = dict(chance.sample(sorted(present.items()), len(present)))
        assert follow(GroupId(uuid.UUID(old)), shuffled) == found


def test_of_groups_with_as_many_the_one_with_the_lowest_record_is_followed() -> None:
    """The same answer for ever, whatever the ids of the groups are."""
    one, other = RECORDS[0], RECORDS[1]
    found = follow(_group(1), {one: _group(9), other: _group(3)})
    assert found is not None
    assert (found.group_id, found.split_into) == (_group(9), (_group(9), _group(3)))


def test_an_id_that_nobody_had_leads_nowhere() -> None:
    """No record was ever in it."""
    assert follow(_group(1), {}) is None
