-- Quarantined events: the task list of people.

-- name: get_quarantined
-- One entry with its event.
-- $1 text: tenant. $2 uuid: event key.
SELECT
    e.tenant_id, e.event_key, e.xid::text::bigint AS xid, e.seq, e.record_hash, e.record_day, e.disposition,
    e.operation, e.actor_type, e.source, e.object, e.external_id, e.source_version, e.event_time,
    e.record_time, e.actor_id, e.actor_name, e.request_id, e.content_hash, e.payload, e.trace, e.tracestate,
    e.released_from, q.violations, q.state, q.released_as, q.discard_reason, q.open_time
FROM ingest.quarantine AS q
CROSS JOIN LATERAL ingest.find_event(q.tenant_id, q.event_key) AS e
WHERE q.tenant_id = $1 AND q.event_key = $2

-- name: list_open
-- Open entries, oldest first.
-- $1 text: tenant. $2 timestamptz, $3 uuid: only those after this place. $4 integer: how many at most.
SELECT
    e.tenant_id, e.event_key, e.xid::text::bigint AS xid, e.seq, e.record_hash, e.record_day, e.disposition,
    e.operation, e.actor_type, e.source, e.object, e.external_id, e.source_version, e.event_time,
    e.record_time, e.actor_id, e.actor_name, e.request_id, e.content_hash, e.payload, e.trace, e.tracestate,
    e.released_from, q.violations, q.state, q.released_as, q.discard_reason, q.open_time
FROM ingest.quarantine AS q
CROSS JOIN LATERAL ingest.find_event(q.tenant_id, q.event_key) AS e
WHERE q.tenant_id = $1 AND q.state = 1 AND (q.open_time, q.event_key) > ($2, $3)
ORDER BY q.open_time, q.event_key
LIMIT $4

-- name: list_all
-- Entries of every state, oldest first.
-- $1 text: tenant. $2 timestamptz, $3 uuid: only those after this place. $4 integer: how many at most.
SELECT
    e.tenant_id, e.event_key, e.xid::text::bigint AS xid, e.seq, e.record_hash, e.record_day, e.disposition,
    e.operation, e.actor_type, e.source, e.object, e.external_id, e.source_version, e.event_time,
    e.record_time, e.actor_id, e.actor_name, e.request_id, e.content_hash, e.payload, e.trace, e.tracestate,
    e.released_from, q.violations, q.state, q.released_as, q.discard_reason, q.open_time
FROM ingest.quarantine AS q
CROSS JOIN LATERAL ingest.find_event(q.tenant_id, q.event_key) AS e
WHERE q.tenant_id = $1 AND (q.open_time, q.event_key) > ($2, $3)
ORDER BY q.open_time, q.event_key
LIMIT $4

-- name: count_open
-- Number of open entries.
-- $1 text: tenant.
SELECT count(*) FROM ingest.quarantine AS q WHERE q.tenant_id = $1 AND q.state = 1

-- name: lock_entry
-- State of an entry, held against others until this transaction ends.
-- $1 text: tenant. $2 uuid: event key.
SELECT q.state, q.released_as
FROM ingest.quarantine AS q
WHERE q.tenant_id = $1 AND q.event_key = $2
FOR UPDATE

-- name: close_released
-- Note under which key an entry entered the log, and who released it.
-- $1 text: tenant. $2 uuid: event key. $3 uuid: released as. $4 smallint, $5 text, $6 text: actor.
UPDATE ingest.quarantine AS q
SET
    state = 2, released_as = $3, actor_type = $4, actor_id = $5, actor_name = $6,
    close_time = clock_timestamp()
WHERE q.tenant_id = $1 AND q.event_key = $2 AND q.state = 1

-- name: close_discarded
-- End an open entry with a reason.
-- $1 text: tenant. $2 uuid: event key. $3 text: reason. $4 smallint, $5 text, $6 text: actor.
UPDATE ingest.quarantine AS q
SET
    state = 3, discard_reason = $3, actor_type = $4, actor_id = $5, actor_name = $6,
    close_time = clock_timestamp()
WHERE q.tenant_id = $1 AND q.event_key = $2 AND q.state = 1
