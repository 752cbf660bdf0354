-- The days of the log: open, seal, archive, drop.

-- name: roll
-- Open a day unless it or a later one is open.
-- $1 date: the day.
SELECT ingest.roll($1)

-- name: index_day
-- Make what was written since the last call findable without reading all of it.
SELECT ingest.index_day()

-- name: seal_some
-- Move keys of a day that is over into the permanent ledger.
-- $1 integer: how many.
SELECT ingest.seal_some($1)

-- name: list_days
-- Every day, oldest first.
SELECT
    p.record_day, p.open_time, p.seal_time, p.row_count, p.archive_path, p.archive_sha256, p.archive_time, p.drop_time,
    p.record_day = max(p.record_day) OVER () AS newest,
    coalesce(pg_total_relation_size(to_regclass('ingest.' || ingest.leaf_name(p.record_day))), 0) AS bytes,
    coalesce((
        SELECT c.reltuples::bigint FROM pg_class AS c
        WHERE c.oid = to_regclass('ingest.' || ingest.leaf_name(p.record_day))
    ), 0) AS estimated_rows
FROM ingest.partition AS p
ORDER BY p.record_day

-- name: drop_blockers
-- Why a day's facts may not be dropped; none when they may.
-- $1 date: the day. $2 text[]: readers that must have reported. $3 boolean: it must be archived.
SELECT b.reason, b.detail FROM ingest.drop_blockers($1, $2, $3) AS b

-- name: drop_day
-- Drop a day's facts.
-- $1 date: the day. $2 text[]: readers that must have reported. $3 boolean: it must be archived.
SELECT ingest.drop_day($1, $2, $3)

-- name: read_day
-- Every fact of a day, for its archive. Planned for the one partition.
-- $1 date: the day.
SELECT
    e.tenant_id, e.event_key, e.xid::text::bigint AS xid, e.seq, e.record_hash, e.record_day, e.disposition,
    e.operation, e.actor_type, e.source, e.object, e.external_id, e.source_version, e.event_time,
    e.record_time, e.actor_id, e.actor_name, e.request_id, e.content_hash, e.payload, e.trace, e.tracestate,
    e.released_from
FROM ingest.event AS e
WHERE e.record_day = $1

-- name: note_archive
-- Note where a sealed day's archive is.
-- $1 date: the day. $2 text: path. $3 text: SHA-256 of the file, hex.
UPDATE ingest.partition AS p
SET archive_path = $2, archive_sha256 = $3, archive_time = clock_timestamp()
WHERE p.record_day = $1 AND p.seal_time IS NOT NULL
