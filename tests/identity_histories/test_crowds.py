"""64 resolvers at once leave no duplicate entity, and without locks they do."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from tests.identity_histories.crowding import RESOLVERS, resolve_crowd
from tests.identity_histories.crowds import Home, Record, judge, make_crowd
from tests.identity_histories.oracles import half_done
from tests.identity_histories.services import service_on
from tests.identity_histories.weakened import NoLock

from headwater.identity.domain.identifying import identify

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

RECORDS = 1_500
FEW_RECORDS = 1_000


async def test_many_resolvers_leave_no_duplicate_entity(migrated_database_url: str) -> None:
    """Profiles, people with one mailbox, webs of shared keys and groups are as promised after 64 resolvers at once."""
    crowd = make_crowd(RECORDS, seed=1)
    async with service_on(migrated_database_url, RESOLVERS, replicas=RESOLVERS) as service:
        found = await resolve_crowd(service, "acme", crowd, seed=1)
    assert found.findings.duplicates == 0, found.line()
    assert crowd.duplicates == RECORDS * 0.3
    assert RECORDS * 0.6 < found.entities < RECORDS
    assert found.groups < found.entities
    assert found.refused == 0
    assert await half_done(migrated_database_url) == {}


async def test_duplicates_are_found_when_nothing_is_locked(migrated_database_url: str) -> None:
    """The control: the same resolvers on a store without the tenant's lock make duplicates, which the judge sees."""
    async with service_on(migrated_database_url, RESOLVERS, NoLock, replicas=RESOLVERS) as service:
        found = await resolve_crowd(service, "acme", make_crowd(FEW_RECORDS, seed=2), seed=2)
    assert found.findings.profiles
    assert found.findings.doubled
    assert found.findings.apart
    assert found.findings.groups


def test_our_reckoning_of_keys_is_the_services() -> None:
    """The keys that the judge counts on are those that the merge rule reads; of them it doubts phones in one house."""
    for record in make_crowd(500, seed=3).records:
        told = identify("contact", record.attributes).parts
        assert {f"{kind} {value}" for kind, value in told.strong if kind != "phone"} == {
            key for key in record.keys if not key.startswith("phone")
        }


def _record(name: str, *keys: str, profile: str = "", plain: bool = False) -> Record:
    return Record("crm", name, 1, {}, frozenset(keys), profile, plain)


def _at(homes: Mapping[str, str], group: str = "g") -> Mapping[str, Home]:
    return {name: Home(entity, group) for name, entity in homes.items()}


@pytest.mark.parametrize(
    ("homes", "candidates", "broken"),
    [
        ({"1": "A", "2": "A", "3": "A"}, [], 0),
        ({"1": "A", "2": "B", "3": "B"}, [("B", "A")], 0),
        ({"1": "A", "2": "B", "3": "B"}, [], 1),
        ({"1": "A", "2": "B", "3": "C"}, [("A", "B"), ("B", "C")], 0),
        ({"1": "A", "2": "B", "3": "C"}, [("A", "B")], 1),
        ({"1": "A", "2": "B", "3": "C"}, [("A", "B"), ("C", "D"), ("D", "B")], 1),
    ],
    ids=["one", "a candidate", "no candidate", "a chain", "a broken chain", "by way of another key"],
)
def test_entities_of_a_key_hang_together_or_are_told(
    homes: Mapping[str, str], candidates: list[tuple[str, str]], broken: int
) -> None:
    """Candidates between the entities of one key make them a web; what is left over is told."""
    records = [_record(name, "email a@b.io") for name in "123"]
    assert len(judge(records, _at(homes), candidates).apart) == bool(broken)


def test_a_profile_in_two_entities_is_told() -> None:
    """Not even a candidate excuses two entities with one profile."""
    records = [_record(name, profile="ann") for name in "12"]
    assert judge(records, _at({"1": "A", "2": "B"}), [("A", "B")]).profiles == ["ann"]
    assert judge(records, _at({"1": "A", "2": "A"}), []).profiles == []


def test_a_person_with_one_mailbox_in_two_entities_is_told() -> None:
    """Nor two entities of somebody whose records all have one mailbox."""
    records = [_record(name, plain=True) for name in "12"]
    assert judge(records, _at({"1": "A", "2": "B"}), [("A", "B")]).doubled == [1]
    assert judge(records, _at({"1": "A", "2": "A"}), []).doubled == []


def test_groups_other_than_those_in_memory_are_told() -> None:
    """Records that say the same are one group in memory: two groups, or an entity astride two, are told."""
    told = {"first_name": "Ann", "last_name": "Bol", "email": "ann@bol.io"}
    records = [Record("crm", name, 1, told, frozenset()) for name in "12"]
    together = _at({"1": "A", "2": "A"})
    assert judge(records, together, []).duplicates == 0
    found = judge(records, {"1": Home("A", "g"), "2": Home("A", "h")}, [])
    assert (found.strays, found.groups) == (["A"], ["1", "2"])
