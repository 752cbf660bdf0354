-- What the schema publishes. Other services read the log through these functions and through nothing else;
-- their names, parameters and columns change only by adding.
-- `NOTIFY headwater_log` (empty payload) follows commits that added accepted events within milliseconds; one may
-- stand for several, and a process that dies first sends none: readers also look by themselves.

CREATE FUNCTION ingest.shard_count() RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 16;

COMMENT ON FUNCTION ingest.shard_count() IS
'Number of shards; shards are numbered from 0. All events of a record are in one shard.';

CREATE FUNCTION ingest.traceparent(p_trace bytea) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN p_trace IS NULL THEN '' ELSE
    '00-' || encode(substr(p_trace, 1, 16), 'hex') || '-' || encode(substr(p_trace, 17, 8), 'hex') || '-'
    || encode(substr(p_trace, 25, 1), 'hex')
END;

COMMENT ON FUNCTION ingest.traceparent(bytea) IS 'A stored trace context as the W3C header; empty for none.';

CREATE FUNCTION ingest.read_shards(p_shards smallint [], p_xids bigint [], p_seqs bigint [], p_limit integer)
RETURNS TABLE (
    shard smallint,
    xid bigint,
    seq bigint,
    tenant_id text,
    event_key uuid,
    source text,
    object text,
    external_id text,
    source_version text,
    event_time timestamptz,
    record_time timestamptz,
    operation smallint,
    actor_type smallint,
    actor_id text,
    actor_name text,
    payload bytea,
    traceparent text,
    tracestate text
)
LANGUAGE plpgsql STABLE
-- The plans are kept: planning cost more than reading. They hold for any number of rows.
SET plan_cache_mode = force_generic_plan
-- The index gives the order of transactions; whatever the planner believes of the number of rows, it must sort
-- within one transaction only.
SET enable_sort = off
SET enable_bitmapscan = off
SET enable_seqscan = off
AS $$
DECLARE
    v_places record;
    v_rows bigint;
BEGIN
    FOR v_places IN
        -- The sealed day that holds a shard's next event, if there is one; else every unsealed day, in order.
        WITH place AS (
            SELECT k.shard, k.xid, k.seq, d.record_day
            FROM unnest(p_shards, p_xids, p_seqs) AS k (shard, xid, seq)
            LEFT JOIN LATERAL (
                SELECT s.record_day
                FROM ingest.shard_end AS s
                WHERE s.shard = k.shard AND (s.last_xid, s.last_seq) > (k.xid::text::xid8, k.seq)
                ORDER BY s.last_xid, s.last_seq
                LIMIT 1
            ) AS d ON true
        )

        SELECT
            coalesce(p.record_day, u.record_day) AS record_day, p.record_day IS NOT NULL AS sealed,
            array_agg(p.shard) AS shards, array_agg(p.xid) AS xids, array_agg(p.seq) AS seqs
        FROM place AS p
        LEFT JOIN ingest.partition AS u ON p.record_day IS NULL AND u.seal_time IS NULL
        GROUP BY 1, 2
        ORDER BY 2 DESC, 1
    LOOP
        CONTINUE WHEN v_places.record_day IS NULL;
        -- Two steps: the day's own function keeps its plan, what is planned here is no more than its call.
        RETURN QUERY EXECUTE format('SELECT * FROM ingest.%I($1, $2, $3, $4)', ingest.reader_name(v_places.record_day))
        USING v_places.shards, v_places.xids, v_places.seqs, p_limit;
        GET DIAGNOSTICS v_rows = ROW_COUNT;
        -- What an unsealed day still has comes before anything of the next.
        EXIT WHEN v_rows > 0 AND NOT v_places.sealed;
    END LOOP;
END
$$;

COMMENT ON FUNCTION ingest.read_shards(smallint [], bigint [], bigint [], integer) IS
'Accepted events of several shards, each after its own position (xid, seq), at most p_limit of each; the rows of a
shard in log order. Start at (0, 0). None at all: there is nothing new. Only what no running transaction can
precede any more: a reader that continues from the last row it got misses nothing and sees nothing twice. A
transaction left open on the server holds every reader back.';

CREATE FUNCTION ingest.report_positions(
    p_reader text, p_shards smallint [], p_xids bigint [], p_seqs bigint []
) RETURNS void
LANGUAGE sql
AS $$
    INSERT INTO ingest.reader AS r (reader, shard, xid, seq)
    SELECT p_reader, k.shard, k.xid::text::xid8, k.seq
    FROM unnest(p_shards, p_xids, p_seqs) AS k (shard, xid, seq)
    ORDER BY k.shard
    ON CONFLICT (reader, shard) DO UPDATE
    SET xid = excluded.xid, seq = excluded.seq, report_time = clock_timestamp()
$$;

COMMENT ON FUNCTION ingest.report_positions(text, smallint [], bigint [], bigint []) IS
'A reader of the log says, about once a minute, how far it has read its shards: a day that it has not read to the end
is not dropped. By shard, because a quiet shard''s position stays old though nothing is left to read.';

