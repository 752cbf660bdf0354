-- The outbox of merges and splits.

-- name: insert_change
-- Write down that the event log has to hear of a merge or split.
-- $1 text: tenant. $2 uuid: change. $3 uuid: merge. $4 bytea: the event's payload. $5 timestamptz: now.
-- $6 smallint, $7 text, $8 text: actor's type, id, name. $9 text, $10 text: traceparent, tracestate.
INSERT INTO identity.change (
    tenant_id, change_id, merge_id, payload, change_time, due_time,
    actor_type, actor_id, actor_name, traceparent, tracestate
)
VALUES ($1, $2, $3, $4, $5, $5, $6, $7, $8, $9, $10)

-- name: list_due_changes
-- Changes to send now, in order; one waits while an earlier one of its merge is unsent.
-- $1 timestamptz: now. $2 integer: rows at most.
SELECT
    c.tenant_id, c.change_id, c.merge_id, c.payload, c.change_time, c.attempts,
    c.actor_type, c.actor_id, c.actor_name, c.traceparent, c.tracestate, c.seq
FROM identity.change AS c
WHERE
    c.sent_time IS NULL AND c.due_time <= $1
    AND NOT EXISTS (
        SELECT 1 FROM identity.change AS earlier
        WHERE
            earlier.tenant_id = c.tenant_id AND earlier.merge_id = c.merge_id
            AND earlier.seq < c.seq AND earlier.sent_time IS NULL
    )
ORDER BY c.tenant_id, c.seq
LIMIT $2

-- name: mark_sent
-- Note that the event log has the changes.
-- $1 text: tenant. $2 uuid[]: changes. $3 timestamptz: now.
UPDATE identity.change
SET sent_time = $3, attempts = attempts + 1
WHERE tenant_id = $1 AND change_id = ANY($2::uuid[])

-- name: postpone_change
-- Try a change again later.
-- $1 text: tenant. $2 uuid: change. $3 timestamptz: when.
UPDATE identity.change
SET due_time = $3, attempts = attempts + 1
WHERE tenant_id = $1 AND change_id = $2 AND sent_time IS NULL
