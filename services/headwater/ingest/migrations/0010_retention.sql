-- Retention by tenant: what a tenant has in each sealed day, and how far it has gone. Rows go by DELETE from a day that nobody
-- writes into any more, a stretch of pages at a time; keys, shard ends and counts stay, as when a day is dropped.

CREATE TABLE ingest.tenant_day (
    tenant_id text COLLATE "C" NOT NULL,
    record_day date NOT NULL REFERENCES ingest.partition (record_day),
    -- Rows whose keys are moved: all of the tenant's once the day is sealed.
    row_count bigint NOT NULL CHECK (row_count > 0),
    expired_count bigint NOT NULL DEFAULT 0 CHECK (expired_count >= 0),
    -- Left in place by the last sweep: their quarantine is open.
    held_count bigint NOT NULL DEFAULT 0 CHECK (held_count >= 0),
    -- The page that the sweep goes on with, and what it deleted since it began with the first.
    sweep_page bigint NOT NULL DEFAULT 0 CHECK (sweep_page >= 0),
    swept_count bigint NOT NULL DEFAULT 0,
    archive_path text,
    archive_sha256 text CHECK (length(archive_sha256) = 64),
    -- When nothing of the tenant was left in the day.
    expire_time timestamptz,
    -- When the audit was told.
    note_time timestamptz,
    PRIMARY KEY (tenant_id, record_day),
    CHECK ((archive_path IS NULL) = (archive_sha256 IS NULL)),
    CHECK (note_time IS NULL OR expire_time IS NOT NULL)
);

CREATE INDEX tenant_day_day ON ingest.tenant_day (record_day);
CREATE INDEX tenant_day_unnoted ON ingest.tenant_day (tenant_id) WHERE expire_time IS NOT NULL AND note_time IS NULL;

INSERT INTO ingest.tenant_day (tenant_id, record_day, row_count)
SELECT s.tenant_id, s.record_day, count(*)
FROM ingest.sealed_key AS s
INNER JOIN ingest.partition AS p ON p.record_day = s.record_day
WHERE p.drop_time IS NULL
GROUP BY s.tenant_id, s.record_day;

CREATE OR REPLACE FUNCTION ingest.seal_some(p_rows integer) RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    v_day record;
    v_moved record;
BEGIN
    IF NOT pg_try_advisory_xact_lock(ingest.append_lock() + 2) THEN
        RETURN 'busy';
    END IF;
    -- Never the newest: it is written into. The opening of the next waited for the last writer of this one.
    SELECT * INTO v_day
    FROM ingest.partition AS p
    WHERE p.seal_time IS NULL AND p.record_day < (SELECT max(q.record_day) FROM ingest.partition AS q)
    ORDER BY p.record_day
    LIMIT 1;
    IF NOT FOUND THEN
        RETURN 'idle';
    END IF;
    EXECUTE format(
        'WITH batch AS (
            SELECT e.event_key, e.content_hash, e.record_time, e.record_day, e.tenant_id
            FROM ingest.%1$I AS e
            WHERE $1 IS NULL OR (e.event_key, e.tenant_id) > ($1, $2)
            ORDER BY e.event_key, e.tenant_id
            LIMIT $3
        ),

        moved AS (
            INSERT INTO ingest.sealed_key (event_key, content_hash, record_time, record_day, tenant_id)
            SELECT b.event_key, b.content_hash, b.record_time, b.record_day, b.tenant_id FROM batch AS b
            ON CONFLICT DO NOTHING
        ),

        counted AS (
            INSERT INTO ingest.tenant_day AS t (tenant_id, record_day, row_count)
            SELECT b.tenant_id, b.record_day, count(*) FROM batch AS b GROUP BY b.tenant_id, b.record_day
            ON CONFLICT (tenant_id, record_day) DO UPDATE SET row_count = t.row_count + excluded.row_count
        )

        SELECT
            count(*) AS rows,
            (array_agg(b.event_key ORDER BY b.event_key DESC, b.tenant_id DESC))[1] AS event_key,
            (array_agg(b.tenant_id ORDER BY b.event_key DESC, b.tenant_id DESC))[1] AS tenant_id
        FROM batch AS b', ingest.leaf_name(v_day.record_day)
    ) INTO v_moved USING v_day.sealed_to, v_day.sealed_to_tenant, p_rows;
    UPDATE ingest.partition AS p
    SET
        row_count = p.row_count + v_moved.rows,
        sealed_to = coalesce(v_moved.event_key, p.sealed_to),
        sealed_to_tenant = coalesce(v_moved.tenant_id, p.sealed_to_tenant)
    WHERE p.record_day = v_day.record_day;
    IF v_moved.rows >= p_rows THEN
        RETURN 'moved';
    END IF;
    EXECUTE format(
        'INSERT INTO ingest.shard_end (shard, last_xid, last_seq, record_day)
        SELECT s.shard, e.xid, e.seq, $1
        FROM generate_series(0, 15) AS s (shard)
        CROSS JOIN LATERAL (
            SELECT f.xid, f.seq
            FROM ingest.%1$I AS f
            WHERE (f.record_hash & 15) = s.shard AND f.disposition = 1
            ORDER BY (f.record_hash & 15) DESC, f.xid DESC, f.seq DESC
            LIMIT 1
        ) AS e', ingest.leaf_name(v_day.record_day)
    ) USING v_day.record_day;
    PERFORM brin_summarize_new_values(ingest.find_index(v_day.record_day));
    UPDATE ingest.partition AS p SET seal_time = clock_timestamp() WHERE p.record_day = v_day.record_day;
    RETURN 'sealed';
