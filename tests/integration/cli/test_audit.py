"""`headwater audit` against a served sync: what it prints, what its files prove, and how it exits."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import grpc
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from rich.console import Console
from tests.integration.sync.trail_world import BEN, TENANT, TrailWorld, trail_world
from typer.testing import CliRunner, Result

from headwater.cli.app import app
from headwater.cli.auditing import Anchor, verify_file
from headwater.kernel.rpc import RpcServer, ServerSettings
from headwater.sync.rpc.audit import AUDIT_NAME, AuditServicer
from headwater.sync.usecases.proving import Proving
from headwater.sync.v1 import audit_pb2_grpc


@dataclass(frozen=True, slots=True)
class Typed:
    """A served audit, and the command that speaks to it."""

    world: TrailWorld
    portal: BlockingPortal
    environment: dict[str, str]
    place: Path

    def audit(self, *words: object) -> Result:
        """Type `headwater audit …`."""
        return CliRunner().invoke(app, ["audit", *map(str, words)], env=self.environment)

    def told(self, *words: object, code: int = 0) -> Any:
        """Type it with --json, expect an exit code, and return the document."""
        done = self.audit(*words, "--json")
        assert done.exit_code == code, done.output
        return json.loads(done.stdout)


@asynccontextmanager
async def _served(url: str, place: Path) -> AsyncIterator[tuple[TrailWorld, int]]:
    async with trail_world(url, place) as world:
        servicer = AuditServicer(Proving(world.audit))

        def add(server: grpc.aio.Server) -> Sequence[str]:
            audit_pb2_grpc.add_AuditServiceServicer_to_server(servicer, server)
            return (AUDIT_NAME,)

        async with RpcServer(ServerSettings(drain_s=1.0), add).serving() as port:
            yield world, port


@pytest.fixture
def typed(migrated_database_url: str, tmp_path: Path) -> Iterator[Typed]:
    """An audit of 600 entries of one entity and two of another, signed."""
    place = tmp_path / "data" / "audit"
    with (
        start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(_served(migrated_database_url, place)) as (world, port),
    ):
        portal.call(world.write, 600)
        portal.call(world.seal)
        portal.call(lambda: world.write(2, entity_id=BEN, actor="ann"))
        portal.call(world.seal)
        environment = {
            "HEADWATER_SYNC_ADDRESS": f"127.0.0.1:{port}",
            "HEADWATER_INGEST_ADDRESS": "127.0.0.1:1",
            "HEADWATER_IDENTITY_ADDRESS": "127.0.0.1:1",
            "HEADWATER_DATA_DIR": str(tmp_path / "data"),
            "HEADWATER_TENANT": TENANT,
        }
        yield Typed(world, portal, environment, place)


def test_a_sound_audit_is_verified_online_and_from_a_file(typed: Typed, tmp_path: Path) -> None:
    """Against the stack's own second place; the file needs no service, and both come to the same root."""
    online = typed.told("verify")
    assert (online["sound"], online["entries"], online["sealed"], online["places"]) == (
        True,
        602,
        602,
        [str(typed.place)],
    )
    file = tmp_path / "audit.jsonl"
    assert typed.told("export", file)["entries"] == 602
    typed.environment["HEADWATER_SYNC_ADDRESS"] = "127.0.0.1:1"
    offline = typed.told("verify", "--export", file, "--checkpoints", typed.place)
    assert offline == online
    alone = typed.audit("verify", "--export", file)
    assert alone.exit_code == 0
    assert "only what the database itself says" in alone.stdout


def test_tampering_ends_with_its_own_exit_code(typed: Typed) -> None:
    """The first bad number and the kind are told, to people and to programs."""
    typed.portal.call(
        typed.world.damage,
        "update sync.audit set actor = 'x' where audit_id ="
        " (select audit_ids[100] from sync.audit_tile where tier = 0 and tile = 1)",
    )
    found = typed.told("verify", code=3)["finding"]
    assert (found["kind"], found["seq"]) == ("edited", 356)
    shown = typed.audit("verify")
    assert shown.exit_code == 3
    assert "edited at number 356" in shown.stdout


def test_a_file_that_was_changed_ends_so_too(typed: Typed, tmp_path: Path) -> None:
    """A line taken out is found without a service."""
    file = tmp_path / "audit.jsonl"
    typed.told("export", file)
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*lines[:50], *lines[51:]]))
    found = typed.told("verify", "--export", file, "--checkpoints", typed.place, code=3)["finding"]
    assert found["kind"] == "deleted"
    file.write_bytes(b"no export\n")
    assert typed.told("verify", "--export", file, code=1)["error"]["reason"] == "NO_EXPORT"


