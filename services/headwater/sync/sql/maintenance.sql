-- What keeps the tables in shape.

-- name: open_attempt_days
-- Makes room for the attempts of some days. $1 first day; $2 last day.
select sync.open_attempt_days($1::date, $2::date) as days;

-- name: drop_attempt_days
-- Drops the attempts of the days before $1.
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
