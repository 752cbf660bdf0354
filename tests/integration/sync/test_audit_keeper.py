"""Heads are signed when they are due and told to a second place, which finds what the database's owner has done."""

from __future__ import annotations

import base64
import random
import stat
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import anyio
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.integration.sync.trail_world import BEN, FULL, TENANT, TrailWorld, trail_world

from headwater.audit.checkpoints import FIRST, is_signed
from headwater.kernel.errors import NotFound, PreconditionFailed
from headwater.sync.auditing.files import checkpoint_file
from headwater.sync.auditing.keys import load_signer
from headwater.sync.auditing.ports import SecondPlaceFailed, Wanted
from headwater.sync.domain.leasing import Lease
from headwater.sync.secrets import EnvironmentSecrets
from headwater.sync.usecases.proving import Proving

pytestmark = pytest.mark.anyio

TAMPERINGS = 60


@pytest.fixture
async def world(migrated_database_url: str, tmp_path: Path) -> AsyncIterator[TrailWorld]:
    """An empty audit of the test's own; a checkpoint is due after 10 entries."""
    async with trail_world(migrated_database_url, tmp_path / "place", checkpoint_entries=10) as world:
        yield world


async def test_a_checkpoint_is_due_by_entries_or_by_age(world: TrailWorld) -> None:
    """The first at once; then after 10 entries, or after a minute with anything new, never without."""
    sizes = []
    for count, wait_s in ((1, 0.0), (5, 1.0), (5, 1.0), (1, 1.0), (0, 60.0), (0, 600.0)):
        await world.write(count)
        world.clock.advance(wait_s)
        await world.keeper.look()
        sizes.append(world.told()[-1].size)
    assert sizes == [1, 1, 11, 11, 12, 12]
    first, second, third = world.told()
    assert (first.previous, second.previous, third.previous) == (FIRST, first.hash, second.hash)
    assert all(is_signed(item, {world.signer.key_id: world.signer.public_key}) for item in world.told())
    assert await world.audit.checkpoints(TENANT, 0, 10) == world.told()


