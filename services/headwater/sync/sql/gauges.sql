-- The numbers of /metrics that stand in the database: one statement, however many accounts there are.

-- name: read_gauges
-- Every number as a row of gauge, tenant, connector, label and value; each part looks up by key or walks one end of
-- an index. Arrays, by account: $1 tenant text[], $2 connector text[], $3 the vendor's day date[]; $4 deliveries of a
-- lane that are counted at most.
with account as materialized (
    select wanted.tenant_id, wanted.connector, wanted.day
    from unnest($1::text [], $2::text [], $3::date []) as wanted (tenant_id, connector, day)
), line as materialized (
    select account.tenant_id, account.connector, lane.number, lane.name
    from account
    cross join (
        values (1::smallint, 'live'), (2::smallint, 'retry'), (3::smallint, 'backfill'),
        (4::smallint, 'reconcile')
    ) as lane (number, name)
), cursor as materialized (
    select
        array_agg(case when held.shard < 0 then ~held.shard else held.shard end order by held.shard) as shards, array_agg(held.xid order by held.shard) as xids,
        array_agg(held.seq order by held.shard) as seqs
    from sync.shard_cursor as held
)
select 'depth' as gauge, line.tenant_id, line.connector, line.name as label, counted.value
from line
cross join lateral (
    select count(*)::float8 as value
    from (
        select from sync.due as due
        where
            due.tenant_id = line.tenant_id and due.connector = line.connector and due.lane = line.number
            and due.lane > 0
        limit $4 -- noqa: AM09
    ) as waiting
) as counted
union all
select 'depth', account.tenant_id, account.connector, 'bulk', counted.value
from account
cross join lateral (
    select count(*)::float8 as value
    from (
        select from sync.due as due
        where due.tenant_id = account.tenant_id and due.connector = account.connector and due.lane = 0
        limit $4 -- noqa: AM09
    ) as waiting
) as counted
union all
select
    'age', line.tenant_id, line.connector, line.name,
    greatest(0, extract(epoch from clock_timestamp() - first.due_time))::float8
from line
cross join lateral (
    select due.due_time from sync.due as due
    where
        due.tenant_id = line.tenant_id and due.connector = line.connector and due.lane = line.number
        and due.lane > 0
    order by due.due_time, due.entity_id
    limit 1
) as first
union all
select 'dead', account.tenant_id, account.connector, dead.error_class, dead.value
from account
cross join lateral (
    select held.last_error_class as error_class, count(*)::float8 as value
    from sync.delivery as held
    where
        held.tenant_id = account.tenant_id and held.connector = account.connector and held.stopped
        and held.state = 5
    group by held.last_error_class
) as dead
union all
select
    'paused', account.tenant_id, account.connector, '',
    (coalesce(state.paused, false))::int::float8
from account
left join sync.connector_state as state
    on account.tenant_id = state.tenant_id and account.connector = state.connector
union all
select
    'breaker', account.tenant_id, account.connector,
    case
        when forced.mode is not null then forced.mode
        when coalesce(one.opens, false) then 'open'
        when coalesce(one.probes, false) then 'half_open'
        else 'closed'
    end, 1
from account
left join sync.connector_state as state
    on account.tenant_id = state.tenant_id and account.connector = state.connector
left join lateral (
    select state.breaker -> 'forced' ->> 'mode' as mode
    where coalesce((state.breaker -> 'forced' ->> 'until')::timestamptz > clock_timestamp(), true)
) as forced on true
left join lateral (
    select
        bool_or((each.state ->> 'probe_time')::timestamptz > clock_timestamp()) as opens,
        bool_or(each.state ->> 'probe_time' is not null) as probes
    from jsonb_each(coalesce(state.breaker -> 'breakers', '{}')) as each (key, state)
) as one on true
union all
select
    'held', account.tenant_id, account.connector, '',
    exists (
        select from sync.lease as lease
        inner join sync.process as process on lease.holder = process.holder
        where
            lease.name = 'connector/' || account.tenant_id || '/' || account.connector
            and lease.expire_time > clock_timestamp() and process.expire_time > clock_timestamp()
    )::int::float8
from account
union all
select 'quota', account.tenant_id, account.connector, told.label, told.value
from account
inner join sync.quota as quota
    on
        account.tenant_id = quota.tenant_id and account.connector = quota.connector
        and account.day = quota.day
