-- The delivery actors' side: claim what is due, settle what was tried.

-- name: claim_deliveries
-- Claims due deliveries of one connector account for the actor of the given fence.
-- $1 tenant; $2 connector; $3 fence bigint; $4 rows at most.
with due as (
    select tenant_id, connector, entity_id, inflight_fence as held_fence
    from sync.delivery
    where tenant_id = $1 and connector = $2 and state in (1, 3, 4) and due_time <= clock_timestamp()
    order by due_time
    limit $4
    for update
)
update sync.delivery as held
set inflight_fence = $3
from due, sync.entity as entity
where
    held.tenant_id = due.tenant_id and held.connector = due.connector and held.entity_id = due.entity_id
    and entity.tenant_id = due.tenant_id and entity.entity_id = due.entity_id
returning
    held.entity_id, held.object, held.state as delivery_state, held.crm_object, held.crm_id, held.known,
    held.failure_count, held.try_count, held.event_key, held.mark_time, held.dirty_time,
    held.due_time,
    held.traceparent, held.tracestate, held.last_traceparent, due.held_fence,
    coalesce(extract(epoch from clock_timestamp() - held.wait_since), 0)::float8 as waited_s,
    entity.state, entity.merged_into, entity.version, entity.fields;

-- name: read_reference_states
-- What entities refer to, as this connector account has it; merged entities count as their winner.
-- Look-ups by key, one by one: a join planned before the tables were analysed reads whole tenants;
-- `offset 0` keeps the planner from making one.
-- $1 tenant; $2 connector; $3 entities uuid[].
select
    reference.from_entity_id, reference.field, reference.to_entity_id,
    coalesce(target.crm_id, '') as crm_id, coalesce(target.state in (1, 3, 4), false) as coming
from unnest($3::uuid []) as wanted (entity_id)
cross join lateral (
    select held.from_entity_id, held.field, held.to_entity_id
    from sync.entity_reference as held
    where held.tenant_id = $1 and held.from_entity_id = wanted.entity_id
    offset 0 -- noqa: AM09
) as reference
left join lateral (
    select held.merged_into from sync.entity as held
    where held.tenant_id = $1 and held.entity_id = reference.to_entity_id
    offset 0 -- noqa: AM09
) as entity on true
left join lateral (
    select held.crm_id, held.state from sync.delivery as held
    where
        held.tenant_id = $1 and held.connector = $2
        and held.entity_id = coalesce(entity.merged_into, reference.to_entity_id)
    offset 0 -- noqa: AM09
) as target on true;

-- name: settle_deliveries
-- Writes the outcome of tries; a delivery that was changed meanwhile is due again at once.
-- $1 tenant; $2 connector; arrays: $3 entity, $4 state, $5 version, $6 CRM object, $7 CRM id, $8 known,
-- $9 failures, $10 tries, $11 seconds until due, $12 waits, $13 lacks a reference, $14 error class,
-- $15 error, $16 traceparent of the try.
with item as (
    select *
    from unnest(
        $3::uuid [], $4::smallint [], $5::bigint [], $6::text [], $7::text [], $8::jsonb [], $9::int [],
        $10::int [], $11::float8 [], $12::boolean [], $13::boolean [], $14::text [], $15::text [], $16::text []
    ) as item (
        entity_id, state, version, crm_object, crm_id, known, failure_count, try_count, after_s, waits,
        lacks_reference, error_class, error, traceparent
    )
), held as (
    select delivery.entity_id, delivery.dirty_time, delivery.delivered_version, delivery.crm_id
    from sync.delivery as delivery
    inner join item on delivery.entity_id = item.entity_id
    where delivery.tenant_id = $1 and delivery.connector = $2
    order by delivery.entity_id
    for update of delivery
)
update sync.delivery as delivery
set
    state = case when item.state = 2 and delivery.desired_version > item.version then 1 else item.state end,
    delivered_version = case when item.state = 2 then item.version else delivery.delivered_version end,
    dirty_time = case when item.state = 2 then delivery.mark_time else delivery.dirty_time end,
    settle_time = case when item.state = 2 then clock_timestamp() else delivery.settle_time end,
    crm_object = item.crm_object, crm_id = item.crm_id, known = item.known,
    failure_count = item.failure_count, try_count = item.try_count,
    due_time = clock_timestamp() + make_interval(secs => item.after_s),
    wait_since = case when item.waits then coalesce(delivery.wait_since, clock_timestamp()) end,
    lacks_reference = item.lacks_reference,
    last_error_class = item.error_class, last_error = item.error, last_traceparent = item.traceparent,
    inflight_fence = null
