"""`headwater connectors breaker`, against the real operations API on a database of the test's own."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from anyio.from_thread import start_blocking_portal
from tests.integration.sync.world import FixedPolicies
from tests.unit.sync.tenant import TENANT
from typer.testing import CliRunner, Result

from headwater.cli.app import app
from headwater.kernel.clock import SystemClock
from headwater.kernel.pg.pool import open_pool
from headwater.kernel.rpc import RpcServer, ServerSettings
from headwater.sync.rpc import SERVICE_NAME, SyncServicer
from headwater.sync.store.operations import PostgresOperations
from headwater.sync.store.replays import PostgresReplays
from headwater.sync.store.workbench import PostgresWorkbench
from headwater.sync.usecases.operations import Operations
from headwater.sync.usecases.workbench import Workbench
from headwater.sync.v1 import sync_pb2_grpc


@asynccontextmanager
async def serving(database_url: str) -> AsyncIterator[str]:
    """Serve the operations API; yield its address."""
    async with await open_pool(database_url, application_name="test", size_max=2) as pool:
        book, policies, clock = PostgresOperations(pool), FixedPolicies(), SystemClock()
        servicer = SyncServicer(
            Operations(book, policies, clock),
            Workbench(PostgresWorkbench(pool), PostgresReplays(pool), book, policies, clock),
        )

        def add(server: grpc.aio.Server) -> Sequence[str]:
            sync_pb2_grpc.add_SyncServiceServicer_to_server(servicer, server)
            return (SERVICE_NAME,)

        async with RpcServer(ServerSettings(drain_s=1.0), add).serving() as port:
            yield f"127.0.0.1:{port}"


@pytest.fixture
def environment(migrated_database_url: str, tmp_path: Path) -> Iterator[dict[str, str]]:
    """An environment whose sync is served, and where nothing else answers."""
    with (
        start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(serving(migrated_database_url)) as address,
    ):
        yield {
            "HEADWATER_SYNC_ADDRESS": address,
            "HEADWATER_INGEST_ADDRESS": "127.0.0.1:1",
            "HEADWATER_IDENTITY_ADDRESS": "127.0.0.1:1",
            "HEADWATER_DATA_DIR": str(tmp_path / "data"),
            "HEADWATER_TENANT": TENANT,
            "HEADWATER_ACTOR": "operator-1",
        }


def breaker(environment: dict[str, str], *words: str) -> Result:
    """Type the command."""
    return CliRunner().invoke(app, ["connectors", "breaker", *words], env=environment)


def test_an_order_is_rehearsed_first_and_done_with_yes(environment: dict[str, str]) -> None:
    """Without --yes the words say what would happen and nothing does; with it the account shows the order."""
    words = ("salesforce", "open", "--for", "30m", "--reason", "maintenance")
    rehearsed = breaker(environment, *words)
    assert rehearsed.exit_code == 0, rehearsed.output
    assert "would start for 30m; what is due stays due; add --yes to do it" in rehearsed.stdout
    done = json.loads(breaker(environment, *words, "--yes", "--json").stdout)
    assert (done["changed"], done["dry_run"]) == (True, False)
    account = done["connector"]
    assert (account["breaker_state"], account["breaker_forced"]) == ("open", "open")
    assert (account["breaker_forced_by"], account["breaker_forced_reason"]) == ("operator-1", "maintenance")
    listed = CliRunner().invoke(app, ["connectors", "accounts"], env=environment)
    assert "open (forced)" in listed.stdout
    reset = breaker(environment, "salesforce", "reset", "--yes")
    assert "its failures and orders forgotten" in reset.stdout
    again = breaker(environment, "salesforce", "reset", "--yes")
    assert "stands so already; nothing was changed" in again.stdout


def test_forcing_needs_a_reason(environment: dict[str, str]) -> None:
    """The broken rule is named, and nothing is done."""
    refused = breaker(environment, "salesforce", "closed", "--yes", "--json")
    assert refused.exit_code != 0
    assert json.loads(refused.stdout)["error"]["violations"][0]["field"] == "reason"


@pytest.mark.parametrize("text", ["30", "m", "-5m", "1w", "1h30m"])
def test_a_duration_that_is_none_is_told(environment: dict[str, str], text: str) -> None:
    """The option is named, with forms that are right."""
    refused = breaker(environment, "salesforce", "open", "--for", text, "--reason", "x")
    assert refused.exit_code != 0
    assert "as 90s, 30m, 2h or 1d" in refused.stderr
