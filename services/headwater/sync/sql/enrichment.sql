-- Enrichment: entities wanted and due, answers kept, calls counted.

-- name: want_entities
-- Has entities looked at, in key order, and wakes who does. Arrays: $1 tenant, $2 entity, $3 object, $4 version.
with wanted as (
    insert into sync.enrichment as held (tenant_id, entity_id, object, wanted_version, due_time)
    select item.tenant_id, item.entity_id, item.object, item.version, clock_timestamp()
    from unnest($1::text [], $2::uuid [], $3::text [], $4::bigint []) as item (tenant_id, entity_id, object, version)
    on conflict (tenant_id, entity_id) do update
    set
        wanted_version = excluded.wanted_version, wanted_time = clock_timestamp(), tries = 0,
        due_time = least(held.due_time, excluded.due_time)
    where held.wanted_version <> excluded.wanted_version
    returning held.tenant_id
)
select pg_notify('headwater_enrichment', '')
where exists (select from wanted);

-- name: due_entities
-- Entities that are due, the longest waiting first, as they stand; none while the log is projected again. $1 tenant; $2 now; $3 rows at most.
select
    work.entity_id, work.object, work.wanted_version, work.wanted_time, work.forced, work.tries, work.told,
    entity.state, entity.version, entity.fields
from sync.enrichment as work
inner join sync.entity as entity
    on work.tenant_id = entity.tenant_id and work.entity_id = entity.entity_id
where work.tenant_id = $1 and work.due_time <= $2 and not exists (select from sync.rebuild)
order by work.due_time
limit $3;

-- name: read_enrichment
-- One entity with what is known of its enrichment. $1 tenant; $2 entity.
select
    entity.entity_id, entity.object, coalesce(work.wanted_version, entity.version) as wanted_version,
    coalesce(work.wanted_time, entity.change_time) as wanted_time, coalesce(work.forced, false) as forced,
    coalesce(work.tries, 0) as tries, coalesce(work.told, '{}') as told, entity.state, entity.version, entity.fields,
    work.seen_version, work.due_time, work.settle_time
from sync.entity as entity
left join sync.enrichment as work
    on entity.tenant_id = work.tenant_id and entity.entity_id = work.entity_id
where entity.tenant_id = $1 and entity.entity_id = $2 and entity.version > 0;

-- name: next_due_time
-- When an entity of a tenant is due next; null when none waits. $1 tenant.
select min(due_time) as due_time from sync.enrichment where tenant_id = $1 and due_time is not null;

-- name: settle_entity
-- Keeps how a round ended; one that was wanted again meanwhile stays due. $1 tenant; $2 entity; $3 version that was
-- looked at; $4 wanted version that was read; $5 told; $6 tries; $7 due time or null.
update sync.enrichment as held
set
    seen_version = $3, told = $5, settle_time = clock_timestamp(),
    tries = case when held.wanted_version = $4 then $6 else 0 end,
    forced = held.forced and held.wanted_version <> $4,
    due_time = case when held.wanted_version = $4 then $7 else held.due_time end
where held.tenant_id = $1 and held.entity_id = $2;

-- name: note_enrichment
-- Puts what providers said of an entity into the audit. $1 tenant; $2 actor; $3 entity; $4 changes; $5 policy version.
insert into sync.audit (tenant_id, action, actor, entity_id, changes, policy_version)
values ($1, 'enrichment_asked', $2, $3, $4, $5);

-- name: force_entity
-- Has everybody asked again about an entity, and puts the order into the audit. $1 tenant; $2 entity; $3 object;
-- $4 version; $5 who orders it.
with wanted as (
    insert into sync.enrichment as held (tenant_id, entity_id, object, wanted_version, due_time, forced)
    values ($1, $2, $3, $4, clock_timestamp(), true)
    on conflict (tenant_id, entity_id) do update
    set forced = true, due_time = clock_timestamp(), tries = 0, wanted_time = clock_timestamp()
    returning held.tenant_id, held.entity_id
),

noted as (
    insert into sync.audit (tenant_id, action, actor, entity_id)
    select wanted.tenant_id, 'enrichment_ordered', $5, wanted.entity_id from wanted
)

select pg_notify('headwater_enrichment', '') from wanted;

