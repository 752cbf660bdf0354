-- Reconciliation as operators see it.

-- name: order_run
-- Says how the next run of a job is to be. $1 tenant; $2 connector; $3 job; $4 dry; $5 whole; $6 actor.
insert into sync.parity_order (tenant_id, connector, job, dry, whole, actor) values ($1, $2, $3, $4, $5, $6)
on conflict (tenant_id, connector, job) do update
set dry = excluded.dry, whole = excluded.whole, actor = excluded.actor, order_time = clock_timestamp();

-- name: list_runs
-- Runs, the newest first. $1 tenant; $2 connector or empty; $3 job or empty; $4 rows.
select run_id, connector, job, dry, begin_time, end_time, detail, report
from sync.parity_run
where tenant_id = $1 and $2 in ('', connector) and $3 in ('', job)
order by begin_time desc, run_id asc
limit $4;

-- name: drift_standings
-- How drift stands by account: of what has not ended all, else of the last 30 days. $1 tenant; $2 connector or empty.
select
    held.connector, count(*) filter (where held.state in ('open', 'repairing')) as open_count,
    count(*) filter (where held.state = 'asked') as asked_count,
    count(*) filter (where held.state = 'healed') as healed_count,
    coalesce(percentile_cont(0.95) within group (
        order by greatest(0, extract(epoch from held.detect_time - held.drift_time))
    ) filter (where held.drift_time is not null), 0)::float8 as detect_p95_s,
    coalesce(percentile_cont(0.95) within group (
        order by extract(epoch from held.heal_time - held.detect_time)
    ) filter (where held.heal_time is not null and held.ordered_by = ''), 0)::float8 as heal_p95_s,
    coalesce((
        select (one.report ->> 'parity')::float8 from sync.parity_run as one
        where
            one.tenant_id = $1 and one.connector = held.connector and one.job = 'daily' and not one.dry
            and one.end_time is not null
        order by one.begin_time desc
        limit 1
    ), 1)::float8 as parity
from sync.drift as held
where
    held.tenant_id = $1 and $2 in ('', held.connector)
    and (
        held.state in ('open', 'repairing', 'asked')
        or held.detect_time > clock_timestamp() - interval '30 days'
    )
group by held.connector
order by held.connector;

-- name: list_drift
-- One page of drift. $1 tenant; $2 connector or empty; $3 states text[]; behind $4 connector, $5 CRM object, $6 CRM id
-- and $7 kind; $8 rows.
select
    connector, crm_object, crm_id, kind, object, entity_id, fields, version, state, repair, repair_count, ordered_by,
    drift_time, detect_time, repair_time, heal_time, run_id
from sync.drift
where
    tenant_id = $1 and $2 in ('', connector) and state = any($3::text [])
    and (connector, crm_object, crm_id, kind) > ($4, $5, $6, $7)
order by connector, crm_object, crm_id, kind
limit $8;

-- name: count_decidable
-- Drift that a decision would be about. $1 tenant; $2 connector; $3 kind; $4 CRM ids text[], empty for all.
select count(*) as drifts
from sync.drift
where
    tenant_id = $1 and connector = $2 and kind = $3 and state in ('open', 'asked')
    and (cardinality($4::text []) = 0 or crm_id = any($4::text []));

-- name: decide_drift
-- Takes a decision about drift that has not ended, noted in the audit. $1 tenant; $2 connector; $3 kind; $4 CRM ids
-- text[], empty for all; $5 action; $6 actor; $7 state from now on.
with decided as (
    update sync.drift as held
    set
        state = $7, repair = coalesce(nullif($5, 'accept'), held.repair), repair_count = 0, ordered_by = $6
    where
        held.tenant_id = $1 and held.connector = $2 and held.kind = $3 and held.state in ('open', 'asked')
        and (cardinality($4::text []) = 0 or held.crm_id = any($4::text []))
    returning held.crm_object, held.crm_id, held.entity_id
), noted as (
    insert into sync.audit (tenant_id, connector, actor, action, entity_id, changes)
    select
        $1, $2, $6, 'drift_decided', entity_id,
        json_build_array(json_build_object(
            'field', $3::text, 'before', crm_object || ' ' || crm_id, 'after', $5::text, 'rule', 'operator'
        ))
    from decided
    order by crm_object, crm_id
)
select count(*) as drifts from decided;
