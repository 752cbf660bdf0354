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

-- name: load_batch
-- Holds fences, then locks and loads what a batch works on. Leases in name order: $1 name, $2 fence. Records:
-- $3 tenant, $4 object, $5 source, $6 external id, $7 entity that identity names, or null. Further entities:
-- $8 tenant, $9 entity, $10 object. All arrays.
select * -- noqa: AM04
from sync.load_batch($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);

-- name: write_batch
-- Writes what a batch has changed. Arrays, but for $45. Records in key order: $1 tenant, $2 object, $3 source,
-- $4 external id, $5 entity, $6 fields, $7 deleted, $8 delete time. Entities: $9 tenant, $10 entity, $11 state,
-- $12 merged into, $13 version, $14 fields, $15 policy version. Events: $16 tenant, $17 event key, $18 rule,
-- $19 superseded, $20 poisoned, $21 error, $22 entities and $23 versions as array texts, $24 xid, $25 seq,
-- $26 trace id. Audit: $27 tenant, $28 action, $29 actor, $30 entity, $31 event key, $32 changes as text, $33 policy version,
-- $34 trace id. Marks in key order: $35 tenant, $36 connector, $37 entity, $38 object, $39 version, $40 event key,
-- $41 traceparent, $42 tracestate, $43 record time, $44 lane; $45 their accounts. Shards: $46 shard, $47 xid, $48 seq.
select sync.write_batch(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24,
    $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39, $40, $41, $42, $43, $44, $45, $46,
    $47, $48
);

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

-- name: notify_deliveries
-- Wakes the delivery actors once the transaction commits.
select pg_notify('headwater_delivery', '');
