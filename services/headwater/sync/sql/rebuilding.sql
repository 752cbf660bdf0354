-- One entity made again: what is stored of it, and the events of its records.

-- name: stands_at
-- Whether the whole log is being projected again, and how an erasure of the entity stands: the newest one's state, or null.
-- $1 tenant; $2 entity.
select
    exists (select from sync.rebuild) as rebuilding,
    (
        select one.state from sync.erasure as one
        where one.tenant_id = $1 and one.entity_ids @> array[$2::uuid]
        order by one.request_time desc
        limit 1
    ) as erasure;

-- name: read_entity
-- An entity as it is stored; no row where it is not. $1 tenant; $2 entity.
select
    tenant_id, entity_id, object, state, merged_into, version, fields, policy_version, state_seq
from sync.entity
where tenant_id = $1 and entity_id = $2;

-- name: read_references
-- What an entity refers to, as it is stored. $1 tenant; $2 entity.
select field, to_entity_id from sync.entity_reference
where tenant_id = $1 and from_entity_id = $2;

-- name: read_places
-- Up to where each side of each shard is projected.
select shard, xid, seq from sync.shard_cursor;

-- name: record_events
-- Accepted events of records, at most so many of each, the newest. $1 tenant; arrays: $2 source, $3 object, $4 external
-- id, $5 hash of the record; $6 rows of a record at most, int.
select
    log.record_hash & 15 as shard, log.xid::text::bigint as xid, log.seq, log.tenant_id, log.event_key, log.source,
    log.object, log.external_id, log.event_time, log.record_time, log.operation, log.actor_id, log.payload,
    ingest.traceparent(log.trace) as traceparent, log.tracestate
from unnest($2::text [], $3::text [], $4::text [], $5::int []) as wanted (source, object, external_id, hash)
cross join lateral ingest.list_events(
    $1, wanted.hash, wanted.hash, wanted.source, wanted.object, wanted.external_id, 'infinity', 9223372036854775807,
    9223372036854775807, $6::int
) as log
where log.disposition = 1;

-- name: record_event_keys
-- The same, keys alone: what is known needs no reading again.
select log.event_key
from unnest($2::text [], $3::text [], $4::text [], $5::int []) as wanted (source, object, external_id, hash)
cross join lateral ingest.list_events(
    $1, wanted.hash, wanted.hash, wanted.source, wanted.object, wanted.external_id, 'infinity', 9223372036854775807,
    9223372036854775807, $6::int
) as log
where log.disposition = 1;

-- name: single_events
-- Accepted events by their keys. $1 tenant; $2 event keys uuid[].
select
    log.record_hash & 15 as shard, log.xid::text::bigint as xid, log.seq, log.tenant_id, log.event_key, log.source,
    log.object, log.external_id, log.event_time, log.record_time, log.operation, log.actor_id, log.payload,
    ingest.traceparent(log.trace) as traceparent, log.tracestate
from unnest($2::uuid []) as wanted (event_key)
cross join lateral ingest.find_event($1, wanted.event_key) as log
where log.disposition = 1;

-- name: events_beside
-- Events of other records that may say something of an entity's: those that the audit names, and those that the activities
-- show which name it or what was merged into it. $1 tenant; $2 entity; $3 rows at most.
with person as materialized (
    select one.entity_id from sync.subject_entities($1, array[$2::uuid]) as one (entity_id)
)
select found.event_key
from (
    select entry.event_key
    from person
    inner join sync.audit as entry on entry.tenant_id = $1 and entry.entity_id = person.entity_id
    where entry.event_key is not null and entry.connector = ''
    union
    select (shown.value ->> 3)::uuid as event_key
    from person
    inner join sync.entity as activity
        on activity.tenant_id = $1 and activity.entity_id = person.entity_id and activity.object = 'activity'
    cross join lateral json_each(activity.fields) as shown
) as found
order by found.event_key
limit $3;

-- name: poisoned_events
-- Those of these events that could not be projected. $1 tenant; $2 event keys uuid[].
select done.event_key from sync.projection as done
where done.tenant_id = $1 and done.event_key = any($2::uuid []) and done.poisoned;

-- name: versions_of
-- A tenant's policies as the projector came by them, in the order of the log. $1 tenant.
select tenant_id, xid, seq, digest, document from sync.policy_version
where tenant_id = $1
order by xid, seq;
