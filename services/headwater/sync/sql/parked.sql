-- Events that wait beside the log's order.

-- name: park
-- Set events aside; those that are already stay as they are.
-- Arrays: $1 tenants text[], $2 event keys uuid[], $3 shards smallint[], below 0 for bulk sides, $4 xids bigint[], $5 seqs
-- bigint[], $6 reasons text[].
insert into sync.parked (tenant_id, event_key, shard, side, xid, seq, reason)
select item.tenant_id, item.event_key, greatest(item.side, ~item.side), item.side, item.xid, item.seq, item.reason
from unnest($1::text [], $2::uuid [], $3::smallint [], $4::bigint [], $5::bigint [], $6::text [])
    as item (tenant_id, event_key, side, xid, seq, reason)
order by item.tenant_id, item.event_key
on conflict do nothing;

-- name: unpark
-- Forget that events were set aside. Arrays: $1 tenants text[], $2 event keys uuid[].
delete from sync.parked as held
using unnest($1::text [], $2::uuid []) as item (tenant_id, event_key)
where held.tenant_id = item.tenant_id and held.event_key = item.event_key;

-- name: forget_projected
-- Forgets events that were projected since they were set aside, as a rebuild does. $1 shards smallint[].
delete from sync.parked as held
using sync.projection as done
where held.shard = any($1::smallint []) and held.tenant_id = done.tenant_id and held.event_key = done.event_key;

-- name: parked_tenants
-- Tenants that have events set aside in some shards. $1 shards smallint[].
select distinct tenant_id from sync.parked where shard = any($1::smallint []) order by tenant_id;

-- name: read_parked
-- Events that were set aside, in the order of the log; while a rebuild has not come to one again, it is not taken up.
-- $1 shards smallint[]; $2 tenants text[]; $3 how many, int.
select
    held.shard, held.xid, held.seq, log.tenant_id, log.event_key, log.source, log.object, log.external_id,
    log.event_time, log.record_time, log.operation, log.actor_id, log.payload,
    ingest.traceparent(log.trace) as traceparent, log.tracestate
from (
    select one.tenant_id, one.event_key, one.shard, one.xid, one.seq
    from sync.parked as one
    inner join sync.shard_cursor as place on one.side = place.shard
    where
        one.shard = any($1::smallint []) and one.tenant_id = any($2::text [])
        and (one.xid, one.seq) <= (place.xid, place.seq)
    order by one.xid, one.seq
    limit $3::int
) as held
cross join lateral ingest.find_event(held.tenant_id, held.event_key) as log
order by held.xid, held.seq;

-- name: count_parked
-- How many events of a tenant are set aside, and why the first was. $1 tenant.
select count(*) as events, coalesce((array_agg(reason order by park_time))[1], '') as reason
from sync.parked
where tenant_id = $1;

-- name: why_parked
-- Why an event is set aside; no row when it is not. $1 tenant; $2 event key.
select reason from sync.parked where tenant_id = $1 and event_key = $2;
