"""What must hold in the tables whatever happened, process and Postgres killed included. Reads only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import asyncpg

if TYPE_CHECKING:  # the name exists for type checkers only
    from headwater.kernel.pg.pool import Connection

HALF_DONE: Final[Mapping[str, str]] = {
    "a merged entity has records": """
        SELECT e.entity_id FROM identity.entity AS e
        WHERE e.merged_into IS NOT NULL
            AND EXISTS (
                SELECT FROM identity.member AS m WHERE m.tenant_id = e.tenant_id AND m.entity_id = e.entity_id
            )""",
    "an entity is merged without a standing merge that says so": """
        SELECT e.entity_id FROM identity.entity AS e
        WHERE e.merged_into IS NOT NULL
            AND NOT EXISTS (
                SELECT FROM identity.merge AS g
                WHERE g.tenant_id = e.tenant_id AND g.loser_id = e.entity_id
                    AND g.winner_id = e.merged_into AND g.split_time IS NULL
            )""",
    "a standing merge whose loser stands for itself": """
        SELECT g.merge_id FROM identity.merge AS g
        INNER JOIN identity.entity AS e ON e.tenant_id = g.tenant_id AND e.entity_id = g.loser_id
        WHERE g.split_time IS NULL AND e.merged_into IS DISTINCT FROM g.winner_id""",
    "a merge that moved other than it says": """
        SELECT g.merge_id FROM identity.merge AS g
        WHERE g.moved_count <> (
            SELECT count(*) FROM identity.merge_member AS mm
            WHERE mm.tenant_id = g.tenant_id AND mm.merge_id = g.merge_id
        )""",
    "an undone merge that still holds records": """
        SELECT g.merge_id FROM identity.merge AS g
        INNER JOIN identity.merge_member AS mm ON mm.tenant_id = g.tenant_id AND mm.merge_id = g.merge_id
        WHERE g.split_time IS NOT NULL AND NOT mm.released""",
    "a merge or split that the log will not hear of": """
        SELECT g.merge_id FROM identity.merge AS g
        WHERE (
            SELECT count(*) FROM identity.change AS c
            WHERE c.tenant_id = g.tenant_id AND c.merge_id = g.merge_id
        ) <> CASE WHEN g.split_time IS NULL THEN 1 ELSE 2 END""",
    "a record without its keys": """
        SELECT m.record_id FROM identity.member AS m
        WHERE m.object = 'contact'
            AND NOT EXISTS (
                SELECT FROM identity.record_key AS k
                WHERE k.tenant_id = m.tenant_id AND k.record_id = m.record_id
            )""",
    "an exclusive key held by an entity without it": """
        SELECT x.hash FROM identity.exclusive_key AS x
        WHERE NOT EXISTS (
            SELECT FROM identity.member AS m
            WHERE m.tenant_id = x.tenant_id AND m.entity_id = x.entity_id AND x.hash = ANY(m.keys[1:m.exclusive])
        )""",
    "a record has an exclusive key of another entity, and nobody told them apart or is asked": """
        SELECT m.record_id FROM identity.member AS m
        CROSS JOIN LATERAL unnest(m.keys[1:m.exclusive]) AS k (hash)
        INNER JOIN identity.exclusive_key AS x ON x.tenant_id = m.tenant_id AND x.hash = k.hash
        WHERE x.entity_id <> m.entity_id
            AND NOT EXISTS (
                SELECT FROM identity.told_apart AS t
                INNER JOIN identity.member AS l ON l.tenant_id = t.tenant_id AND l.record_id = t.low_id
                INNER JOIN identity.member AS h ON h.tenant_id = t.tenant_id AND h.record_id = t.high_id
                WHERE t.tenant_id = m.tenant_id AND t.retract_time IS NULL
                    AND m.entity_id IN (l.entity_id, h.entity_id) AND x.entity_id IN (l.entity_id, h.entity_id)
            )
            AND NOT EXISTS (
                SELECT FROM identity.merge_candidate AS c
                INNER JOIN identity.member AS o ON o.tenant_id = c.tenant_id AND o.record_id = c.record_id
                INNER JOIN identity.member AS p ON p.tenant_id = c.tenant_id AND p.record_id = c.other_record_id
                WHERE c.tenant_id = m.tenant_id AND c.close_time IS NULL AND c.question = 'merge'
                    AND m.entity_id IN (o.entity_id, p.entity_id) AND x.entity_id IN (o.entity_id, p.entity_id)
            )""",
    "an entity astride two groups": """
        SELECT m.entity_id FROM identity.member AS m
        GROUP BY m.tenant_id, m.entity_id
        HAVING count(DISTINCT m.group_id) > 1""",
    "an entity that never had a record": """
        SELECT e.entity_id FROM identity.entity AS e
        WHERE NOT EXISTS (
            SELECT FROM identity.member AS m WHERE m.tenant_id = e.tenant_id AND m.record_id = e.entity_id
        )""",
}
"""Each query names what breaks the rule; the records of a history all have keys."""


EXCLUSIVE: Final = {rule: query for rule, query in HALF_DONE.items() if "exclusive key" in rule}


async def half_done(database_url: str) -> dict[str, int]:
    """Return how many break each rule; nothing when all is whole."""
    connection = await asyncpg.connect(database_url, timeout=20)
    try:
        return await broken(connection, HALF_DONE)
    finally:
        await connection.close()


async def broken(connection: Connection, rules: Mapping[str, str]) -> dict[str, int]:
    """Return how many break each of *rules*."""
    found = {rule: len(await connection.fetch(query)) for rule, query in rules.items()}
    return {rule: number for rule, number in found.items() if number}


async def count_merges(database_url: str) -> int:
    """Return how many merges were written down: none would make the rules empty."""
    connection = await asyncpg.connect(database_url, timeout=20)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM identity.merge"))
    finally:
        await connection.close()
