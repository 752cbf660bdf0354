-- What keeps the tables in shape; each statement by itself, outside of any transaction.

-- name: open_attempt_days
-- Makes room for the attempts of UTC days; says how many were new. $1 first day; $2 last day.
select sync.open_attempt_days($1::date, $2::date) as days;

-- name: drop_attempt_days
-- Drops the attempts of the UTC days before $1; says how many days.
select sync.drop_attempt_days($1::date) as days;

-- name: prune_projections
-- Deletes projections older than $1, at most $2 rows, whichever come first.
with old as (
    select tenant_id, event_key from sync.projection
    where project_time < $1
    limit $2  -- noqa: AM09
)
delete from sync.projection as held
using old
where held.tenant_id = old.tenant_id and held.event_key = old.event_key;

-- name: prune_error_groups
-- Deletes groups that failed last before $1 and in which no delivery stands, at most $2 rows.
with old as (
    select cause.tenant_id, cause.group_id from sync.error_group as cause
    where
        cause.last_seen_time < $1
        and not exists (
            select from sync.error_member as member
            where member.tenant_id = cause.tenant_id and member.group_id = cause.group_id
        )
    limit $2  -- noqa: AM09
)
delete from sync.error_group as held
using old
where held.tenant_id = old.tenant_id and held.group_id = old.group_id and held.last_seen_time < $1;

-- name: dead_rows
-- Dead and live rows of the tables whose rows come and go.
select relname as table_name, n_dead_tup as dead, n_live_tup as live
from pg_stat_user_tables
where schemaname = 'sync' and relname in ('due', 'delivery', 'inflight', 'entity', 'record', 'projection');

-- name: vacuum_due
-- Vacuums the queue; a table that is locked is left alone.
vacuum (skip_locked, truncate false) sync.due;

-- name: vacuum_delivery
-- Vacuums the standing orders.
vacuum (skip_locked, truncate false) sync.delivery;

-- name: vacuum_inflight
-- Vacuums the journal of what is in flight.
vacuum (skip_locked, truncate false) sync.inflight;

-- name: vacuum_entity
-- Vacuums the entities.
vacuum (skip_locked, truncate false) sync.entity;

-- name: vacuum_record
-- Vacuums the source records.
vacuum (skip_locked, truncate false) sync.record;

-- name: vacuum_projection
-- Vacuums the projections.
vacuum (skip_locked, truncate false) sync.projection;

-- name: queue_size
-- Rows in line (an estimate) and the bytes of the queue's indexes: an emptied index keeps its pages, for reuse.
select
    greatest(relation.reltuples, 0)::bigint as deliveries,
    pg_indexes_size(relation.oid) as index_bytes
from pg_class as relation
where relation.oid = 'sync.due'::regclass;

-- name: drop_half_built_line
-- What a rebuild leaves that was cut off; nothing, as a rule.
drop index concurrently if exists sync.due_in_line_ccnew;

-- name: drop_half_built_pkey
-- The same of the key.
drop index concurrently if exists sync.due_pkey_ccnew;

-- name: rebuild_due_in_line
-- Gives back the pages that a drained backlog left in the queue's index; nobody waits for it.
reindex index concurrently sync.due_in_line;

-- name: rebuild_due_pkey
-- The same for its key.
reindex index concurrently sync.due_pkey;
