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

-- name: find_records
-- Entities that hold these records. $1 tenants; $2 objects; $3 sources; $4 external ids: text[].
select held.tenant_id, held.object, held.source, held.external_id, held.entity_id
from unnest($1::text [], $2::text [], $3::text [], $4::text [])
    as wanted (tenant_id, object, source, external_id)
inner join sync.record as held using (tenant_id, object, source, external_id);

-- name: stub_entities
-- Makes room for entities not seen before, locked by being ours; version 0 means not projected yet. One that
-- somebody else made meanwhile is not answered: it has to be locked.
-- $1 tenants text[]; $2 entities uuid[]; $3 objects text[]; in key order.
insert into sync.entity (tenant_id, entity_id, object, state, version, fields)
select wanted.tenant_id, wanted.entity_id, wanted.object, 'active', 0, '{}'
from unnest($1::text [], $2::uuid [], $3::text []) as wanted (tenant_id, entity_id, object)
order by wanted.tenant_id, wanted.entity_id
on conflict do nothing
returning tenant_id, entity_id, object;

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

-- name: write_batch
-- Writes what a batch has changed, in one statement: source records, locked entities, how events ended, positions.
-- Arrays of records in key order: $1 tenant, $2 object, $3 source, $4 external id, $5 entity, $6 fields, $7 deleted,
-- $8 delete time. Of entities: $9 tenant, $10 entity, $11 state, $12 merged into, $13 version, $14 fields,
-- $15 policy version. Of events: $16 tenant, $17 event key, $18 rule, $19 superseded, $20 poisoned, $21 error,
-- $22 entities and $23 versions as array texts, $24 xid, $25 seq, $26 trace id. Of shards: $27 shard, $28 xid, $29 seq.
with records as (
    insert into sync.record (
        tenant_id, object, source, external_id, entity_id, fields, deleted, delete_time
    )
    select item.tenant_id, item.object, item.source, item.external_id, item.entity_id, item.fields,
        item.deleted, item.delete_time
    from unnest(
        $1::text [], $2::text [], $3::text [], $4::text [], $5::uuid [], $6::jsonb [], $7::boolean [],
        $8::timestamptz []
    ) as item (tenant_id, object, source, external_id, entity_id, fields, deleted, delete_time)
    on conflict (tenant_id, object, source, external_id) do update
    set
        entity_id = excluded.entity_id, fields = excluded.fields, deleted = excluded.deleted,
        delete_time = excluded.delete_time
), entities as (
    update sync.entity as held
    set
        state = item.state, merged_into = item.merged_into, version = item.version, fields = item.fields,
        policy_version = item.policy_version, change_time = clock_timestamp()
    from unnest(
        $9::text [], $10::uuid [], $11::text [], $12::uuid [], $13::bigint [], $14::json [], $15::text []
    ) as item (tenant_id, entity_id, state, merged_into, version, fields, policy_version)
    where held.tenant_id = item.tenant_id and held.entity_id = item.entity_id
), ends as (
    insert into sync.projection (
        tenant_id, event_key, rule, superseded, poisoned, error, entity_ids, versions, xid, seq, trace_id
    )
    select item.tenant_id, item.event_key, item.rule, item.superseded, item.poisoned, item.error,
        item.entity_ids::uuid [], item.versions::bigint [], item.xid, item.seq, item.trace_id
    from unnest(
        $16::text [], $17::uuid [], $18::text [], $19::boolean [], $20::boolean [], $21::text [],
        $22::text [], $23::text [], $24::bigint [], $25::bigint [], $26::text []
    ) as item (
        tenant_id, event_key, rule, superseded, poisoned, error, entity_ids, versions, xid, seq, trace_id
    )
)
insert into sync.shard_cursor as held (shard, xid, seq)
select place.shard, place.xid, place.seq
from unnest($27::smallint [], $28::bigint [], $29::bigint []) as place (shard, xid, seq)
order by place.shard
on conflict (shard) do update
set xid = excluded.xid, seq = excluded.seq, update_time = clock_timestamp()
where (held.xid, held.seq) < (excluded.xid, excluded.seq);

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
-- One that was given up begins with all its retries again, which the audit tells; its tries are counted on.
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
        revived_key = case when held.state in (5, 6) then excluded.event_key else held.revived_key end,
        state = case
            when held.state in (5, 6) and exists (
                select from sync.error_member as member
                where
                    member.tenant_id = held.tenant_id and member.connector = held.connector -- noqa: RF01
                    and member.entity_id = held.entity_id and member.in_doubt -- noqa: RF01
            ) then 4
            when held.state in (2, 5, 6) then 1
            else held.state
        end
    returning
        held.tenant_id, held.connector, held.entity_id, held.event_key, held.traceparent,
        held.revived_key = held.event_key as is_revived
), revived as (
    insert into sync.audit (tenant_id, action, actor, entity_id, event_key, connector, changes, trace_id)
    select
        marked.tenant_id, 'revived', 'sync', marked.entity_id, marked.event_key, marked.connector,
        jsonb_build_array(jsonb_build_object('field', 'failure_count', 'before', null, 'after', 0, 'rule', 'new_mark')),
        substr(marked.traceparent, 4, 32)
    from marked
    where marked.is_revived
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
