-- The event log: ledger look-up, insertion, reading.

-- name: look_up_ledger
-- The content hash of each key that is already recorded.
-- $1 text[]: tenants. $2 uuid[]: event keys, as many.
SELECT e.tenant_id, e.event_key, e.content_hash
FROM unnest($1::text[], $2::uuid[]) AS k (tenant_id, event_key)
INNER JOIN ingest.event AS e ON e.tenant_id = k.tenant_id AND e.event_key = k.event_key

-- name: insert_missing
-- Insert what nobody recorded meanwhile; the slow road, taken when a COPY met a duplicate that raced it.
-- One array a column, in the order of the columns below, rows in the order of their keys. Returns the
-- keys inserted.
INSERT INTO ingest.event (
    tenant_id, event_key, record_hash, shard, disposition, operation, actor_type, source, object,
    external_id, source_version, event_time, actor_id, actor_name, request_id, content_hash, payload,
    traceparent, tracestate, released_from
)
SELECT * -- noqa: AM04
FROM unnest(
    $1::text[], $2::uuid[], $3::integer[], $4::smallint[], $5::smallint[], $6::smallint[],
    $7::smallint[], $8::text[], $9::text[], $10::text[], $11::text[], $12::timestamptz[],
    $13::text[], $14::text[], $15::text[], $16::bytea[], $17::bytea[], $18::text[], $19::text[],
    $20::uuid[]
)
ON CONFLICT DO NOTHING
RETURNING tenant_id, event_key

-- name: add_counts
-- Move the counts of the log by what this transaction inserted.
-- $1 text[]: tenants. $2 text[]: sources. $3 text[]: objects. $4 smallint[]: dispositions.
-- $5 bigint[]: numbers of events. Sorted, so that two writers lock in one order.
INSERT INTO ingest.event_count AS c (tenant_id, source, object, disposition, slot, count)
SELECT k.tenant_id, k.source, k.object, k.disposition, (pg_backend_pid() % 256)::smallint, k.count
FROM unnest($1::text[], $2::text[], $3::text[], $4::smallint[], $5::bigint[])
    AS k (tenant_id, source, object, disposition, count)
ON CONFLICT (tenant_id, source, object, disposition, slot)
DO UPDATE SET count = c.count + excluded.count

-- name: notify_log
-- Wake the readers of the log when this transaction has committed.
SELECT pg_notify('headwater_log', '')

-- name: notify_policy
-- Wake every ingest process when this transaction, which accepted a policy, has committed.
SELECT pg_notify('headwater_policy', '')

-- name: get_event
-- One event as recorded.
-- $1 text: tenant. $2 uuid: event key.
SELECT
    e.tenant_id, e.event_key, e.xid::text::bigint AS xid, e.seq, e.record_hash, e.disposition, e.operation,
    e.actor_type, e.source, e.object, e.external_id, e.source_version, e.event_time, e.record_time,
    e.actor_id, e.actor_name, e.request_id, e.content_hash, e.payload, e.traceparent, e.tracestate,
    e.released_from
FROM ingest.event AS e
WHERE e.tenant_id = $1 AND e.event_key = $2

-- name: list_tenant_events
-- A tenant's events, newest first.
-- $1 text: tenant. $2 bigint: only those below this seq. $3 integer: how many at most.
SELECT
    e.tenant_id, e.event_key, e.xid::text::bigint AS xid, e.seq, e.record_hash, e.disposition, e.operation,
    e.actor_type, e.source, e.object, e.external_id, e.source_version, e.event_time, e.record_time,
    e.actor_id, e.actor_name, e.request_id, e.content_hash, e.payload, e.traceparent, e.tracestate,
    e.released_from
FROM ingest.event AS e
WHERE e.tenant_id = $1 AND e.seq < $2
ORDER BY e.seq DESC
LIMIT $3

-- name: list_record_events
-- The events of one source record, newest first. The expression around tenant_id keeps the planner
-- off the tenant's index, which it would walk through every event of the tenant.
-- $1 integer: record hash. $2 text: tenant. $3 text: source. $4 text: object. $5 text: external id.
-- $6 bigint: only those below this seq. $7 integer: how many at most.
SELECT
    e.tenant_id, e.event_key, e.xid::text::bigint AS xid, e.seq, e.record_hash, e.disposition, e.operation,
    e.actor_type, e.source, e.object, e.external_id, e.source_version, e.event_time, e.record_time,
    e.actor_id, e.actor_name, e.request_id, e.content_hash, e.payload, e.traceparent, e.tracestate,
    e.released_from
FROM ingest.event AS e
WHERE
    e.record_hash = $1
    AND (e.tenant_id || '') = $2
    AND e.source = $3
    AND e.object = $4
    AND e.external_id = $5
    AND e.seq < $6
ORDER BY e.seq DESC
LIMIT $7

-- name: read_counts
-- Number of a tenant's events by source, object and disposition.
-- $1 text: tenant.
SELECT c.source, c.object, c.disposition, sum(c.count)::bigint AS count
FROM ingest.event_count AS c
WHERE c.tenant_id = $1
GROUP BY c.source, c.object, c.disposition
ORDER BY c.source, c.object, c.disposition

-- name: read_policy_positions
-- Where each tenant's policy in force stands in the log: what a process compares with what it has.
SELECT p.tenant_id, p.event_key, p.xid, p.seq
FROM ingest.current_policies() AS p

-- name: read_policies
-- The policies in force of some tenants.
-- $1 text[]: tenants.
SELECT p.tenant_id, p.event_key, p.xid, p.seq, p.payload
FROM ingest.current_policies() AS p
WHERE p.tenant_id = ANY($1::text[])