cross join lateral (
    values
    ('calls', quota.calls::float8), ('tokens', quota.tokens::float8),
    ('vendor_used', quota.vendor_used::float8), ('vendor_limit', quota.vendor_limit::float8),
    ('ends', extract(epoch from quota.forecast_time)::float8)
) as told (label, value)
where told.value is not null
union all
select
    'expiry', account.tenant_id, account.connector, expiry.kind,
    extract(epoch from min(expiry.expire_time))::float8
from account
inner join sync.expiry as expiry
    on account.tenant_id = expiry.tenant_id and account.connector = expiry.connector
group by account.tenant_id, account.connector, expiry.kind
union all
select compared.gauge, account.tenant_id, account.connector, compared.label, compared.value
from account
cross join lateral (
    select one.end_time, one.report
    from sync.parity_run as one
    where
        one.tenant_id = account.tenant_id and one.connector = account.connector and one.job = 'daily'
        and not one.dry and one.end_time is not null
    order by one.begin_time desc
    limit 1
) as run
cross join lateral (
    select 'parity_run' as gauge, '' as label, extract(epoch from run.end_time)::float8 as value
    union all
    select 'parity', '', (run.report ->> 'parity')::float8
    union all
    select
        'field_parity', of_object.key || '.' || of_field.key,
        1 - (of_field.value ->> 'drifted')::float8
        / greatest((of_field.value ->> 'compared')::float8, (of_field.value ->> 'drifted')::float8, 1)
    from json_each(run.report -> 'objects') as of_object (key, value)
    cross join lateral json_each(of_object.value -> 'fields') as of_field (key, value)
) as compared
union all
select 'erasures_overdue', account.tenant_id, account.connector, '', overdue.value
from account
cross join lateral (
    select count(*)::float8 as value
    from sync.erasure_target as target
    inner join sync.erasure as held
        on target.tenant_id = held.tenant_id and target.erasure_id = held.erasure_id
    where
        target.tenant_id = account.tenant_id and target.connector = account.connector
        and target.state in ('open', 'sent') and held.deadline_time < clock_timestamp()
) as overdue
union all
select 'drift', account.tenant_id, account.connector, drift.state, drift.value
from account
cross join lateral (
    select held.state, count(*)::float8 as value
    from sync.drift as held
    where
        held.tenant_id = account.tenant_id and held.connector = account.connector
        and held.state in ('open', 'repairing', 'asked')
    group by held.state
) as drift
union all
select 'drift_time', account.tenant_id, account.connector, told.label, told.value
from account
cross join lateral (
    select
        percentile_cont(0.95) within group (
            order by greatest(0, extract(epoch from held.detect_time - held.drift_time))
        ) filter (where held.drift_time is not null) as detect_s,
        percentile_cont(0.95) within group (
            order by extract(epoch from held.heal_time - held.detect_time)
        ) filter (where held.heal_time is not null and held.ordered_by = '') as heal_s
    from sync.drift as held
    where
        held.tenant_id = account.tenant_id and held.connector = account.connector
        and held.detect_time > clock_timestamp() - interval '30 days'
) as late
cross join lateral (values ('detect', late.detect_s), ('heal', late.heal_s)) as told (label, value)
where told.value is not null
union all
select 'audit', tenant.tenant_id, '', told.label, told.value
from (select distinct account.tenant_id from account) as tenant
left join sync.audit_head as head on tenant.tenant_id = head.tenant_id
left join lateral (
    select signed.size, signed.checkpoint_time from sync.audit_checkpoint as signed
    where signed.tenant_id = tenant.tenant_id
    order by signed.size desc
    limit 1
) as last on true
left join lateral (
    select entry.audit_time from sync.audit as entry
    where
        entry.tenant_id = tenant.tenant_id
        and (entry.xid, entry.audit_id) > (coalesce(head.xid, '0'::xid8), coalesce(head.audit_id, 0))
    order by entry.xid, entry.audit_id
    limit 1
) as unnumbered on true
cross join lateral (
    values
    ('checkpoint', extract(epoch from last.checkpoint_time)::float8),
    ('unsigned', (coalesce(head.size, 0) - coalesce(last.size, 0))::float8),
    ('lag', greatest(0, coalesce(extract(epoch from clock_timestamp() - unnumbered.audit_time), 0))::float8),
    ('finding', (coalesce(head.finding, '') <> '')::int::float8)
) as told (label, value)
where told.value is not null
union all
select
    'log', '', '', 'lag',
    greatest(0, coalesce(extract(epoch from clock_timestamp() - min(log.record_time)), 0))::float8
from cursor
cross join lateral ingest.read_shards(cursor.shards, cursor.xids, cursor.seqs, 1) as log
where cursor.shards is not null;
