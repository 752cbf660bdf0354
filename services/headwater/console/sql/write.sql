-- name: insert_trace
-- Give a trace its place in the ring; known ones keep theirs. Parameters: trace_id.
INSERT INTO trace (trace_id) VALUES (?) ON CONFLICT DO NOTHING;

-- name: insert_resource
-- Keep a resource once. Parameters: service, body.
INSERT INTO resource (service, body) VALUES (?, ?) ON CONFLICT DO NOTHING;

-- name: select_resource_id
-- Find a resource's id. Parameters: body.
SELECT resource_id FROM resource WHERE body = ?;

-- name: insert_span
-- Keep a span; an export sent twice changes nothing.
-- Parameters: trace_id, span_id, start_ns, resource_id, event_key, body.
INSERT INTO span (trace_id, span_id, start_ns, resource_id, event_key, body) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING;

-- name: insert_link
-- Keep a link. Parameters: trace_id, span_id, linked_trace_id, linked_span_id.
INSERT INTO link (trace_id, span_id, linked_trace_id, linked_span_id) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING;

-- name: select_oldest_traces
-- The traces the ring drops next. Parameters: how many.
SELECT trace_id FROM trace ORDER BY seq LIMIT ?;

-- name: delete_spans
-- Drop a trace's spans. Parameters: trace_id.
DELETE FROM span WHERE trace_id = ?;

-- name: delete_links
-- Drop the links that a trace's spans hold. Parameters: trace_id.
DELETE FROM link WHERE trace_id = ?;

-- name: delete_trace
-- Drop a trace's place in the ring. Parameters: trace_id.
DELETE FROM trace WHERE trace_id = ?;

-- name: add_to_counter
-- Add to a counter that outlives the process. Parameters: name, amount.
INSERT INTO counter (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value;