END
$$;

CREATE OR REPLACE FUNCTION ingest.drop_day(p_day date, p_readers text [], p_archived boolean) RETURNS void
LANGUAGE plpgsql
SET lock_timeout = '2s'
AS $$
DECLARE
    v_blockers text;
BEGIN
    PERFORM pg_advisory_xact_lock(ingest.append_lock() + 2);  -- no sealing and no sweeping meanwhile
    SELECT string_agg(b.detail, '; ') INTO v_blockers
    FROM ingest.drop_blockers(p_day, p_readers, p_archived) AS b;
    IF v_blockers IS NOT NULL THEN
        RAISE EXCEPTION 'day % is not dropped: %', p_day, v_blockers USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    EXECUTE format('DROP TABLE ingest.%1$I', ingest.leaf_name(p_day));
    EXECUTE format('DROP FUNCTION ingest.%1$I', ingest.reader_name(p_day));
    DELETE FROM ingest.shard_end AS e WHERE e.record_day = p_day;
    -- What the audit has not heard of yet is told before the line goes.
    DELETE FROM ingest.tenant_day AS t
    WHERE t.record_day = p_day AND (t.expire_time IS NULL OR t.note_time IS NOT NULL);
    UPDATE ingest.partition AS p SET drop_time = clock_timestamp() WHERE p.record_day = p_day;
END
$$;

CREATE FUNCTION ingest.reader_blockers(p_day date, p_readers text []) RETURNS TABLE (reason text, detail text)
LANGUAGE sql STABLE
AS $$
    SELECT b.reason, b.detail
    FROM ingest.drop_blockers(p_day, p_readers, false) AS b
    WHERE b.reason <> 'QUARANTINE_OPEN'
$$;

COMMENT ON FUNCTION ingest.reader_blockers(date, text []) IS
'Why nothing of a day may go yet: as drop_blockers, but for quarantine, of which each open entry holds its own event.';

CREATE FUNCTION ingest.expire_some(p_day date, p_tenants text [], p_readers text [], p_pages integer) RETURNS text
LANGUAGE plpgsql
SET lock_timeout = '2s'
AS $$
DECLARE
    v_leaf text := ingest.leaf_name(p_day);
    v_blockers text;
    v_page bigint;
    v_pages bigint;
    v_tenants text [];
