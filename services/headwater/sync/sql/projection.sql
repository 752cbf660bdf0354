-- The projector's side: reading the log through ingest's published functions, and writing state.

-- name: shard_count
-- Number of shards of the log, as ingest publishes it.
select ingest.shard_count() as shards;

-- name: read_events
-- Reads the next events of several shards, safe against late commits, in commit order. The first row tells whether some are
-- held back by writers under way.
-- Arrays: $1 shard smallint[], $2 xid bigint[], $3 seq bigint[]; $4 rows of one shard at most, int.
select
    log.shard, log.xid, log.seq, log.tenant_id, log.event_key, log.source, log.object,
    log.external_id, log.event_time, log.record_time, log.operation, log.actor_id, log.payload,
    log.traceparent, log.tracestate, log.held
from ingest.read_log($1::smallint [], $2::bigint [], $3::bigint [], $4::int) as log
order by log.held nulls last, log.xid, log.seq;

-- name: read_projected
-- Which of these events are projected. Arrays: $1 tenant text[], $2 event key uuid[].
select done.tenant_id, done.event_key
from unnest($1::text [], $2::uuid []) as wanted (tenant_id, event_key)
cross join lateral (
    select one.tenant_id, one.event_key from sync.projection as one
    where one.tenant_id = wanted.tenant_id and one.event_key = wanted.event_key
    offset 0 -- noqa: AM09
) as done;

-- name: report_positions
-- Tells the log how far it is read, so that nothing unread is dropped: not past what is set aside.
-- Arrays: $1 shard smallint[], $2 xid bigint[], $3 seq bigint[].
select ingest.report_positions('sync', array_agg(held.shard), array_agg(held.xid), array_agg(held.seq))
from (
    select
        read.shard,
        case when first.xid is null or (read.xid, read.seq) < (first.xid, first.seq) then read.xid else first.xid end as xid,
        case when first.xid is null or (read.xid, read.seq) < (first.xid, first.seq) then read.seq else first.seq - 1 end as seq
    from unnest($1::smallint [], $2::bigint [], $3::bigint []) as read (shard, xid, seq)
    left join lateral (
        select parked.xid, parked.seq from sync.parked
        where parked.shard = read.shard
        order by parked.xid, parked.seq
        limit 1
    ) as first on true
    order by read.shard
) as held;

-- name: current_policies
-- Newest policy event of every tenant.
select tenant_id, event_key, xid, seq, payload from ingest.current_policies();

-- name: read_recorded
-- Up to where shards are projected again by the policies of their moments; no row for the others. $1 shards smallint[].
select shard, xid, seq from sync.rebuild where shard = any($1::smallint []) and not by_newest;

-- name: read_versions
-- Every policy that the projector came by, in the order of the log.
select tenant_id, xid, seq, digest, document from sync.policy_version
order by tenant_id, xid, seq;

-- name: read_cursors
-- Positions of the shards. $1 shards smallint[].
select shard, xid, seq from sync.shard_cursor where shard = any($1::smallint []);

-- name: read_scope
-- Up to where shards were projected before, while the log is projected again, and for which tenants; none: for all.
select
    shard, xid, seq, (select coalesce(array_agg(tenant_id), '{}') from sync.rebuild_scope) as tenants
from sync.rebuild;

-- name: find_records
-- Entities that hold these records. $1 tenants; $2 objects; $3 sources; $4 external ids: text[].
select held.tenant_id, held.object, held.source, held.external_id, held.entity_id
from unnest($1::text [], $2::text [], $3::text [], $4::text [])
    as wanted (tenant_id, object, source, external_id)
inner join sync.record as held using (tenant_id, object, source, external_id);

-- name: find_homes
-- Entities of records, one look-up each. $1 tenants; $2 objects; $3 sources; $4 external ids: text[].
select found.tenant_id, found.object, found.source, found.external_id, found.entity_id
from sync.find_homes($1::text [], $2::text [], $3::text [], $4::text []) as found;

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
    held.fields, held.policy_version, held.state_seq
from unnest($1::text [], $2::uuid []) as wanted (tenant_id, entity_id)
inner join sync.entity as held using (tenant_id, entity_id)
order by held.tenant_id, held.entity_id
for update of held;

-- name: read_members
-- Every record of these entities. $1 tenants text[]; $2 entities uuid[].
select
    held.tenant_id, held.object, held.source, held.external_id, held.entity_id, held.fields,
    held.deleted, held.delete_time, held.home_seq
from unnest($1::text [], $2::uuid []) as wanted (tenant_id, entity_id)
inner join sync.record as held using (tenant_id, entity_id);

-- name: load_batch
-- Holds fences, then locks and loads what a batch works on. Leases in name order: $1 name, $2 fence. Records:
-- $3 tenant, $4 object, $5 source, $6 external id, $7 entity that identity names, or null. Further entities:
-- $8 tenant, $9 entity, $10 object. All arrays.
select * -- noqa: AM04
from sync.load_batch($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);