async def test_a_heartbeat_missed_while_it_works_is_left_to_the_fence(
    world: TrailWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease that it began under is the one that it ends under: nobody has taken it here, so the head is signed."""
    number = world.trail.number

    async def lapsing(lease: Lease, tenants: Sequence[str], share: int) -> int:
        world.keeper._lose()  # noqa: SLF001 - as the membership does
        return await number(lease, tenants, share)

    monkeypatch.setattr(world.trail, "number", lapsing)
    await world.write(1)
    await world.keeper.look()
    assert [item.size for item in world.told()] == [1]


async def test_what_the_second_place_lacks_is_told_before_anything_new(world: TrailWorld) -> None:
    """After a crash between commit and file, and after the file was lost whole."""
    for _ in range(3):
        await world.write()
        await world.seal()
    file = checkpoint_file(world.place, TENANT)
    whole = file.read_bytes()
    file.write_bytes(whole[: whole.index(b"\n") + 40])
    await world.write()
    await world.seal()
    assert [item.size for item in world.told()] == [1, 2, 3, 4]
    file.unlink()
    await world.write()
    await world.seal()
    assert [item.size for item in world.told()] == [1, 2, 3, 4, 5]
    assert (await world.verdict()).is_sound


async def test_a_database_that_lost_its_past_is_not_signed(world: TrailWorld) -> None:
    """Restored from before a checkpoint, it would sign another history: it says so instead, until somebody decides."""
    for _ in range(2):
        await world.write()
        await world.seal()
    await world.damage("delete from sync.audit_checkpoint where size = 2")
    await world.write()
    await world.seal()
    assert [item.size for item in world.told()] == [1, 2]
    assert (await world.audit.standing(TENANT)).finding.startswith("forked: the second place knows")
    checkpoint_file(world.place, TENANT).rename(world.place / "kept-aside.jsonl")
    await world.seal()
    assert (await world.audit.standing(TENANT)).finding == ""
    assert [item.size for item in world.told()] == [1, 3]


async def test_a_damaged_tree_of_one_tenant_stops_no_other(world: TrailWorld) -> None:
    """It is noted, and its entries wait."""
    world.tenants.append("other")
    await world.write(3)
    await world.number()
    await world.damage("delete from sync.audit_tile where tenant_id = $1", TENANT)
    await world.write(1)
    await world.write(2, "other")
    await world.seal()
    assert (await world.audit.standing("other")).sealed == 2
    standing = await world.audit.standing(TENANT)
    assert (standing.size, standing.sealed) == (3, 0)
    assert standing.finding


DAMAGES = {
    "edit": "update sync.audit set actor = actor || 'x' where audit_id = $1",
    "values": "update sync.audit set changes = '[]' where audit_id = $1",
    "time": "update sync.audit set audit_time = audit_time + interval '1 second' where audit_id = $1",
    "delete": "delete from sync.audit where audit_id = $1",
    "swap": "update sync.audit_tile set audit_ids[$1] = audit_ids[$1 + 1], audit_ids[$1 + 1] = audit_ids[$1] where tile = 0",
    "leaf": "update sync.audit_tile set nodes = set_byte(nodes, $1, get_byte(nodes, $1) # 1) where tile = 0 and tier = 0",
    "salt": "update sync.audit_salt set salts = set_byte(salts, $1, get_byte(salts, $1) # 1) where tile = 0",
    "forged": "insert into sync.audit (tenant_id, xid, action, actor)"
    " select tenant_id, xid, 'field_changed', 'nobody' from sync.audit where audit_id = $1",
    "truncate": "delete from sync.audit_tile where tier = 0 and tile > 0 and $1 > 0",
}
KINDS = {
    "edit": {"edited"},
    "values": {"edited"},
    "time": {"edited"},
    "delete": {"deleted"},
    "swap": {"reordered"},
    "leaf": {"edited"},
    "salt": {"edited"},
    "forged": {"inserted"},
    "truncate": {"truncated"},
}


async def test_what_the_owner_of_the_tables_does_is_found(world: TrailWorld) -> None:
    """60 random tamperings with the triggers off, each undone after: every one found, and of its kind."""
    for count in (40, 300, 40):
        await world.write(count)
        await world.write(**FULL)
        await world.seal()
    entries = await world.entries()
    chance, unfound = random.Random(5), []
    for number in range(TAMPERINGS):
        name = list(DAMAGES)[number % len(DAMAGES)]
        seq = chance.randint(1, 200)
        argument = entries[seq - 1].audit_id if "audit_id = $1" in DAMAGES[name] else seq
        finding = (await world.verdict_of(await world.seen_after(DAMAGES[name], argument))).finding
        if finding is None or finding.kind not in KINDS[name]:
            unfound.append(f"{name} {seq}: {finding}")
    assert unfound == []
    assert (await world.verdict()).is_sound


async def test_hashes_made_anew_over_a_changed_entry_are_found_by_the_second_place(world: TrailWorld) -> None:
    """Whoever can write every table makes leaves, tiles and checkpoints fit; the place keeps what was signed."""
    await world.write(30)
    await world.seal()
    true = world.told()
    await world.damage(
        "update sync.audit set actor = 'nobody' where audit_id = (select min(audit_id) from sync.audit)"
    )
    for table in ("audit_tile", "audit_salt", "audit_checkpoint", "audit_head"):
        await world.damage(f"delete from sync.{table}")  # noqa: S608 - names of this file
    file = checkpoint_file(world.place, TENANT)
    aside = file.read_bytes()
    file.unlink()
    await world.seal()
    assert (await world.verdict()).is_sound
    finding = (await world.verdict(extra=true)).finding
    assert finding is not None
    assert (finding.kind, finding.seq, finding.until_seq) == ("forked", 1, 30)
    file.write_bytes(aside)
    finding = (await world.verdict()).finding
    assert finding is not None
    assert (finding.kind, finding.seq, finding.until_seq) == ("restamped", 1, 30)


async def test_an_entry_is_proven_under_the_oldest_checkpoint_that_covers_it(world: TrailWorld) -> None:
    """Before there is one it is told so; an id that has no number is not found."""
    proving = Proving(world.audit)
    await world.write(3)
    with pytest.raises(NotFound):
        await proving.prove(TENANT, 1)
    await world.number()
    audit_id = (await world.entries())[1].audit_id
    with pytest.raises(PreconditionFailed, match="has the number 2"):
        await proving.prove(TENANT, audit_id)
    await world.seal()
    await world.write(300)
    await world.seal()
    proof = await proving.prove(TENANT, audit_id)
    assert (proof.entry.seq, proof.checkpoint.size) == (2, 3)
    assert len(await proving.consistency(TENANT, 3, 303)) > 0
    with pytest.raises(PreconditionFailed, match="303 numbered entries"):
        await proving.consistency(TENANT, 3, 304)


async def test_searching_finds_what_fits_page_by_page(world: TrailWorld) -> None:
    """By each of what may be asked for, newest first; pages neither repeat nor leave out."""
    await world.write(5)
    await world.write(3, entity_id=BEN, actor="ann")
    await world.write(2, **FULL)
    for wanted, count in (
        (Wanted(), 10),
        (Wanted(entity_id=BEN), 3),
        (Wanted(entity_id=BEN, actor="nobody"), 0),
        (Wanted(actor="ann"), 3),
        (Wanted(action="delivered", connector="crm"), 2),
        (Wanted(event_key=FULL["event_key"]), 2),
    ):
        seen: list[int] = []
        place = None
        while True:
            found = await world.audit.search(TENANT, wanted, place, 2)
            seen += [entry.audit_id for entry in found.entries]
            place = found.next_place
            if place is None:
                break
        assert len(seen) == count
        assert seen == sorted(set(seen), reverse=True)
    times = [entry.audit_time for entry in (await world.audit.search(TENANT, Wanted(), None, 100)).entries]
    later = await world.audit.search(TENANT, Wanted(since=times[3]), None, 100)
    earlier = await world.audit.search(TENANT, Wanted(until=times[3]), None, 100)
    assert (len(later.entries), len(earlier.entries)) == (4, 6)


async def test_a_key_is_made_once_and_kept_from_others(tmp_path: Path) -> None:
    """The file is this account's alone, and read again; one that others may read is refused."""
    path, secrets = tmp_path / "deep" / "key.pem", EnvironmentSecrets({})
    made = await load_signer("", path, secrets)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (await load_signer("", path, secrets)).key_id == made.key_id
    assert list(path.parent.iterdir()) == [path]
    path.chmod(0o644)
    with pytest.raises(SecondPlaceFailed, match="chmod 600"):
        await load_signer("", path, secrets)


async def test_a_key_comes_from_the_environment(tmp_path: Path) -> None:
    """As other secrets do; nothing is written, and one that is no key is told."""
    raw = Ed25519PrivateKey.generate().private_bytes_raw()
    held = msgspec.json.encode({"private_key": base64.b64encode(raw).decode()}).decode()
    secrets = EnvironmentSecrets({"GOOD": held, "SHORT": '{"private_key": "AAAA"}'})
    path = tmp_path / "key.pem"
    signer = await load_signer("env:GOOD", path, secrets)
    assert signer.private_key.private_bytes_raw() == raw
    assert not path.exists()
    for reference in ("env:SHORT", "env:NONE"):
        with pytest.raises(SecondPlaceFailed, match=reference):
            await load_signer(reference, path, secrets)


async def test_a_damaged_checkpoint_stops_the_signing_and_not_the_numbering(world: TrailWorld) -> None:
    """The keeper goes on and numbers; who asks for checkpoints is told that they are damaged."""
    await world.write(2)
    await world.seal()
    await world.damage("update sync.audit_checkpoint set line = 'no json'")
    await world.write(3)
    with anyio.move_on_after(0.5):
        await world.keeper.run()
    assert (await world.audit.standing(TENANT)).size == 5
    with pytest.raises(PreconditionFailed, match="damaged"):
        await world.audit.checkpoints(TENANT, 0, 10)