-- name: find_answer
-- An answer to the same question that is not too old. $1 tenant; $2 provider; $3 digest; $4 now.
select answer, answer_time from sync.enrichment_answer
where tenant_id = $1 and provider = $2 and digest = $3 and expire_time > $4;

-- name: keep_answer
-- Keeps an answer. $1 tenant; $2 provider; $3 digest; $4 answer; $5 answer time; $6 expiry; $7 entity that it is for.
insert into sync.enrichment_answer (tenant_id, provider, digest, answer, answer_time, expire_time, entity_id)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict (tenant_id, provider, digest) do update
set answer = excluded.answer, answer_time = excluded.answer_time, expire_time = excluded.expire_time,
    entity_id = excluded.entity_id;

-- name: drop_answers
-- Removes answers that expired. $1 tenant; $2 now; $3 rows at most.
delete from sync.enrichment_answer as held
using (
    select old.tenant_id, old.provider, old.digest from sync.enrichment_answer as old
    where old.tenant_id = $1 and old.expire_time <= $2
    order by old.expire_time
    limit $3
) as item
where held.tenant_id = item.tenant_id and held.provider = item.provider and held.digest = item.digest;

-- name: reserve_call
-- Counts a call where the day's budget allows it; no row where it does not. $1 tenant; $2 provider; $3 day; $4 cost;
-- $5 most calls or null; $6 most cost or null.
insert into sync.enrichment_usage as held (tenant_id, provider, day, call_count, cost)
select $1, $2, $3, 1, $4::double precision
where coalesce($5::bigint, 1) >= 1 and coalesce($6::double precision, $4::double precision) >= $4::double precision
on conflict (tenant_id, provider, day) do update
set call_count = held.call_count + 1, cost = held.cost + excluded.cost
where
    coalesce($5::bigint, held.call_count + 1) >= held.call_count + 1
    and coalesce($6::double precision, held.cost + excluded.cost) >= held.cost + excluded.cost - 1e-9
returning held.call_count;

-- name: give_back_call
-- Takes back a call that certainly cost nothing. $1 tenant; $2 provider; $3 day; $4 cost.
update sync.enrichment_usage
set call_count = greatest(0, call_count - 1), cost = greatest(0, cost - $4::double precision)
where tenant_id = $1 and provider = $2 and day = $3;

-- name: count_outcome
-- Counts how asking ended. $1 tenant; $2 provider; $3 day; then by how much: $4 hits; $5 misses; $6 failed; $7 cached;
-- $8 refused.
insert into sync.enrichment_usage as held (
    tenant_id, provider, day, hit_count, miss_count, failed_count, cached_count, refused_count
)
values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (tenant_id, provider, day) do update
set
    hit_count = held.hit_count + excluded.hit_count, miss_count = held.miss_count + excluded.miss_count,
    failed_count = held.failed_count + excluded.failed_count, cached_count = held.cached_count + excluded.cached_count,
    refused_count = held.refused_count + excluded.refused_count;

-- name: read_usage
-- The ledger of a tenant since a day. $1 tenant; $2 first day.
select
    provider, day, call_count, cost, hit_count, miss_count, failed_count, cached_count, refused_count
from sync.enrichment_usage
where tenant_id = $1 and day >= $2
order by day desc, provider asc;

-- name: read_providers
-- How providers fare. $1 tenant.
select provider, breaker, last_error, last_error_time from sync.enrichment_provider
where tenant_id = $1
order by provider;

-- name: save_provider
-- Keeps how a provider fares. $1 tenant; $2 provider; $3 breaker; $4 last error; $5 its time.
insert into sync.enrichment_provider (tenant_id, provider, breaker, last_error, last_error_time)
values ($1, $2, $3, $4, $5)
on conflict (tenant_id, provider) do update
set
    breaker = excluded.breaker, last_error = excluded.last_error, last_error_time = excluded.last_error_time;

-- name: count_enrichment
-- Counts entities by object, and of those the ones that wait. $1 tenant; $2 now.
select
    object, count(*) as entities, count(*) filter (where due_time <= $2) as due,
    count(*) filter (where due_time > $2) as later, count(*) filter (where tries > 0) as retrying,
    min(due_time) filter (where due_time <= $2) as oldest_due_time
from sync.enrichment
where tenant_id = $1
group by object
order by object;
