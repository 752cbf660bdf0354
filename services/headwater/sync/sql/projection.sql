-- The projector's side: reading the log through ingest's published functions, and writing state.

-- name: shard_count
-- Number of shards of the log, as ingest publishes it.
select ingest.shard_count() as shards;

-- name: read_events
-- Reads the next events of several shards, safe against late commits, in commit order.
-- Arrays: $1 shard smallint[], $2 xid bigint[], $3 seq bigint[]; $4 rows of one shard at most, int.
select
    log.shard, log.xid, log.seq, log.tenant_id, log.event_key, log.source, log.object,
    log.external_id, log.event_time, log.record_time, log.operation, log.actor_id, log.payload,
    log.traceparent, log.tracestate
from ingest.read_shards($1::smallint [], $2::bigint [], $3::bigint [], $4::int) as log
order by log.xid, log.seq;

-- name: report_positions
-- Tells the log how far it is read, so that nothing unread is dropped.
-- Arrays: $1 shard smallint[], $2 xid bigint[], $3 seq bigint[].
select ingest.report_positions('sync', $1::smallint [], $2::bigint [], $3::bigint []);

-- name: current_policies
-- Newest policy event of every tenant.
select tenant_id, event_key, xid, seq, payload from ingest.current_policies();

-- name: read_cursors
-- Positions of the shards. $1 shards smallint[].
select shard, xid, seq from sync.shard_cursor where shard = any($1::smallint []);

-- name: move_cursors
-- Moves positions of shards forward. Arrays: $1 shard smallint[], $2 xid bigint[], $3 seq bigint[].
insert into sync.shard_cursor as held (shard, xid, seq)
select place.shard, place.xid, place.seq
from unnest($1::smallint [], $2::bigint [], $3::bigint []) as place (shard, xid, seq)
order by place.shard
on conflict (shard) do update
set xid = excluded.xid, seq = excluded.seq, update_time = clock_timestamp()
where (held.xid, held.seq) < (excluded.xid, excluded.seq);

-- name: find_records
-- Entities that hold these records. $1 tenants; $2 objects; $3 sources; $4 external ids: text[].
select held.tenant_id, held.object, held.source, held.external_id, held.entity_id
from unnest($1::text [], $2::text [], $3::text [], $4::text [])
    as wanted (tenant_id, object, source, external_id)
inner join sync.record as held using (tenant_id, object, source, external_id);

-- name: stub_entities
-- Makes room for entities not seen before, so that they can be locked; version 0 means not projected yet.
-- $1 tenants text[]; $2 entities uuid[]; $3 objects text[]; in key order.
insert into sync.entity (tenant_id, entity_id, object, state, version, fields)
select wanted.tenant_id, wanted.entity_id, wanted.object, 'active', 0, '{}'
from unnest($1::text [], $2::uuid [], $3::text []) as wanted (tenant_id, entity_id, object)
order by wanted.tenant_id, wanted.entity_id
on conflict do nothing;

-- name: lock_entities
-- Locks and returns entities, in key order. $1 tenants text[]; $2 entities uuid[].
select
    held.tenant_id, held.entity_id, held.object, held.state, held.merged_into, held.version,
    held.fields, held.policy_version
from unnest($1::text [], $2::uuid []) as wanted (tenant_id, entity_id)
inner join sync.entity as held using (tenant_id, entity_id)
order by held.tenant_id, held.entity_id
for update of held;

-- name: read_members
-- Every record of these entities. $1 tenants text[]; $2 entities uuid[].
select
    held.tenant_id, held.object, held.source, held.external_id, held.entity_id, held.fields,
    held.deleted, held.delete_time
from unnest($1::text [], $2::uuid []) as wanted (tenant_id, entity_id)
inner join sync.record as held using (tenant_id, entity_id);

-- name: write_records
-- Writes source records. Arrays in key order: $1 tenant, $2 object, $3 source, $4 external id,
-- $5 entity, $6 fields, $7 deleted, $8 delete time.
insert into sync.record (tenant_id, object, source, external_id, entity_id, fields, deleted, delete_time)
select item.tenant_id, item.object, item.source, item.external_id, item.entity_id, item.fields,
    item.deleted, item.delete_time
