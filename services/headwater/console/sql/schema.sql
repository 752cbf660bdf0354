-- The span store: a ring of traces. A span keeps its OTLP form as it came; columns hold what is searched.

CREATE TABLE IF NOT EXISTS trace (
    seq INTEGER PRIMARY KEY,            -- order of arrival: the ring drops the lowest
    trace_id BLOB NOT NULL UNIQUE       -- 16 bytes
);

CREATE TABLE IF NOT EXISTS resource (
    resource_id INTEGER PRIMARY KEY,
    service TEXT NOT NULL,
    body BLOB NOT NULL UNIQUE           -- opentelemetry.proto.resource.v1.Resource
);

CREATE TABLE IF NOT EXISTS span (
    trace_id BLOB NOT NULL,
    span_id BLOB NOT NULL,              -- 8 bytes
    start_ns INTEGER NOT NULL,          -- Unix time
    resource_id INTEGER NOT NULL REFERENCES resource (resource_id),
    event_key TEXT,                     -- attribute headwater.event_key
    body BLOB NOT NULL,                 -- opentelemetry.proto.trace.v1.Span
    UNIQUE (trace_id, span_id)
);

CREATE INDEX IF NOT EXISTS span_by_event_key ON span (event_key) WHERE event_key IS NOT NULL;

CREATE TABLE IF NOT EXISTS link (
    trace_id BLOB NOT NULL,
    span_id BLOB NOT NULL,
    linked_trace_id BLOB NOT NULL,
    linked_span_id BLOB NOT NULL,
    PRIMARY KEY (trace_id, span_id, linked_trace_id, linked_span_id)
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS link_by_target ON link (linked_trace_id, trace_id);

CREATE TABLE IF NOT EXISTS counter (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;
