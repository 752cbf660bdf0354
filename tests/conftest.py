"""Fixtures of all tests: the event loop and throw-away databases."""

from __future__ import annotations

import inspect
import os
from typing import TYPE_CHECKING, Final

import anyio
import pytest
from hypothesis import settings
from tests.memory_disk import use_memory_disk

from headwater.kernel.testing import postgres

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
"""Before grpc is imported: its fork handlers crash the children that start and end the embedded server."""

import grpc  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytest_plugins = ["headwater.connectors.base.testing.evidence"]
"""Compares what connectors were proven against with what the package tells of it."""

use_memory_disk()

settings.register_profile("developer", deadline=None)
"""pytest's timeout bounds a test; one slow example on a busy machine says nothing."""
settings.register_profile("ci", settings.get_profile("developer"), derandomize=True, print_blob=True)
"""The same examples at every run: a change is judged by itself. Developers' runs look for new ones."""
settings.load_profile("ci" if os.environ.get("CI") else "developer")


@pytest.fixture(scope="session", autouse=True)
def grpc_poller() -> None:
    """Keep gRPC's poller thread for the whole session, as a service does for its whole life.

    Without a holder it is torn down and built anew around every test that opens a server or a channel:
    a path that no service takes.
    """
    grpc.aio.init_grpc_aio()


@pytest.fixture(scope="session", autouse=True)
def own_data_directory(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep what services write beside their database, keys and checkpoints, out of the user's own directory."""
    os.environ["HEADWATER_DATA_DIR"] = str(tmp_path_factory.mktemp("data"))
    os.environ["HEADWATER_SYNC_AUDIT_DIR"] = "none"  # every test begins a history of the same tenants


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Asyncio everywhere: grpc.aio and asyncpg know no other loop."""
    return "asyncio"


@pytest.fixture(scope="session")
async def event_loop_of_the_session(anyio_backend: str) -> AsyncIterator[str]:
    """Hold one event loop for the whole session, as a service does for its whole life.

    gRPC hands the end of a cancelled call to its loop a moment later: to one that a finished test had closed.
    """
    yield anyio_backend  # noqa: PT022 - a generator is what holds the loop, until its end


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(name: str, obj: object) -> None:
    """Give every asynchronous test that loop."""
    if name.startswith("test_") and inspect.iscoroutinefunction(obj):
        pytest.mark.usefixtures("event_loop_of_the_session")(obj)


LONGEST_FIRST: Final = ("fuzz", "system", "simulation", "integration", "contract", "unit")
"""Folders of tests by what one of their files takes: minutes down to milliseconds."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where several processes share the files, hand the long ones out first: none is left alone with one at the end."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=_place_by_length)


def _place_by_length(item: pytest.Item) -> int:
    folder = item.nodeid.split("/")[1]
    return LONGEST_FIRST.index(folder) if folder in LONGEST_FIRST else len(LONGEST_FIRST)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URL of a server for this session."""
    with postgres.shared_server() as url:
        yield url


@pytest.fixture(scope="session")
def migrated_template_url(postgres_server: str) -> Iterator[str]:
    """URL of a database with every service's schema, to clone; connect to a clone, never to this."""
    url = anyio.run(postgres.create_template, postgres_server)
    yield url
    anyio.run(postgres.drop_database, postgres_server, url)


@pytest.fixture
def database_url(postgres_server: str) -> Iterator[str]:
    """URL of an empty database of the test's own."""
    url = anyio.run(postgres.create_database, postgres_server)
    yield url
    anyio.run(postgres.drop_database, postgres_server, url)


@pytest.fixture
def migrated_database_url(postgres_server: str, migrated_template_url: str) -> Iterator[str]:
    """URL of a database of the test's own with every service's schema."""
    url = anyio.run(postgres.create_database, postgres_server, migrated_template_url)
    yield url
    anyio.run(postgres.drop_database, postgres_server, url)