from item, held
where
    delivery.tenant_id = $1 and delivery.connector = $2 and delivery.entity_id = item.entity_id
    and held.entity_id = item.entity_id
returning
    delivery.entity_id,
    item.state = 2 and item.crm_id <> '' and (held.delivered_version = 0 or held.crm_id = '') as is_new,
    (extract(epoch from clock_timestamp() - held.dirty_time) * 1000)::float8 as latency_ms;

-- name: crm_record_holders
-- Entities that are delivered as these CRM records. $1 tenant; $2 connector; $3 CRM object; $4 CRM ids text[].
select crm_id, entity_id from sync.delivery
where tenant_id = $1 and connector = $2 and crm_object = $3 and crm_id = any($4::text []);

-- name: wake_referrers
-- Makes deliveries due that waited for these entities, or went without them.
-- $1 tenant; $2 connector; $3 entities uuid[] that the CRM holds since now.
with referrer as (
    select distinct reference.from_entity_id as entity_id
    from unnest($3::uuid []) as fresh (entity_id)
    cross join lateral (
        select held.from_entity_id from sync.entity_reference as held
        where held.tenant_id = $1 and held.to_entity_id = fresh.entity_id
        offset 0 -- noqa: AM09
    ) as reference
)
update sync.delivery as delivery
set due_time = clock_timestamp(), state = case when delivery.state = 2 then 1 else delivery.state end
from referrer
cross join lateral (
    select held.ctid as place from sync.delivery as held
    where
        held.tenant_id = $1 and held.connector = $2 and held.entity_id = referrer.entity_id -- noqa: RF01
        and (
            (held.lacks_reference and held.state = 2)
            or (held.wait_since is not null and held.state = 1)
        )
    offset 0 -- noqa: AM09
    for update
) as waiting
where delivery.ctid = waiting.place;

-- name: next_due
-- Seconds until the next delivery is due; null when none waits. $1 tenant; $2 connector.
select extract(epoch from min(due_time) - clock_timestamp())::float8 as seconds
from sync.delivery where tenant_id = $1 and connector = $2 and state in (1, 3, 4);

-- name: read_connector_state
-- What operators and earlier actors decided. $1 tenant; $2 connector.
select paused, breaker, breaker_generation from sync.connector_state
where tenant_id = $1 and connector = $2;

-- name: write_breaker
-- Stores the breaker, unless an operator reset it since. $1 tenant; $2 connector; $3 state; $4 generation.
insert into sync.connector_state as held (tenant_id, connector, breaker, breaker_generation)
values ($1, $2, $3, $4)
on conflict (tenant_id, connector) do update
set breaker = excluded.breaker, update_time = clock_timestamp()
where held.breaker_generation = excluded.breaker_generation;

-- name: write_finding
-- Stores what keeps an account from being used; empty when nothing does. $1 tenant; $2 connector; $3 text.
insert into sync.connector_state as held (tenant_id, connector, finding) values ($1, $2, $3)
on conflict (tenant_id, connector) do update
set finding = excluded.finding, update_time = clock_timestamp()
where held.finding <> excluded.finding;

-- name: add_quota
-- Counts calls of a UTC day. $1 tenant; $2 connector; $3 day; $4 calls; $5 vendor's count; $6 vendor's limit.
insert into sync.quota as held (tenant_id, connector, day, calls, vendor_used, vendor_limit)
values ($1, $2, $3, $4, $5, $6)
on conflict (tenant_id, connector, day) do update
set
    calls = held.calls + excluded.calls,
    vendor_used = coalesce(excluded.vendor_used, held.vendor_used),
    vendor_limit = coalesce(excluded.vendor_limit, held.vendor_limit),
    update_time = clock_timestamp();

-- name: read_quota
-- Calls of a UTC day. $1 tenant; $2 connector; $3 day.
select calls, vendor_used from sync.quota where tenant_id = $1 and connector = $2 and day = $3;
