-- The event log: appending, reading for people.

-- name: enter
-- Take the writers' lock; the day to write into, and whether keys may be in older days. First in a transaction.
-- $1 bigint: milliseconds that lead the oldest key; 0 when some key leads with no time.
SELECT p.record_day, p.older FROM ingest.enter($1) AS p

-- name: known
-- What the ledger knows of keys.
-- $1 text: keys as {hex,hex,…}. $2 boolean: in older days too.
SELECT k.tenant_id, k.event_key, k.content_hash, k.record_us, k.now_us, k.resent_as, k.generation
FROM ingest.known($1, $2) AS k

-- name: settle
-- What belongs to rows that this transaction wrote.
-- $1 date: their day. $2 text[], $3 text[], $4 text[], $5 smallint[], $6 bigint[]: tenants, sources, objects,
-- dispositions and numbers of events. $7 text[], $8 text, $9 text[]: tenants, keys and violations of those
-- quarantined. $10 text[], $11 text, $12 integer[], $13 text: tenants, base keys, generations and keys of those
-- sent again. $14 text: keys of policies. Keys as {hex,hex,…}, null for none.
SELECT ingest.settle($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)

-- name: append
-- Record what is new of some events in one round trip; what the ledger knows of the others.
-- $1 bigint: as of enter. $2 to $4 text: keys, content hashes, keys released from. $5 to $21: a column each,
-- in the order of rows.append_arguments. $22 text, $23 integer[]: base keys and generations.
SELECT k.tenant_id, k.event_key, k.content_hash, k.record_us, k.now_us, k.resent_as, k.generation
FROM ingest.append(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23
) AS k

-- name: append_plain
-- Record a small batch of accepted events that are most probably new; false where it cannot tell.
-- $1 bigint: as of enter. $2 text: keys. $3 to $18: a column each, in the order of rows.plain_arguments.
-- $19 to $22: counts by tenant, source and object.
SELECT ingest.append_plain(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22
)

-- name: announce
-- Wake the readers of the log.
SELECT pg_notify('headwater_log', '')

-- name: get_event
-- One event as recorded.
-- $1 text: tenant. $2 uuid: event key.
SELECT
    e.tenant_id, e.event_key, e.xid::text::bigint AS xid, e.seq, e.record_hash, e.record_day, e.disposition,
    e.operation, e.actor_type, e.source, e.object, e.external_id, e.source_version, e.event_time,
    e.record_time, e.actor_id, e.actor_name, e.request_id, e.content_hash, e.payload, e.trace, e.tracestate,
    e.released_from
FROM ingest.find_event($1, $2) AS e

-- name: get_event_by_seq
-- One event as recorded, by the number that the log gave it.
-- $1 text: tenant. $2 bigint: seq.
SELECT
    e.tenant_id, e.event_key, e.xid::text::bigint AS xid, e.seq, e.record_hash, e.record_day, e.disposition,
    e.operation, e.actor_type, e.source, e.object, e.external_id, e.source_version, e.event_time,
    e.record_time, e.actor_id, e.actor_name, e.request_id, e.content_hash, e.payload, e.trace, e.tracestate,
    e.released_from
FROM ingest.find_event_by_seq($1, $2) AS e

-- name: list_events
-- A tenant's events, or a record's, newest first.
-- $1 text: tenant. $2 integer, $3 integer: lowest and highest record hash. $4 text, $5 text, $6 text: source,
-- object and external id, or nulls. $7 date, $8 bigint, $9 bigint: only those below this place.
-- $10 integer: how many at most.
SELECT
    e.tenant_id, e.event_key, e.xid::text::bigint AS xid, e.seq, e.record_hash, e.record_day, e.disposition,
    e.operation, e.actor_type, e.source, e.object, e.external_id, e.source_version, e.event_time,
    e.record_time, e.actor_id, e.actor_name, e.request_id, e.content_hash, e.payload, e.trace, e.tracestate,
    e.released_from
FROM ingest.list_events($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) AS e

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
