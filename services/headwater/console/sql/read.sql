-- name: list_traces
-- The newest traces first. Parameters: service or null, limit.
SELECT t.trace_id
FROM trace AS t
WHERE
    (
        ?1 IS NULL
        OR EXISTS (
            SELECT 1 FROM span AS s INNER JOIN resource AS r ON s.resource_id = r.resource_id
            WHERE s.trace_id = t.trace_id AND r.service = ?1
        )
    )
ORDER BY t.seq DESC
LIMIT ?2;

-- name: list_traces_of_event
-- The traces that have a span of an event, newest first. Parameters: event_key, service or null, limit.
SELECT t.trace_id
FROM trace AS t
WHERE
    t.trace_id IN (SELECT trace_id FROM span WHERE event_key = ?1)
    AND (
        ?2 IS NULL
        OR EXISTS (
            SELECT 1 FROM span AS s INNER JOIN resource AS r ON s.resource_id = r.resource_id
            WHERE s.trace_id = t.trace_id AND r.service = ?2
        )
    )
ORDER BY t.seq DESC
LIMIT ?3;

-- name: select_spans
-- A trace's spans in order of start. Parameters: trace_id, limit.
SELECT r.service, s.body
FROM span AS s INNER JOIN resource AS r ON s.resource_id = r.resource_id
WHERE s.trace_id = ?
ORDER BY s.start_ns, s.span_id
LIMIT ?;

-- name: select_bodies
-- A trace's spans as they came, those of one resource together. Parameters: trace_id, limit.
SELECT r.body AS resource, s.body
FROM span AS s INNER JOIN resource AS r ON s.resource_id = r.resource_id
WHERE s.trace_id = ?
ORDER BY r.resource_id, s.start_ns, s.span_id
LIMIT ?;

-- name: count_spans
-- How many spans a trace has. Parameters: trace_id.
SELECT count(*) FROM span WHERE trace_id = ?;

-- name: select_incoming_links
-- The spans elsewhere that link to a trace. Parameters: trace_id, limit.
SELECT l.trace_id, l.span_id, l.linked_span_id, r.service, s.body
FROM link AS l
INNER JOIN span AS s ON l.trace_id = s.trace_id AND l.span_id = s.span_id
INNER JOIN resource AS r ON s.resource_id = r.resource_id
WHERE l.linked_trace_id = ?1 AND l.trace_id <> ?1
ORDER BY s.start_ns, l.span_id
LIMIT ?2;

-- name: select_neighbours
-- The traces one link away, either way. Parameters: trace_id, limit.
SELECT linked_trace_id AS trace_id, 'links_to' AS direction FROM link WHERE trace_id = ?1 AND linked_trace_id <> ?1
UNION
SELECT trace_id, 'linked_from' FROM link WHERE linked_trace_id = ?1 AND trace_id <> ?1
ORDER BY trace_id, direction
LIMIT ?2;

-- name: count_all
-- What the store holds.
SELECT (SELECT count(*) FROM trace), (SELECT count(*) FROM span), (SELECT count(*) FROM link);

-- name: select_counters
-- The counters that outlive the process.
SELECT name, value FROM counter;

-- name: has_trace
-- Whether the store has spans of a trace. Parameters: trace_id.
SELECT EXISTS (SELECT 1 FROM trace WHERE trace_id = ?);

-- name: select_span_of_event
-- One span that names an event. Parameters: event_key.
SELECT r.service, s.body
FROM span AS s INNER JOIN resource AS r ON s.resource_id = r.resource_id
WHERE s.event_key = ?
ORDER BY s.start_ns, s.span_id
LIMIT 1;
