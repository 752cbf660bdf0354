-- The operators' side: what became of events, how accounts stand, and the orders operators give.

-- name: count_projections
-- Counts events by how the projector ended them. $1 tenant.
select rule, superseded, poisoned, count(*) as events from sync.projection
where tenant_id = $1
group by rule, superseded, poisoned
order by rule;

-- name: count_accepted
-- Counts the accepted events of the log. $1 tenant.
select ingest.count_accepted($1) as events;

-- name: count_entities
-- Counts active, projected entities by object. $1 tenant.
select object, count(*) as entities from sync.entity
where tenant_id = $1 and state = 'active' and version > 0
group by object
order by object;

-- name: count_records
-- Counts source records by object. $1 tenant.
select object, count(*) as records from sync.record
where tenant_id = $1
group by object
order by object;

-- name: count_deliveries
-- Counts deliveries by connector, object and state. $1 tenant.
select connector, object, state, count(*) as deliveries from sync.delivery
where tenant_id = $1
group by connector, object, state
order by connector, object, state;

-- name: measure_latencies
-- Percentiles of the latency of first attempts that delivered, by connector. $1 tenant.
select
    connector, count(*) as samples,
    percentile_cont(0.5) within group (order by latency_ms) as p50_ms,
    percentile_cont(0.95) within group (order by latency_ms) as p95_ms
from sync.try
where tenant_id = $1 and latency_ms is not null
group by connector
order by connector;

-- name: read_projection
-- How the projector ended one event. $1 tenant; $2 event key.
select event_key, rule, project_time, entity_ids, versions, trace_id from sync.projection
where tenant_id = $1 and event_key = $2;

-- name: read_entity
-- One projected entity. $1 tenant; $2 entity.
select entity_id, object, state, version, merged_into, fields from sync.entity
where tenant_id = $1 and entity_id = $2 and version > 0;

-- name: read_deliveries_of_entities
-- Every delivery of these entities, by the index of entities: sorted after, not read in order.
-- $1 tenant; $2 entities uuid[]; $3 rows at most.
with held as materialized (
    select * from sync.delivery
    where tenant_id = $1 and entity_id = any($2::uuid []) and connector <> ''
)
select
    connector, object, entity_id, state, desired_version, delivered_version, crm_id, failure_count,
    (
        select due.due_time from sync.due as due
        where
            due.tenant_id = $1 and due.connector = held.connector
            and due.entity_id = held.entity_id
    ) as due_time,
    last_error_class, last_error, event_key, settle_time
from held
order by connector, entity_id
limit $3;

-- name: read_attempts_of_versions
-- Attempts that wrote these versions of entities or later ones, up to each connector's first success.
-- $1 tenant; arrays: $2 entity uuid[], $3 version bigint[]; $4 rows at most.
with made as (
    select item.entity_id, min(item.version) as version
    from unnest($2::uuid [], $3::bigint []) as item (entity_id, version)
    group by item.entity_id
), tried as (
    select
        attempt.*,
        min(attempt.attempt_id) filter (where attempt.outcome not in ('failed', 'in_doubt'))
            over (partition by attempt.connector, attempt.entity_id) as success_id
    from made
    cross join lateral (
        select * from sync.try as one
        where one.tenant_id = $1 and one.entity_id = made.entity_id and one.version >= made.version
        offset 0 -- noqa: AM09
    ) as attempt
)
select
    connector, object, entity_id, attempt_number, version, start_time, end_time, outcome, error_class,
    error_code, error_message, trace_id, span_id
from tried
where success_id is null or attempt_id <= success_id
order by attempt_id
limit $4;

-- name: list_deliveries
-- One page of deliveries, by connector and entity.
-- $1 tenant; behind $2 connector and $3 entity; $4 last connector; $5 states smallint[]; $6 rows.
select
    connector, object, entity_id, state, desired_version, delivered_version, crm_id, failure_count,
    (
        select due.due_time from sync.due as due
        where
            due.tenant_id = $1 and due.connector = delivery.connector
            and due.entity_id = delivery.entity_id
    ) as due_time,
    last_error_class, last_error, event_key, settle_time
from sync.delivery as delivery
where
    tenant_id = $1 and (connector, entity_id) > ($2, $3) and connector <= $4
    and state = any($5::smallint [])
order by connector, entity_id
limit $6;

-- name: list_stopped_deliveries
-- The same among the dead and the discarded alone, which have an index of their own.
-- $1 tenant; behind $2 connector and $3 entity; $4 last connector; $5 states smallint[]; $6 rows.
select
    connector, object, entity_id, state, desired_version, delivered_version, crm_id, failure_count,
    (
        select due.due_time from sync.due as due
        where
            due.tenant_id = $1 and due.connector = delivery.connector
            and due.entity_id = delivery.entity_id
    ) as due_time,
    last_error_class, last_error, event_key, settle_time
from sync.delivery as delivery
where
    tenant_id = $1 and (connector, entity_id) > ($2, $3) and connector <= $4
    and stopped and state = any($5::smallint [])
order by connector, entity_id
limit $6;

-- name: list_entity_deliveries
-- The same of one entity. $7 entity.
-- $1 tenant; behind $2 connector and $3 entity; $4 last connector; $5 states smallint[]; $6 rows.
with held as materialized (
    select * from sync.delivery
    where tenant_id = $1 and entity_id = $7 and connector <> ''
)
select
    connector, object, entity_id, state, desired_version, delivered_version, crm_id, failure_count,
    (
        select due.due_time from sync.due as due
        where
            due.tenant_id = $1 and due.connector = held.connector
            and due.entity_id = held.entity_id
    ) as due_time,
    last_error_class, last_error, event_key, settle_time
