-- Why an entity shows what it shows: everything that is known of it, at one moment.

-- name: follow_entity
-- An entity and those that it was merged into, in order; a ring is walked once. $1 tenant; $2 entity; $3 steps at most.
with recursive followed as (
    select entity.entity_id, entity.merged_into, array[entity.entity_id] as passed
    from sync.entity as entity
    where entity.tenant_id = $1 and entity.entity_id = $2 and entity.version > 0
    union all
    select entity.entity_id, entity.merged_into, followed.passed || entity.entity_id as passed
    from followed
    cross join lateral (
        select one.entity_id, one.merged_into from sync.entity as one
        where one.tenant_id = $1 and one.entity_id = followed.merged_into and one.version > 0
        offset 0 -- noqa: AM09
    ) as entity
    where cardinality(followed.passed) < $3 and entity.entity_id <> all(followed.passed)
)
select entity_id from followed
order by cardinality(passed);

-- name: entity_of_record
-- The entity of a source record. $1 tenant; $2 object; $3 source; $4 external id.
select entity_id from sync.record
where tenant_id = $1 and object = $2 and source = $3 and external_id = $4;

-- name: read_whole_entity
-- One projected entity. $1 tenant; $2 entity.
select entity_id, object, state, merged_into, version, fields, policy_version from sync.entity
where tenant_id = $1 and entity_id = $2 and version > 0;

-- name: event_actors
-- Who said so, and when it was recorded, of events that are still in the log. $1 tenant; $2 event keys uuid[].
select event_key, actor_type, actor_id, actor_name, record_time from ingest.event_actors($1, $2);

-- name: accounts_of_entity
-- Accounts that have a delivery of an entity. $1 tenant; $2 entity.
select connector from sync.delivery
where tenant_id = $1 and entity_id = $2 and connector <> ''
order by connector;