CREATE FUNCTION ingest.current_policies()
RETURNS TABLE (tenant_id text, event_key uuid, xid bigint, seq bigint, payload bytea)
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT p.tenant_id, p.event_key, p.xid::text::bigint, p.seq, p.payload
    FROM ingest.policy AS p
$$;

COMMENT ON FUNCTION ingest.current_policies() IS
'The newest policy event of each tenant. Payload: {"document": YAML text, "digest": 16 hex digits}.';

CREATE FUNCTION ingest.count_accepted(p_tenant text) RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE
RETURN (
    SELECT coalesce(sum(c.count), 0)::bigint
    FROM ingest.event_count AS c
    WHERE c.tenant_id = p_tenant AND c.disposition = 1
);

COMMENT ON FUNCTION ingest.count_accepted(text) IS
'Number of the tenant''s accepted events, its policy and identity events among them; exact and cheap.';

CREATE FUNCTION ingest.find_event(p_tenant text, p_event_key uuid) RETURNS SETOF ingest.event
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    v_day date;
BEGIN
    FOR v_day IN
        SELECT p.record_day FROM ingest.partition AS p WHERE p.seal_time IS NULL
        UNION ALL
        SELECT s.record_day
        FROM ingest.sealed_key AS s
        INNER JOIN ingest.partition AS p ON p.record_day = s.record_day
        WHERE
            s.event_key = p_event_key AND s.tenant_id = p_tenant
            AND p.seal_time IS NOT NULL AND p.drop_time IS NULL
    LOOP
        RETURN QUERY EXECUTE format(
            'SELECT e.* FROM ingest.%1$I AS e WHERE e.event_key = $2 AND e.tenant_id = $1',
            ingest.leaf_name(v_day)
        ) USING p_tenant, p_event_key;
        EXIT WHEN FOUND;
    END LOOP;
END
$$;

COMMENT ON FUNCTION ingest.find_event(text, uuid) IS 'One event by its key, whatever its day; for ingest itself.';

CREATE FUNCTION ingest.find_event_by_seq(p_tenant text, p_seq bigint) RETURNS SETOF ingest.event
LANGUAGE plpgsql STABLE
SET enable_seqscan = off
SET enable_indexscan = off
AS $$
DECLARE
    v_day date;
BEGIN
    -- The newest day that opened before the number was handed out, then the one that a session carried it into.
    FOR v_day IN
        SELECT d.record_day
        FROM (
            SELECT p.record_day, p.open_seq > p_seq AS later
            FROM ingest.partition AS p
            WHERE p.drop_time IS NULL
        ) AS d
        WHERE NOT d.later OR d.record_day < (now() AT TIME ZONE 'UTC')::date + 1
        ORDER BY d.later, CASE WHEN d.later THEN d.record_day END, d.record_day DESC
        LIMIT 3
    LOOP
        RETURN QUERY EXECUTE format(
            'SELECT e.* FROM ingest.%1$I AS e WHERE e.seq = $2 AND e.tenant_id || '''' = $1 LIMIT 1',
            ingest.leaf_name(v_day)
        ) USING p_tenant, p_seq;
        EXIT WHEN FOUND;
    END LOOP;
END
$$;

COMMENT ON FUNCTION ingest.find_event_by_seq(text, bigint) IS
'One event by the number that the log gave it; reads the pages that may hold it. For people.';

CREATE FUNCTION ingest.walk_end(p_day date, p_before_xid xid8) RETURNS xid8
LANGUAGE plpgsql STABLE
SET enable_sort = off
SET enable_bitmapscan = off
SET enable_seqscan = off
AS $$
DECLARE
    v_end xid8;
BEGIN
    EXECUTE format(
        'SELECT max(e.xid)
        FROM generate_series(0, 15) AS s (shard)
        CROSS JOIN LATERAL (
            SELECT f.xid
            FROM ingest.%1$I AS f
            WHERE (f.record_hash & 15) = s.shard AND f.xid <= $1
            ORDER BY (f.record_hash & 15) DESC, f.xid DESC
            OFFSET 1000
            LIMIT 1
        ) AS e', ingest.leaf_name(p_day)
    ) INTO v_end USING p_before_xid;
    RETURN coalesce(v_end, '0');
END
$$;

COMMENT ON FUNCTION ingest.walk_end(date, xid8) IS
'The transaction at which 1,000 rows of some shard are walked back from p_before_xid; 0: the day has no more.';

CREATE FUNCTION ingest.list_new(
    p_day date, p_hash_low integer, p_hash_high integer, p_tenant text,
    p_from xid8, p_before_xid xid8, p_before_seq bigint, p_limit integer
) RETURNS SETOF ingest.event
LANGUAGE plpgsql STABLE
SET enable_sort = off
SET enable_bitmapscan = off
SET enable_seqscan = off
AS $$
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT e.*
        FROM generate_series(0, 15) AS s (shard)
        CROSS JOIN LATERAL (
            SELECT * FROM ingest.%1$I AS f
            WHERE
                (f.record_hash & 15) = s.shard
                AND f.xid >= $4
                AND (f.xid, f.seq) < ($5, $6)
                AND f.record_hash BETWEEN $1 AND $2
                AND f.tenant_id = $3
            ORDER BY (f.record_hash & 15) DESC, f.xid DESC, f.seq DESC
            LIMIT $7
        ) AS e
        ORDER BY e.xid DESC, e.seq DESC
        LIMIT $7', ingest.leaf_name(p_day)
    ) USING p_hash_low, p_hash_high, p_tenant, p_from, p_before_xid, p_before_seq, p_limit;
END
$$;

COMMENT ON FUNCTION ingest.list_new(date, integer, integer, text, xid8, xid8, bigint, integer) IS
'A tenant''s events of a day from transaction p_from on, newest first, by walking the log backwards.';

CREATE FUNCTION ingest.list_old(
    p_day date, p_hash_low integer, p_hash_high integer,
    p_tenant text, p_source text, p_object text, p_external_id text,
    p_before_xid xid8, p_before_seq bigint, p_limit integer
) RETURNS SETOF ingest.event
LANGUAGE plpgsql STABLE
SET enable_indexscan = off
SET enable_seqscan = off
AS $$
BEGIN
    -- Tenant and transaction are compared as expressions: as columns they tempt the planner to read the ledger's or
    -- the readers' whole index.
    RETURN QUERY EXECUTE format(
        'SELECT f.*
        FROM ingest.%1$I AS f
        WHERE
            %2$s
            AND f.record_hash BETWEEN $1 AND $2
            AND (coalesce(f.xid, ''0''), f.seq) < ($7, $8)
            AND f.tenant_id || '''' = $3
            AND ($4 IS NULL OR (f.source = $4 AND f.object = $5 AND f.external_id = $6))
        ORDER BY f.xid DESC, f.seq DESC
        LIMIT $9',
        ingest.leaf_name(p_day),
        CASE
            WHEN p_hash_low = p_hash_high THEN 'f.record_hash = $1' ELSE '(f.record_hash >> 20) = ($1 >> 20)'
        END
    ) USING
        p_hash_low, p_hash_high, p_tenant, p_source, p_object, p_external_id, p_before_xid, p_before_seq, p_limit;
