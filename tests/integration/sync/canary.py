"""Looks for a text in every table of a database: what tests of erasure ask where a person's value is left."""

from __future__ import annotations

from typing import Any, Final

_TABLES: Final = """
select format('%I.%I', space.nspname, class.relname) as name
from pg_class as class
inner join pg_namespace as space on class.relnamespace = space.oid
where class.relkind in ('r', 'p') and not class.relispartition and space.nspname in ('sync', 'ingest', 'identity')
order by 1
"""


async def tables_of(connection: Any) -> list[str]:
    """Return every table of the services, partitioned ones once."""
    return [row["name"] for row in await connection.fetch(_TABLES)]


async def tables_with(connection: Any, text: str) -> set[str]:
    """Return the tables of which some row holds *text*, in whatever column; of binary ones, its bytes."""
    found = set()
    for table in await tables_of(connection):
        held = await connection.fetchval(
            f"select exists (select from {table} as one where strpos(one::text, $1) > 0 or strpos(one::text, $2) > 0)",  # noqa: S608 - names of the catalogue
            text,
            text.encode().hex(),
        )
        if held:
            found.add(table)
    return found