BEGIN
    IF NOT pg_try_advisory_xact_lock(ingest.append_lock() + 2) THEN
        RETURN 'busy';
    END IF;
    SELECT string_agg(b.detail, '; ') INTO v_blockers FROM ingest.reader_blockers(p_day, p_readers) AS b;
    IF v_blockers IS NOT NULL THEN
        RAISE EXCEPTION 'nothing of day % expires: %', p_day, v_blockers USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    -- Tenants that stand at the same page are swept together; who is ahead is waited for.
    SELECT t.sweep_page, array_agg(t.tenant_id) INTO v_page, v_tenants
    FROM ingest.tenant_day AS t
    WHERE t.record_day = p_day AND t.tenant_id = ANY(p_tenants) AND t.expire_time IS NULL
    GROUP BY t.sweep_page
    ORDER BY t.sweep_page
    LIMIT 1;
    IF NOT FOUND THEN
        RETURN 'done';
    END IF;
    v_pages := pg_relation_size(format('ingest.%I', v_leaf)) / current_setting('block_size')::bigint;
    EXECUTE format(
        'WITH gone AS (
            DELETE FROM ingest.%1$I AS f
            WHERE
                f.ctid >= $1 AND f.ctid < $2 AND f.tenant_id = ANY($3)
                AND (
                    f.disposition = 1
                    OR NOT EXISTS (
                        SELECT FROM ingest.quarantine AS q
                        WHERE q.tenant_id = f.tenant_id AND q.event_key = f.event_key AND q.state = 1
                    )
                )
            RETURNING f.tenant_id, f.event_key, f.disposition
        ),

        silenced AS (
            UPDATE ingest.quarantine AS q
            SET violations = (
                SELECT jsonb_agg(v.violation || jsonb_build_object(''value'', ''''))
                FROM jsonb_array_elements(q.violations) AS v (violation)
            )
            FROM gone AS g
            WHERE g.disposition = 3 AND q.tenant_id = g.tenant_id AND q.event_key = g.event_key
        ),

        counted AS (SELECT g.tenant_id, count(*) AS rows FROM gone AS g GROUP BY g.tenant_id)

        UPDATE ingest.tenant_day AS t
        SET
            expired_count = t.expired_count + coalesce(c.rows, 0),
            swept_count = t.swept_count + coalesce(c.rows, 0),
            sweep_page = $4
        FROM unnest($3) AS w (tenant_id)
        LEFT JOIN counted AS c ON c.tenant_id = w.tenant_id
        WHERE t.tenant_id = w.tenant_id AND t.record_day = $5', v_leaf
    ) USING format('(%s,0)', v_page)::tid, format('(%s,0)', v_page + p_pages)::tid, v_tenants, v_page + p_pages, p_day;
    IF v_page + p_pages < v_pages THEN
        RETURN 'moved';
    END IF;
    -- At the end. A row that an erasure moved to where the sweep had been is found by the next one; a sweep that found
    -- nothing is the last.
    UPDATE ingest.tenant_day AS t
    SET
        sweep_page = 0,
        swept_count = 0,
        held_count = open.rows,
        expire_time = CASE
            WHEN open.rows = 0 AND (t.expired_count >= t.row_count OR t.swept_count = 0) THEN clock_timestamp()
        END
    FROM (
        SELECT w.tenant_id, count(q.event_key) AS rows
        FROM unnest(v_tenants) AS w (tenant_id)
        LEFT JOIN ingest.quarantine AS q ON q.record_day = p_day AND q.state = 1 AND q.tenant_id = w.tenant_id
        GROUP BY w.tenant_id
    ) AS open
    WHERE t.tenant_id = open.tenant_id AND t.record_day = p_day;
    -- What was deleted leaves the disk soon, however little of the day it is.
    IF NOT EXISTS (
        SELECT FROM pg_class AS c WHERE c.oid = format('ingest.%I', v_leaf)::regclass AND c.reloptions IS NOT NULL
    ) THEN
        EXECUTE format(
            'ALTER TABLE ingest.%1$I SET (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0)', v_leaf
        );
    END IF;
    RETURN 'swept';
END
$$;

COMMENT ON FUNCTION ingest.expire_some(date, text [], text [], integer) IS
'Deletes what tenants have in up to p_pages pages of a sealed day, but for events whose quarantine is open. Returns moved '
'(call again), swept (to the end: look what is due), done (nothing to do) or busy (another process does it). Safe to '
'repeat after any crash.';

CREATE FUNCTION ingest.due_days(p_tenants text [], p_limits date [])
RETURNS TABLE (
    tenant_id text, record_day date, row_count bigint, held_count bigint, is_ready boolean, is_archived boolean
)
LANGUAGE sql STABLE
AS $$
    SELECT
        t.tenant_id, t.record_day, t.row_count - t.expired_count, t.held_count,
        t.row_count - t.expired_count > t.held_count OR t.held_count > (
            SELECT count(*)
            FROM ingest.quarantine AS q
            WHERE q.record_day = t.record_day AND q.state = 1 AND q.tenant_id = t.tenant_id
        ),
        t.archive_path IS NOT NULL OR p.archive_path IS NOT NULL
    FROM unnest(p_tenants, p_limits) AS w (tenant_id, before_day)
    INNER JOIN ingest.tenant_day AS t ON t.tenant_id = w.tenant_id AND t.record_day < w.before_day
    INNER JOIN ingest.partition AS p ON p.record_day = t.record_day
    WHERE t.expire_time IS NULL AND p.seal_time IS NOT NULL AND p.drop_time IS NULL
    ORDER BY t.record_day, t.tenant_id
$$;

COMMENT ON FUNCTION ingest.due_days(text [], date []) IS
'What tenants have in sealed days before their limits, the oldest day first. Not ready is what waits for quarantine alone.';

CREATE FUNCTION ingest.kept_of(p_tenant text, p_limit date, p_readers text [])
RETURNS TABLE (
    oldest_day date, row_count bigint, due_days bigint, due_count bigint, held_count bigint, expired_count bigint,
    expire_time timestamptz, blockers text []
)
LANGUAGE sql STABLE
AS $$
    WITH standing AS (
        SELECT t.record_day, t.row_count - t.expired_count AS rows, t.expired_count, t.held_count, t.expire_time
        FROM ingest.tenant_day AS t
        INNER JOIN ingest.partition AS p ON p.record_day = t.record_day
        WHERE t.tenant_id = p_tenant AND ingest.sees(p_tenant) AND p.drop_time IS NULL
    ),

    due AS (
        SELECT s.record_day, s.rows, s.held_count
        FROM standing AS s
        INNER JOIN ingest.partition AS p ON p.record_day = s.record_day
        WHERE s.record_day < p_limit AND s.expire_time IS NULL AND p.seal_time IS NOT NULL
    )

    SELECT
        min(s.record_day) FILTER (WHERE s.expire_time IS NULL),
        coalesce(sum(s.rows) FILTER (WHERE s.expire_time IS NULL), 0)::bigint,
        (SELECT count(*) FROM due),
        (SELECT coalesce(sum(d.rows), 0)::bigint FROM due AS d),
        (SELECT coalesce(sum(d.held_count), 0)::bigint FROM due AS d),
        coalesce(sum(s.expired_count), 0)::bigint,
        max(s.expire_time),
        (
            SELECT coalesce(array_agg(DISTINCT b.detail), '{}')
            FROM (SELECT min(d.record_day) AS record_day FROM due AS d) AS first
            CROSS JOIN LATERAL ingest.reader_blockers(first.record_day, p_readers) AS b
            WHERE first.record_day IS NOT NULL
        )
    FROM standing AS s
$$;

COMMENT ON FUNCTION ingest.kept_of(text, date, text []) IS
'What the log holds of a tenant in sealed days, what of it is before p_limit (null: nothing is), and which readers hold '
'that back.';
