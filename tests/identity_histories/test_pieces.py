"""Two records of one person who tell what identifies them piece by piece, in every order: one entity in the end."""

from __future__ import annotations

import uuid
from itertools import permutations

import pytest
from tests.identity_histories.people import OBJECT, SOURCE
from tests.identity_histories.services import CALL_S, service_on

from headwater.identity.domain.records import RecordRef
from headwater.identity.usecases.resolve import RecordToResolve
from headwater.kernel.ids import EventKey, TenantId

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

NAME = {"first_name": "Gmarphir", "last_name": "Yohwefax"}
PAGE = {"linkedin_url": "https://linkedin.com/in/gmarphir-yohwefax"}
NUMBER = {"phone": "+12122000266"}
MAILBOX = {"email": "gmarphir.yohwefax266@daljswly.test"}
PIECES = (
    ("r1", NUMBER),
    ("r1", NUMBER | PAGE),
    ("r2", MAILBOX | NUMBER),
    ("r2", MAILBOX | PAGE | NUMBER),
)


def _told(name: str, piece: dict[str, str]) -> RecordToResolve:
    key = EventKey(uuid.uuid5(uuid.NAMESPACE_OID, f"{name} {sorted(piece)}"))
    return RecordToResolve(RecordRef(SOURCE, OBJECT, name), key, NAME | piece)


async def test_a_person_told_in_pieces_is_one_entity_in_any_order(migrated_database_url: str) -> None:
    """A number alone leaves them apart where one shows a namesake; the page that both have unites them, whenever each tells it."""
    parted = 0
    async with service_on(migrated_database_url, replicas=2) as service:
        for number, pieces in enumerate(permutations(PIECES)):
            tenant, homes = TenantId(f"t{number}"), {}
            for step, (name, piece) in enumerate(pieces):
                (found,) = await service.replica.resolver.resolve(tenant, [_told(name, piece)], CALL_S)
                homes[name] = found.entity_id
                parted += step < len(PIECES) - 1 and len(set(homes.values())) > 1
            records = [_told(*piece) for piece in (PIECES[1], PIECES[3])]
            ours, theirs = await service.replica.resolver.resolve(tenant, records, CALL_S)
            assert ours.entity_id == theirs.entity_id, [name for name, _ in pieces]
    assert parted