from held
where (connector, entity_id) > ($2, $3) and connector <= $4 and state = any($5::smallint [])
order by connector, entity_id
limit $6;

-- name: list_audit
-- One page of the tenant's audit, newest first. $1 tenant; before $2 transaction and $3 audit id; $4 rows.
select
    xid::text::bigint as xid, audit_id, audit_time, action, actor, entity_id, event_key, connector, changes,
    policy_version
from sync.audit
where tenant_id = $1 and (xid, audit_id) < (($2::bigint)::text::xid8, $3)
order by audit.xid desc, audit_id desc
limit $4;

-- name: list_entity_audit
-- The same of one entity. $1 tenant; $2 below this audit id; $3 rows; $4 entity.
select
    xid::text::bigint as xid, audit_id, audit_time, action, actor, entity_id, event_key, connector, changes,
    policy_version
from sync.audit
where tenant_id = $1 and audit_id < $2 and entity_id = $4
order by audit_id desc
limit $3;

-- name: list_event_audit
-- The same of one event: what it changed, and what was done to the entities that it touched.
-- $1 tenant; $2 below this audit id; $3 rows; $4 event key; $5 entity or null.
with changed as materialized (
    select * from sync.audit
    where tenant_id = $1 and event_key = $4 and connector = ''
), touched as materialized (
    select unnest(entity_ids) as entity_id from sync.projection
    where tenant_id = $1 and event_key = $4
    union
    select entity_id from changed
), found as (
    select * from changed
    union all
    select done.*
    from touched
    cross join lateral (
        select * from sync.audit
        where
            tenant_id = $1 and entity_id = touched.entity_id and event_key = $4 and connector <> ''
        offset 0 -- noqa: AM09
    ) as done
)
select
    xid::text::bigint as xid, audit_id, audit_time, action, actor, entity_id, event_key, connector, changes,
    policy_version
from found
where audit_id < $2 and ($5::uuid is null or entity_id = $5)
order by audit_id desc
limit $3;

-- name: read_accounts
-- What is stored about connector accounts. $1 tenant; $2 connectors text[]; $3 day of the quota.
select
    wanted.connector,
    coalesce(held.paused, false) as paused, coalesce(held.breaker, '{}') as breaker,
    coalesce(held.finding, '') as finding,
    coalesce(greatest(quota.calls, quota.vendor_used), 0) as quota_used, quota.vendor_limit,
    pending.deliveries as pending_count, coalesce(pending.oldest_s, 0)::float8 as oldest_pending_s,
    dead.deliveries as dead_count,
    coalesce(sync.account_holder($1, wanted.connector), '') as holder
from unnest($2::text []) as wanted (connector)
left join sync.connector_state as held on held.tenant_id = $1 and wanted.connector = held.connector
left join sync.quota as quota
    on quota.tenant_id = $1 and wanted.connector = quota.connector and quota.day = $3
cross join lateral (
    select
        count(*) as deliveries,
        extract(epoch from clock_timestamp() - min(delivery.mark_time)) as oldest_s
    from sync.due as due
    inner join sync.delivery as delivery using (tenant_id, connector, entity_id)
    where due.tenant_id = $1 and wanted.connector = due.connector
) as pending
cross join lateral (
    select count(*) as deliveries
    from sync.delivery as delivery
    where
        delivery.tenant_id = $1 and wanted.connector = delivery.connector
        and delivery.stopped and delivery.state = 5
) as dead
order by wanted.connector;

-- name: make_connector_state
-- Makes the row that an operator's order changes. $1 tenant; $2 connector.
insert into sync.connector_state (tenant_id, connector) values ($1, $2)
on conflict do nothing;

-- name: set_paused
-- Pauses or resumes; no row when it stood so already. $1 tenant; $2 connector; $3 paused.
update sync.connector_state set paused = $3, update_time = clock_timestamp()
where tenant_id = $1 and connector = $2 and paused <> $3
returning connector;

-- name: reset_breaker
-- Closes the breakers, ends an operator's order, and makes the actor forget its own; no row when there was
-- nothing to forget. $1 tenant; $2 connector.
with held as (
    select tenant_id, connector, breaker from sync.connector_state
    where
        tenant_id = $1 and connector = $2
        and (
            breaker -> 'forced' is not null
            or exists (
                select 1
                from jsonb_each(coalesce(breaker -> 'breakers', '{}')) as one (key, state)
                where (one.state ->> 'failures')::bigint > 0 or one.state ->> 'probe_time' is not null
            )
        )
    for update
)
update sync.connector_state as state
set breaker = '{}', breaker_generation = state.breaker_generation + 1, update_time = clock_timestamp()
from held
where state.tenant_id = held.tenant_id and state.connector = held.connector
returning held.breaker as before, state.breaker as after;

-- name: force_breaker
-- Puts the breakers under an operator's order, which the actor takes over its own memory; no row when they
-- stood so. $1 tenant; $2 connector; $3 the order.
with held as (
    select tenant_id, connector, breaker from sync.connector_state
    where tenant_id = $1 and connector = $2 and breaker -> 'forced' is distinct from $3::jsonb
    for update
)
update sync.connector_state as state
set
    breaker = jsonb_set(state.breaker, '{forced}', $3::jsonb),
    breaker_generation = state.breaker_generation + 1, update_time = clock_timestamp()
from held
where state.tenant_id = held.tenant_id and state.connector = held.connector
returning held.breaker as before, state.breaker as after;

-- name: write_steering_audit
-- Notes an operator's order. $1 tenant; $2 connector; $3 actor; $4 policy version; $5 action; $6 changes.
insert into sync.audit (tenant_id, connector, actor, policy_version, action, changes)
values ($1, $2, $3, $4, $5, $6);
