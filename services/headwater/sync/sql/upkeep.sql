-- Upkeep of the queue's tables, for the maintenance that runs once in a while, outside of any transaction.

-- name: open_attempt_days
-- Makes room for the attempts of UTC days; says how many were new. $1 first day; $2 last day.
select sync.open_attempt_days($1, $2) as days;

-- name: drop_attempt_days
-- Drops the attempts of the UTC days before $1; says how many days.
select sync.drop_attempt_days($1) as days;

-- name: queue_size
-- Rows in line (an estimate) and the bytes of the queue's indexes: an emptied index keeps its pages, for reuse.
select
    greatest(relation.reltuples, 0)::bigint as deliveries,
    pg_indexes_size(relation.oid) as index_bytes,
    pg_relation_size(relation.oid) as table_bytes
from pg_class as relation
where relation.oid = 'sync.due'::regclass;

-- name: rebuild_due_in_line
-- Gives back the pages that a drained backlog left in the queue's index; nobody waits for it.
reindex index concurrently sync.due_in_line;

-- name: rebuild_due_pkey
-- The same for its key.
reindex index concurrently sync.due_pkey;
