-- How far the log can be read: up to the first event that a writer under way may still add, whoever else is at work. Before,
-- any transaction held readers back, a projection's or an import's too: what was live waited behind what was not.

CREATE FUNCTION ingest.horizon(OUT xid xid8, OUT held boolean)
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_next xid8;
    v_first bigint;
BEGIN
    -- The order counts. First the number that nobody has yet, then who is writing, then, by the caller, a look of its own
    -- at the rows: who is not seen writing has ended, and is seen then, or begins later, with a number above.
    SELECT pg_snapshot_xmin(at.snapshot), pg_snapshot_xmax(at.snapshot) INTO xid, v_next
    FROM (SELECT pg_current_snapshot() AS snapshot) AS at;
    held := xid < v_next;
    -- Where all statements see the same moment, what ends meanwhile is not seen.
    IF NOT held OR current_setting('transaction_isolation') <> 'read committed' THEN
        RETURN;
    END IF;
    WITH granted AS MATERIALIZED (
        SELECT l.virtualtransaction, l.transactionid, l.classid, l.objid, l.objsubid
        FROM pg_lock_status() AS l
        WHERE
            l.granted AND l.mode IN ('ShareLock', 'ExclusiveLock') AND l.locktype IN ('advisory', 'transactionid')
            AND (
                l.locktype = 'transactionid'
                OR l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
            )
    )

    SELECT min(
        -- A lock names the lower half of a number.
        CASE WHEN o.low > (v_next::text::bigint & 4294967295) THEN -4294967296 ELSE 0 END
        + (v_next::text::bigint & ~4294967295) + o.low
    ) INTO v_first
    FROM (
        SELECT w.transactionid::text::bigint AS low
        FROM granted AS w
        WHERE
            w.transactionid IS NOT NULL AND w.virtualtransaction IN (
                SELECT a.virtualtransaction
                FROM granted AS a
                WHERE
                    a.classid = (ingest.append_lock() >> 32)::integer::oid
                    AND a.objid = (ingest.append_lock() & 4294967295)::oid AND a.objsubid = 1
            )
    ) AS o;
    xid := coalesce(v_first::text::xid8, v_next);
    held := v_first IS NOT NULL;
END
$$;

COMMENT ON FUNCTION ingest.horizon() IS
'The number of a transaction below which no event can be added any more; `held`: whether a writer under way sets it. Writers
take the lock `append_lock()` before they have a number. It stays true for ever. A part of `read_log`.';

CREATE OR REPLACE FUNCTION ingest.enter(p_oldest_ms bigint, OUT record_day date, OUT older boolean)
LANGUAGE plpgsql
AS $$
BEGIN
    IF pg_current_xact_id_if_assigned() IS NOT NULL AND NOT EXISTS (
        SELECT FROM pg_lock_status() AS l
        WHERE
            l.pid = pg_backend_pid() AND l.locktype = 'advisory' AND l.objsubid = 1
            AND l.classid = (ingest.append_lock() >> 32)::integer::oid
            AND l.objid = (ingest.append_lock() & 4294967295)::oid
    ) THEN
        RAISE EXCEPTION 'who writes events enters before it writes anything: readers would not wait for it'
        USING errcode = 'object_not_in_prerequisite_state';
    END IF;
    PERFORM pg_advisory_xact_lock_shared(ingest.append_lock());
    SELECT p.record_day, p_oldest_ms <= p.ledger_ms INTO record_day, older
    FROM ingest.partition AS p
    ORDER BY p.record_day DESC
    LIMIT 1;
END
$$;

CREATE OR REPLACE FUNCTION ingest.create_reader(p_day date) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    EXECUTE format(
        'CREATE OR REPLACE FUNCTION ingest.%1$I(p_shards smallint [], p_xids bigint [], p_seqs bigint [], p_limit integer)
        RETURNS TABLE (
            shard smallint, xid bigint, seq bigint, tenant_id text, event_key uuid, source text, object text,
            external_id text, source_version text, event_time timestamptz, record_time timestamptz,
            operation smallint, actor_type smallint, actor_id text, actor_name text, payload bytea,
            traceparent text, tracestate text
        )
        LANGUAGE plpgsql STABLE
        AS $body$
        DECLARE
            v_horizon xid8 := coalesce(
                nullif(current_setting(''headwater.log_horizon'', true), '''')::xid8,
                pg_snapshot_xmin(pg_current_snapshot())
            );
        BEGIN
            RETURN QUERY
            SELECT
                k.shard, e.xid::text::bigint, e.seq, e.tenant_id, e.event_key, e.source, e.object,
                e.external_id, coalesce(e.source_version, ''''), e.event_time, e.record_time, e.operation,
                e.actor_type, coalesce(e.actor_id, ''''), coalesce(e.actor_name, ''''), e.payload,
                ingest.traceparent(e.trace), coalesce(e.tracestate, '''')
            FROM unnest(p_shards, p_xids, p_seqs) AS k (shard, xid, seq)
            CROSS JOIN LATERAL (
                SELECT *
                FROM ingest.%2$I AS f
                WHERE
                    (f.record_hash & 15) = k.shard
                    AND f.disposition = 1
                    AND (f.xid, f.seq) > (k.xid::text::xid8, k.seq)
                    AND f.xid < v_horizon
                ORDER BY (f.record_hash & 15), f.xid, f.seq
                LIMIT p_limit
            ) AS e;
        END
        $body$', ingest.reader_name(p_day), ingest.leaf_name(p_day)
    );
END
$$;

SELECT ingest.create_reader(p.record_day) FROM ingest.partition AS p WHERE p.drop_time IS NULL;

CREATE FUNCTION ingest.read_log(p_shards smallint [], p_xids bigint [], p_seqs bigint [], p_limit integer)
RETURNS TABLE (
    held boolean,
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
LANGUAGE plpgsql VOLATILE
AS $$
#variable_conflict use_column
DECLARE
    v_horizon record;
BEGIN
    SELECT h.xid, h.held INTO v_horizon FROM ingest.horizon() AS h;
    PERFORM set_config('headwater.log_horizon', v_horizon.xid::text, true);
    held := v_horizon.held;
    RETURN NEXT;
    RETURN QUERY SELECT null::boolean, log.* FROM ingest.read_shards(p_shards, p_xids, p_seqs, p_limit) AS log;
END
$$;

COMMENT ON FUNCTION ingest.read_log(smallint [], bigint [], bigint [], integer) IS
'As `read_shards`, and not held back by transactions that write no events. One row comes before the events and has only
`held`: whether writers under way may hold back events that were told of. Each of them tells of its own once it ends.';
