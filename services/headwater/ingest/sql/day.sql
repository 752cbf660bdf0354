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
-- Every day, oldest first. `expired`: rows of tenants with a shorter retention that are gone.
SELECT
    coalesce((
        SELECT sum(t.expired_count) FROM ingest.tenant_day AS t WHERE t.record_day = p.record_day
    ), 0)::bigint AS expired,
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

-- name: due_days
-- What tenants have in sealed days before their limits.
-- $1 text[]: tenants. $2 date[]: the first day that each keeps.
SELECT d.tenant_id, d.record_day, d.row_count, d.held_count, d.is_ready, d.is_archived
FROM ingest.due_days($1, $2) AS d

-- name: expire_some
-- Delete what tenants have in a stretch of a sealed day.
-- $1 date: the day. $2 text[]: tenants. $3 text[]: readers that must have reported. $4 integer: pages.
SELECT ingest.expire_some($1, $2, $3, $4)

-- name: tenants_of_day
-- Those of some tenants that have events in a day.
-- $1 date: the day. $2 text[]: tenants.
SELECT t.tenant_id
FROM ingest.tenant_day AS t
WHERE t.record_day = $1 AND t.tenant_id = ANY($2) AND t.row_count > t.expired_count
ORDER BY t.tenant_id

-- name: read_tenant_day
-- Every fact of a tenant in a day, for its archive.
-- $1 date: the day. $2 text: tenant.
SELECT
    e.tenant_id, e.event_key, e.xid::text::bigint AS xid, e.seq, e.record_hash, e.record_day, e.disposition,
    e.operation, e.actor_type, e.source, e.object, e.external_id, e.source_version, e.event_time,
    e.record_time, e.actor_id, e.actor_name, e.request_id, e.content_hash, e.payload, e.trace, e.tracestate,
    e.released_from
FROM ingest.event AS e
WHERE e.record_day = $1 AND e.tenant_id = $2

-- name: note_tenant_archive
-- Note where the archive of a tenant's events of a day is.
-- $1 date: the day. $2 text: tenant. $3 text: path. $4 text: SHA-256 of the file, hex.
UPDATE ingest.tenant_day AS t
SET archive_path = $3, archive_sha256 = $4
WHERE t.record_day = $1 AND t.tenant_id = $2

-- name: note_expiries
-- Tell the audit of days that are done with, once: what it has not heard of. Returns how many.
-- $1 integer: how many at most.
WITH noted AS (
    UPDATE ingest.tenant_day AS t
    SET note_time = clock_timestamp()
    FROM (
        SELECT u.tenant_id, u.record_day
        FROM ingest.tenant_day AS u
        WHERE u.expire_time IS NOT NULL AND u.note_time IS NULL
        ORDER BY u.tenant_id, u.record_day
        LIMIT $1
        FOR UPDATE SKIP LOCKED
    ) AS due
    WHERE t.tenant_id = due.tenant_id AND t.record_day = due.record_day
    RETURNING t.tenant_id, t.record_day, t.expired_count, coalesce(t.archive_path, '') AS archive_path
),

told AS (
    SELECT
        array_agg(n.tenant_id) AS tenants, array_agg(n.record_day) AS days,
        array_agg(n.expired_count) AS counts, array_agg(n.archive_path) AS paths
    FROM noted AS n
    HAVING count(*) > 0
)

SELECT sync.note_expiries(t.tenants, t.days, t.counts, t.paths) FROM told AS t

-- name: kept_of
-- What the log holds of a tenant in sealed days, and what of it is due.
-- $1 text: tenant. $2 date: the first day that is kept; null: all are. $3 text[]: readers that must have reported.
SELECT
    k.oldest_day, k.row_count, k.due_days, k.due_count, k.held_count, k.expired_count, k.expire_time, k.blockers
FROM ingest.kept_of($1, $2, $3) AS k