-- name: write_batch
-- Writes what a batch has changed. Arrays, but for $48; of those that are filled one value may stand for all. Records
-- in key order: $1 tenant, $2 object, $3 source, $4 external id, $5 entity, $6 fields, $7 deleted, $8 delete time,
-- $9 home seq, $10 fresh. Entities: $11 tenant, $12 entity, $13 state, $14 merged into, $15 version, $16 fields,
-- $17 policy version, $18 state seq. Events: $19 tenant, $20 event key, $21 rule, $22 superseded, $23 poisoned,
-- $24 error, $25 entities and $26 versions as array texts, $27 xid, $28 seq, $29 trace id. Audit: $30 tenant,
-- $31 action, $32 actor, $33 entity, $34 event key, $35 changes as text, $36 policy version, $37 trace id. Marks in key
-- order: $38 tenant, $39 connector, $40 entity, $41 object, $42 version, $43 event key, $44 traceparent,
-- $45 tracestate, $46 record time, $47 lane; $48 their accounts. Shards: $49 shard, $50 xid, $51 seq. Sides of shards:
-- $52 shard, $53 xid, $54 seq.
select
sync.write_batch(
    case cardinality($1::text []) when 1 then array_fill(($1::text [])[1], array[cardinality($4::text [])]) else $1 end,
    case cardinality($2::text []) when 1 then array_fill(($2::text [])[1], array[cardinality($4::text [])]) else $2 end,
    case cardinality($3::text []) when 1 then array_fill(($3::text [])[1], array[cardinality($4::text [])]) else $3 end,
    $4,
    $5,
    $6,
    case cardinality($7::boolean []) when 1 then array_fill(($7::boolean [])[1], array[cardinality($4::text [])]) else $7 end,
    case cardinality($8::timestamptz []) when 1 then array_fill(($8::timestamptz [])[1], array[cardinality($4::text [])]) else $8 end,
    case cardinality($9::bigint []) when 1 then array_fill(($9::bigint [])[1], array[cardinality($4::text [])]) else $9 end,
    case cardinality($10::boolean []) when 1 then array_fill(($10::boolean [])[1], array[cardinality($4::text [])]) else $10 end,
    case cardinality($11::text []) when 1 then array_fill(($11::text [])[1], array[cardinality($12::uuid [])]) else $11 end,
    $12,
    case cardinality($13::text []) when 1 then array_fill(($13::text [])[1], array[cardinality($12::uuid [])]) else $13 end,
    case cardinality($14::uuid []) when 1 then array_fill(($14::uuid [])[1], array[cardinality($12::uuid [])]) else $14 end,
    case cardinality($15::bigint []) when 1 then array_fill(($15::bigint [])[1], array[cardinality($12::uuid [])]) else $15 end,
    $16,
    case cardinality($17::text []) when 1 then array_fill(($17::text [])[1], array[cardinality($12::uuid [])]) else $17 end,
    case cardinality($18::bigint []) when 1 then array_fill(($18::bigint [])[1], array[cardinality($12::uuid [])]) else $18 end,
    case cardinality($19::text []) when 1 then array_fill(($19::text [])[1], array[cardinality($20::uuid [])]) else $19 end,
    $20,
    case cardinality($21::text []) when 1 then array_fill(($21::text [])[1], array[cardinality($20::uuid [])]) else $21 end,
    case cardinality($22::boolean []) when 1 then array_fill(($22::boolean [])[1], array[cardinality($20::uuid [])]) else $22 end,
    case cardinality($23::boolean []) when 1 then array_fill(($23::boolean [])[1], array[cardinality($20::uuid [])]) else $23 end,
    case cardinality($24::text []) when 1 then array_fill(($24::text [])[1], array[cardinality($20::uuid [])]) else $24 end,
    $25,
    $26,
    $27,
    $28,
    case cardinality($29::text []) when 1 then array_fill(($29::text [])[1], array[cardinality($20::uuid [])]) else $29 end,
    case cardinality($30::text []) when 1 then array_fill(($30::text [])[1], array[cardinality($34::uuid [])]) else $30 end,
    case cardinality($31::text []) when 1 then array_fill(($31::text [])[1], array[cardinality($34::uuid [])]) else $31 end,
    case cardinality($32::text []) when 1 then array_fill(($32::text [])[1], array[cardinality($34::uuid [])]) else $32 end,
    $33,
    $34,
    $35,
    case cardinality($36::text []) when 1 then array_fill(($36::text [])[1], array[cardinality($34::uuid [])]) else $36 end,
    case cardinality($37::text []) when 1 then array_fill(($37::text [])[1], array[cardinality($34::uuid [])]) else $37 end,
    case cardinality($38::text []) when 1 then array_fill(($38::text [])[1], array[cardinality($40::uuid [])]) else $38 end,
    $39,
    $40,
    case cardinality($41::text []) when 1 then array_fill(($41::text [])[1], array[cardinality($40::uuid [])]) else $41 end,
    case cardinality($42::bigint []) when 1 then array_fill(($42::bigint [])[1], array[cardinality($40::uuid [])]) else $42 end,
    $43,
    case cardinality($44::text []) when 1 then array_fill(($44::text [])[1], array[cardinality($40::uuid [])]) else $44 end,
    case cardinality($45::text []) when 1 then array_fill(($45::text [])[1], array[cardinality($40::uuid [])]) else $45 end,
    $46,
    case cardinality($47::smallint []) when 1 then array_fill(($47::smallint [])[1], array[cardinality($40::uuid [])]) else $47 end,
    $48,
    $49,
    $50,
    $51
),
sync.move_sides($52, $53, $54);

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
