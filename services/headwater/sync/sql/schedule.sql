-- Periodic jobs and how they stand.

-- name: keep_schedules
-- Makes room for jobs not seen before, and takes on changed periods; how a job stands is left alone.
-- Arrays: $1 tenant, $2 name, $3 kind, $4 connector, $5 period in seconds, $6 first time.
insert into sync.schedule as held (tenant_id, name, kind, connector, every_s, plan_time, next_time)
select item.tenant_id, item.name, item.kind, item.connector, item.every_s, item.first_time as plan_time,
    item.first_time as next_time
from unnest($1::text [], $2::text [], $3::text [], $4::text [], $5::double precision [], $6::timestamptz [])
    as item (tenant_id, name, kind, connector, every_s, first_time)
order by item.tenant_id, item.name
on conflict (tenant_id, name) do update
set kind = excluded.kind, connector = excluded.connector, every_s = excluded.every_s
where (held.kind, held.connector, held.every_s) <> (excluded.kind, excluded.connector, excluded.every_s);

-- name: retire_schedules
-- Forgets jobs of an account that its policy does not ask for any more.
-- $1 tenant; $2 connector; $3 names that stay text[].
delete from sync.schedule where tenant_id = $1 and connector = $2 and name <> all($3::text []);

-- name: read_standings
-- How jobs stand. Arrays: $1 tenant, $2 name.
select
    held.tenant_id, held.name, held.plan_time, held.next_time, held.paused, held.asked, held.failure_count,
    held.missed_count, held.order_count
from unnest($1::text [], $2::text []) as wanted (tenant_id, name)
inner join sync.schedule as held using (tenant_id, name);

-- name: begin_run
-- Notes that a run has begun; that of a lasting job fulfils an order thereby. $1 tenant; $2 name; $3 now; $4 lasts.
update sync.schedule set begin_time = $3, run_count = run_count + 1, asked = asked and not $4
where tenant_id = $1 and name = $2;

-- name: end_run
-- Notes how a run ended and when the next one is due. An order given since it was begun, and a pause, stand.
-- $1 tenant; $2 name; $3 plan time; $4 next time; $5 failures in a row; $6 missed runs; $7 now; $8 outcome; $9 detail;
-- $10 orders known when it began.
update sync.schedule
set
    plan_time = $3, next_time = $4, failure_count = $5, missed_count = $6, end_time = $7, outcome = $8,
    detail = $9, asked = asked and order_count > $10
where tenant_id = $1 and name = $2;

-- name: list_schedules
-- The jobs of a tenant, and the engine's own. $1 tenant.
select
    tenant_id, name, kind, connector, every_s, next_time, paused, asked, run_count, failure_count,
    missed_count, begin_time, end_time, outcome, detail
from sync.schedule
where tenant_id in ('', $1)
order by tenant_id desc, name asc;

-- name: set_schedule_paused
-- Pauses or resumes a job; answers nothing when it stood so. $1 tenant; $2 name; $3 paused.
update sync.schedule set paused = $3
where tenant_id = $1 and name = $2 and paused <> $3
returning name;

-- name: ask_run
-- Orders a run now. $1 tenant; $2 name.
update sync.schedule set asked = true, order_count = order_count + 1
where tenant_id = $1 and name = $2
returning name;

-- name: write_schedule_audit
-- Notes an operator's order. $1 tenant; $2 actor; $3 action; $4 changes jsonb.
insert into sync.audit (tenant_id, actor, action, changes) values ($1, $2, $3, $4);

-- name: notify_schedules
-- Wakes the schedulers once the transaction commits.
select pg_notify('headwater_schedule', '');
