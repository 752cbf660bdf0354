-- The life of a day after it is over: sealed, archived, dropped. Called by the keeper and by operators.

CREATE FUNCTION ingest.find_index(p_day date) RETURNS regclass
LANGUAGE sql STABLE
RETURN format('ingest.%I', ingest.leaf_name(p_day) || '_find')::regclass;

CREATE FUNCTION ingest.index_day() RETURNS integer
LANGUAGE plpgsql
SET lock_timeout = '2s'
AS $$
DECLARE
    v_day date;
    v_index regclass;
    v_ranges integer;
BEGIN
    IF NOT pg_try_advisory_xact_lock(ingest.append_lock() + 3) THEN
        RETURN 0;
    END IF;
    SELECT max(p.record_day) INTO v_day FROM ingest.partition AS p;
    v_index := ingest.find_index(v_day);
    v_ranges := brin_summarize_new_values(v_index);
    IF v_ranges > 0 THEN
        -- The last range is not full: kept summarised, every row would log its summary anew.
        PERFORM brin_desummarize_range(
            v_index, greatest(0, pg_relation_size(format('ingest.%I', ingest.leaf_name(v_day))) / 8192 - 1)
        );
    END IF;
    RETURN v_ranges;
END
$$;

COMMENT ON FUNCTION ingest.index_day() IS
'Makes what was written since the last call findable without reading all of it; returns how many ranges of pages.';

CREATE FUNCTION ingest.seal_some(p_rows integer) RETURNS text
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

COMMENT ON FUNCTION ingest.seal_some(integer) IS
'Moves up to p_rows keys of the oldest day that is over into the permanent ledger. Returns moved (call again), sealed (that
day is done), idle (nothing to do) or busy (another process does it). Safe to repeat after any crash.';

CREATE FUNCTION ingest.drop_blockers(p_day date, p_readers text [], p_archived boolean)
RETURNS TABLE (reason text, detail text)
LANGUAGE sql STABLE
AS $$
    SELECT 'UNKNOWN_DAY' AS reason, 'the log has no such day' AS detail
    WHERE NOT EXISTS (SELECT FROM ingest.partition AS p WHERE p.record_day = p_day)
    UNION ALL
    SELECT 'DROPPED', 'its facts are dropped already'
    WHERE EXISTS (SELECT FROM ingest.partition AS p WHERE p.record_day = p_day AND p.drop_time IS NOT NULL)
    UNION ALL
    SELECT 'NOT_SEALED', 'its keys are not in the permanent ledger yet'
    WHERE EXISTS (SELECT FROM ingest.partition AS p WHERE p.record_day = p_day AND p.seal_time IS NULL)
    UNION ALL
    SELECT 'NOT_ARCHIVED', 'its facts are not archived'
    WHERE p_archived
        AND EXISTS (SELECT FROM ingest.partition AS p WHERE p.record_day = p_day AND p.archive_time IS NULL)
    UNION ALL
    SELECT 'QUARANTINE_OPEN', count(*) || ' quarantined events of the day are open'
    FROM ingest.quarantine AS q
    WHERE q.record_day = p_day AND q.state = 1
    HAVING count(*) > 0
    UNION ALL
    SELECT 'READER_UNSEEN', 'reader ' || w.reader || ' has never reported shard ' || s.shard
    FROM unnest(p_readers) AS w (reader)
    CROSS JOIN LATERAL (
        SELECT min(n.shard) AS shard
        FROM generate_series(0, 15) AS n (shard)
        WHERE NOT EXISTS (SELECT FROM ingest.reader AS r WHERE r.reader = w.reader AND r.shard = n.shard)
    ) AS s
    WHERE s.shard IS NOT NULL
    UNION ALL
    SELECT 'READER_BEHIND', 'reader ' || r.reader || ' has not read shard ' || min(r.shard) || ' to the day''s end'
    FROM ingest.reader AS r
    INNER JOIN ingest.shard_end AS e ON e.shard = r.shard AND e.record_day = p_day
    WHERE (e.last_xid, e.last_seq) > (r.xid, r.seq)
    GROUP BY r.reader
$$;

COMMENT ON FUNCTION ingest.drop_blockers(date, text [], boolean) IS
'Why a day''s facts may not be dropped; no row when they may. p_readers must have reported; any that has must have read it.';

CREATE FUNCTION ingest.drop_day(p_day date, p_readers text [], p_archived boolean) RETURNS void
LANGUAGE plpgsql
SET lock_timeout = '2s'
AS $$
DECLARE
    v_blockers text;
BEGIN
    PERFORM pg_advisory_xact_lock(ingest.append_lock() + 2);  -- no sealing meanwhile
    SELECT string_agg(b.detail, '; ') INTO v_blockers
    FROM ingest.drop_blockers(p_day, p_readers, p_archived) AS b;
    IF v_blockers IS NOT NULL THEN
        RAISE EXCEPTION 'day % is not dropped: %', p_day, v_blockers USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    EXECUTE format('DROP TABLE ingest.%1$I', ingest.leaf_name(p_day));
    EXECUTE format('DROP FUNCTION ingest.%1$I', ingest.reader_name(p_day));
    DELETE FROM ingest.shard_end AS e WHERE e.record_day = p_day;
    UPDATE ingest.partition AS p SET drop_time = clock_timestamp() WHERE p.record_day = p_day;
END
$$;

COMMENT ON FUNCTION ingest.drop_day(date, text [], boolean) IS
'Drops a day''s facts; its keys stay in the ledger. Refuses while anything of drop_blockers stands.';