def test_a_key_that_is_not_named_proves_nothing(typed: Typed) -> None:
    """--key is what somebody was told by another way."""
    right, wrong = typed.world.signer.key_id.hex(), "00" * 32
    assert typed.told("verify", "--key", right)["sound"] is True
    assert typed.told("verify", "--key", wrong, code=3)["finding"]["kind"] == "forked"


def test_a_proof_of_one_entry_stands_alone(typed: Typed, tmp_path: Path) -> None:
    """Made online, verified from its file; changed in the file it proves nothing."""
    audit_id = typed.told("search", "--entity", BEN)["entries"][0]["audit_id"]
    file = tmp_path / "proof.json"
    made = typed.told("prove", audit_id, "--out", file)
    assert (made["sound"], made["seq"], made["size"]) == (True, 602, 602)
    typed.environment["HEADWATER_SYNC_ADDRESS"] = "127.0.0.1:1"
    words = ("verify", "--proof", file, "--checkpoints", typed.place)
    assert typed.told(*words)["sound"] is True
    file.write_text(file.read_text().replace('"ann"', '"bob"'))
    assert typed.told(*words, code=3)["complaint"] == "the content of the entry does not give its leaf"


def test_a_proof_of_an_unknown_entry_is_refused(typed: Typed) -> None:
    """As any other thing that is not there."""
    assert typed.told("prove", 10**12, code=1)["error"]["reason"] == "UNKNOWN_AUDIT_ENTRY"


def test_searching_takes_every_filter(typed: Typed) -> None:
    """By entity, actor, action and time; more than one page is put together."""
    assert len(typed.told("search", "--limit", 601)["entries"]) == 601
    assert len(typed.told("search", "--actor", "ann", "--since", "1h")["entries"]) == 2
    assert typed.told("search", "--until", "2026-01-01")["entries"] == []
    assert typed.told("search", "--action", "delivered", "--connector", "crm")["entries"] == []
    shown = typed.audit("search", "--entity", BEN)
    assert shown.exit_code == 0
    assert "ann@x.io" in shown.stdout
    assert typed.told("search", "--since", "soon", code=1)["error"]["exit_code"] == 1


@pytest.mark.parametrize(("line", "kind"), [(None, None), (400, "edited"), (-1, "truncated")])
def test_several_processes_come_to_the_same_verdict(
    typed: Typed, tmp_path: Path, line: int | None, kind: str | None
) -> None:
    """Of a sound export, of one that is not, and of one that ends too early; erased values among its entries."""
    typed.portal.call(
        typed.world.pool.fetchval, "select sync.erase_audit($1, $2, 'desk', 'asked')", TENANT, BEN
    )
    typed.portal.call(typed.world.seal)
    file = tmp_path / "audit.jsonl"
    typed.told("export", file)
    lines = file.read_bytes().splitlines(keepends=True)
    if line == -1:
        del lines[-2:]
    elif line is not None:
        lines[line] = lines[line].replace(b'"site"', b'"nobody"')
    file.write_bytes(b"".join(lines))
    anchor, console = Anchor([typed.place]), Console(file=StringIO())
    alone, together = (verify_file(file, anchor, console, together_from=least)[1] for least in (10**9, 0))
    assert together.finding == alone.finding
    assert (together.finding.kind if together.finding else None) == kind
    assert (together.root, together.erased, together.sealed) == (alone.root, alone.erased, alone.sealed)


def test_values_are_erased_after_a_dry_run_and_every_proof_stands(typed: Typed) -> None:
    """First how many entries; with --yes they are gone, which is no tampering; again there is nothing left."""
    words = ("erase", BEN, "--reason", "request 4711")
    dry = typed.told(*words)
    assert (dry["dry_run"], int(dry["erased_count"]) > 0) == (True, True)
    assert "ann@x.io" in typed.audit("search", "--entity", BEN).stdout
    assert typed.told(*words, "--yes")["erased_count"] == dry["erased_count"]
    assert "ann@x.io" not in typed.audit("search", "--entity", BEN).stdout
    typed.portal.call(typed.world.seal)
    assert typed.told("verify")["sound"]
    assert typed.told(*words)["erased_count"] == "0"
