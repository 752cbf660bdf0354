"""Many tenants on which sequences are done and undone, several at once, until there were enough."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import count
from typing import Final

import anyio
import asyncpg
from rich.console import Console
from tests.identity_histories.services import service_on
from tests.identity_histories.tallying import progress_on, run_name
from tests.identity_histories.undoing import Count, NotRestored, Undoer

from headwater.identity.store import PostgresIdentityStore

TENANTS_AT_ONCE: Final = 4
PER_TENANT: Final = 20


async def undo_sequences(
    database_url: str,
    sequences: int,
    seed: int,
    console: Console | None = None,
    store: type[PostgresIdentityStore] = PostgresIdentityStore,
) -> Count:
    """Do and undo at least so many sequences, or until one did not restore what was."""
    done, began, run = Count(), time.monotonic(), run_name(seed)
    seeds = (seed * 1_000_003 + number for number in count())

    def wanted() -> Iterator[int]:
        while done.sequences < sequences and not done.failures:
            yield next(seeds)

    async with service_on(database_url, store=store) as service:
        with progress_on(console) as progress:
            bar = progress.add_task("merge, split, correct, undo", total=sequences)

            async def worker() -> None:
                connection = await asyncpg.connect(database_url)
                try:
                    for one in wanted():
                        await Undoer(service, connection, f"{run}-{one}", one, done).run(PER_TENANT)
                        progress.update(bar, completed=done.sequences)
                except NotRestored as error:
                    done.failures.append(str(error))
                finally:
                    await connection.close()

            async with anyio.create_task_group() as tasks:
                for _ in range(TENANTS_AT_ONCE):
                    tasks.start_soon(worker)
    done.seconds = time.monotonic() - began
    return done