END
$$;

COMMENT ON FUNCTION ingest.list_old(
    date, integer, integer, text, text, text, text, xid8, bigint, integer
) IS
'A record''s or a tenant''s events of a day, newest first, from the ranges of pages that may hold some.';

CREATE FUNCTION ingest.list_events(
    p_tenant text, p_hash_low integer, p_hash_high integer,
    p_source text, p_object text, p_external_id text,
    p_before_day date, p_before_xid bigint, p_before_seq bigint, p_limit integer
) RETURNS SETOF ingest.event
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    v_day date;
    v_before_xid xid8 := p_before_xid::text::xid8;
    v_before_seq bigint := p_before_seq;
    v_from xid8;
    v_left integer := p_limit;
    v_rows integer;
BEGIN
    FOR v_day IN
        SELECT p.record_day
        FROM ingest.partition AS p
        WHERE p.record_day <= p_before_day AND p.drop_time IS NULL
            AND (p.seal_time IS NULL OR p.row_count > 0)
        ORDER BY p.record_day DESC
    LOOP
        v_before_xid := p_before_xid::text::xid8;
        v_before_seq := p_before_seq;
        IF p_source IS NULL THEN
            -- The log's newest rows by its order; a tenant who has few of them is looked for by its hash.
            v_from := ingest.walk_end(v_day, v_before_xid);
            RETURN QUERY SELECT * FROM ingest.list_new(
                v_day, p_hash_low, p_hash_high, p_tenant, v_from, v_before_xid, v_before_seq, v_left
            );
            GET DIAGNOSTICS v_rows = ROW_COUNT;
            v_left := v_left - v_rows;
            EXIT WHEN v_left <= 0;
            CONTINUE WHEN v_from = '0';
            v_before_xid := v_from;
            v_before_seq := 0;
        END IF;
        RETURN QUERY SELECT * FROM ingest.list_old(
            v_day, p_hash_low, p_hash_high, p_tenant, p_source, p_object, p_external_id, v_before_xid, v_before_seq, v_left
        );
        GET DIAGNOSTICS v_rows = ROW_COUNT;
        v_left := v_left - v_rows;
        EXIT WHEN v_left <= 0;
    END LOOP;
END
$$;

COMMENT ON FUNCTION ingest.list_events(
    text, integer, integer, text, text, text, date, bigint, bigint, integer
) IS
'A tenant''s events newest first, day by day; those of one record when p_source is not null. Hashes of the
record lie in p_hash_low to p_hash_high. For ingest itself.';
