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
-- $5, $6, $7 text: only those of this rule, field, source; empty for any.
SELECT
    e.tenant_id, e.event_key, e.xid::text::bigint AS xid, e.seq, e.record_hash, e.record_day, e.disposition,
    e.operation, e.actor_type, e.source, e.object, e.external_id, e.source_version, e.event_time,
    e.record_time, e.actor_id, e.actor_name, e.request_id, e.content_hash, e.payload, e.trace, e.tracestate,
    e.released_from, q.violations, q.state, q.released_as, q.discard_reason, q.open_time
FROM ingest.quarantine AS q
CROSS JOIN LATERAL ingest.find_event(q.tenant_id, q.event_key) AS e
WHERE q.tenant_id = $1 AND q.state = 1 AND (q.open_time, q.event_key) > ($2, $3)
    AND $7 IN ('', q.source)
    AND EXISTS (
        SELECT FROM jsonb_to_recordset(q.violations) AS v (rule text, field text)
        WHERE $5 IN ('', v.rule) AND $6 IN ('', v.field)
    )
ORDER BY q.open_time, q.event_key
LIMIT $4

-- name: list_all
-- Entries of every state, oldest first.
-- $1 text: tenant. $2 timestamptz, $3 uuid: only those after this place. $4 integer: how many at most.
-- $5, $6, $7 text: only those of this rule, field, source; empty for any.
SELECT
    e.tenant_id, e.event_key, e.xid::text::bigint AS xid, e.seq, e.record_hash, e.record_day, e.disposition,
    e.operation, e.actor_type, e.source, e.object, e.external_id, e.source_version, e.event_time,
    e.record_time, e.actor_id, e.actor_name, e.request_id, e.content_hash, e.payload, e.trace, e.tracestate,
    e.released_from, q.violations, q.state, q.released_as, q.discard_reason, q.open_time
FROM ingest.quarantine AS q
CROSS JOIN LATERAL ingest.find_event(q.tenant_id, q.event_key) AS e
WHERE q.tenant_id = $1 AND (q.open_time, q.event_key) > ($2, $3)
    AND $7 IN ('', q.source)
    AND EXISTS (
        SELECT FROM jsonb_to_recordset(q.violations) AS v (rule text, field text)
        WHERE $5 IN ('', v.rule) AND $6 IN ('', v.field)
    )
ORDER BY q.open_time, q.event_key
LIMIT $4

-- name: list_groups
-- Open entries by what they break, the largest group first; an entry is in a group for each rule and field.
-- $1 text: tenant. $2 integer: how many groups at most.
SELECT
    v.rule, v.field, q.source, q.object, count(*) AS event_count, min(q.open_time) AS first_time,
    max(q.open_time) AS last_time,
    (array_agg(q.event_key ORDER BY q.open_time, q.event_key))[1:5] AS sample_keys,
    (array_agg(v.description ORDER BY q.open_time DESC))[1] AS description
FROM ingest.quarantine AS q
CROSS JOIN LATERAL (
    SELECT b.rule, b.field, min(b.description) AS description
    FROM jsonb_to_recordset(q.violations) AS b (rule text, field text, description text)
    GROUP BY b.rule, b.field
) AS v
WHERE q.tenant_id = $1 AND q.state = 1
GROUP BY v.rule, v.field, q.source, q.object
ORDER BY event_count DESC, v.rule ASC, v.field ASC, q.source ASC, q.object ASC
LIMIT $2

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

-- name: count_all_open
-- Number of open entries of every tenant that has some, for /metrics; $1 int: tenants at most, those with most first.
SELECT q.tenant_id, count(*)::float8 AS open_entries
FROM ingest.quarantine AS q
WHERE q.state = 1
GROUP BY q.tenant_id
ORDER BY open_entries DESC, q.tenant_id ASC
LIMIT $1