from unnest(
    $1::text [], $2::text [], $3::text [], $4::text [], $5::uuid [], $6::jsonb [], $7::boolean [],
    $8::timestamptz []
) as item (tenant_id, object, source, external_id, entity_id, fields, deleted, delete_time)
on conflict (tenant_id, object, source, external_id) do update
set
    entity_id = excluded.entity_id, fields = excluded.fields, deleted = excluded.deleted,
    delete_time = excluded.delete_time;

-- name: write_entities
-- Writes locked entities. Arrays: $1 tenant, $2 entity, $3 state, $4 merged into, $5 version,
-- $6 fields, $7 policy version.
update sync.entity as held
set
    state = item.state, merged_into = item.merged_into, version = item.version, fields = item.fields,
    policy_version = item.policy_version, change_time = clock_timestamp()
from unnest($1::text [], $2::uuid [], $3::text [], $4::uuid [], $5::bigint [], $6::json [], $7::text [])
    as item (tenant_id, entity_id, state, merged_into, version, fields, policy_version)
where held.tenant_id = item.tenant_id and held.entity_id = item.entity_id;

-- name: clear_references
-- Removes the references of entities that are about to be written anew.
-- $1 tenants text[]; $2 entities uuid[].
delete from sync.entity_reference as held
using unnest($1::text [], $2::uuid []) as item (tenant_id, entity_id)
where held.tenant_id = item.tenant_id and held.from_entity_id = item.entity_id;

-- name: write_references
-- Writes references. Arrays: $1 tenant, $2 from entity, $3 field, $4 to entity.
insert into sync.entity_reference (tenant_id, from_entity_id, field, to_entity_id)
select item.tenant_id, item.from_entity_id, item.field, item.to_entity_id
from unnest($1::text [], $2::uuid [], $3::text [], $4::uuid [])
    as item (tenant_id, from_entity_id, field, to_entity_id)
on conflict do nothing;

-- name: write_marks
-- Makes deliveries due. A mark of a more urgent lane lifts what waits in a slower one, to where it is looked for.
-- Arrays in key order: $1 tenant, $2 connector, $3 entity, $4 object, $5 version, $6 event key, $7 traceparent,
-- $8 tracestate, $9 record time, $10 lane.
with item as (
    select *
    from unnest(
        $1::text [], $2::text [], $3::uuid [], $4::text [], $5::bigint [], $6::uuid [], $7::text [],
        $8::text [], $9::timestamptz [], $10::smallint []
    ) as item (
        tenant_id, connector, entity_id, object, version, event_key, traceparent, tracestate, record_time, lane
    )
), marked as (
    insert into sync.delivery as held (
        tenant_id, connector, entity_id, object, state, desired_version, event_key, traceparent,
        tracestate, dirty_time
    )
    select
        item.tenant_id, item.connector, item.entity_id, item.object, 1, item.version, item.event_key,
        item.traceparent, item.tracestate, item.record_time
    from item
    on conflict (tenant_id, connector, entity_id) do update
    set
        desired_version = greatest(held.desired_version, excluded.desired_version),
        event_key = excluded.event_key, traceparent = excluded.traceparent,
        tracestate = excluded.tracestate, mark_time = clock_timestamp(),
        dirty_time = case when held.state = 2 then excluded.dirty_time else held.dirty_time end,
        failure_count = case when held.state in (2, 5, 6) then 0 else held.failure_count end,
        try_count = case when held.state in (2, 5, 6) then 0 else held.try_count end,
        state = case when held.state in (2, 5, 6) then 1 else held.state end
    returning held.tenant_id
), held_first as (
    select count(*) as deliveries from marked
)
insert into sync.due as held (tenant_id, connector, lane, due_time, entity_id)
select item.tenant_id, item.connector, item.lane, clock_timestamp(), item.entity_id
from held_first
cross join item
where held_first.deliveries > 0
on conflict (tenant_id, connector, entity_id) do update
set lane = excluded.lane, due_time = greatest(held.due_time, excluded.due_time)
where held.lane > excluded.lane;

-- name: notify_deliveries
-- Wakes the delivery actors once the transaction commits.
select pg_notify('headwater_delivery', '');
