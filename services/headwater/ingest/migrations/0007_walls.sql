-- Walls between tenants. What reads the log or the policies does so with the owner's rights (access.toml), so that it asks
-- itself whether the caller may see a tenant: a call sees its own, the services' own work sees all.

CREATE FUNCTION ingest.sees(p_tenant text) RETURNS boolean
LANGUAGE sql STABLE
RETURN
    coalesce(nullif(pg_catalog.current_setting('role'), 'none'), session_user) !~ '_tenant$'
    OR coalesce(pg_catalog.current_setting('headwater.tenant', true), '') = p_tenant;

COMMENT ON FUNCTION ingest.sees(text) IS
'Whether who is connected may see a tenant''s rows: the role that it took on, not the owner of the function that asks.';

CREATE OR REPLACE FUNCTION ingest.find_event(p_tenant text, p_event_key uuid) RETURNS SETOF ingest.event
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    v_day date;
BEGIN
    IF NOT ingest.sees(p_tenant) THEN
        RETURN;
    END IF;
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

CREATE OR REPLACE FUNCTION ingest.find_event_by_seq(p_tenant text, p_seq bigint) RETURNS SETOF ingest.event
LANGUAGE plpgsql STABLE
SET enable_seqscan = off
SET enable_indexscan = off
AS $$
DECLARE
    v_day date;
BEGIN
    IF NOT ingest.sees(p_tenant) THEN
        RETURN;
    END IF;
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

CREATE OR REPLACE FUNCTION ingest.list_events(
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
    IF NOT ingest.sees(p_tenant) THEN
        RETURN;
    END IF;
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

CREATE OR REPLACE FUNCTION ingest.count_accepted(p_tenant text) RETURNS bigint
LANGUAGE sql STABLE
RETURN (
    SELECT coalesce(sum(c.count), 0)::bigint
    FROM ingest.event_count AS c
    WHERE c.tenant_id = p_tenant AND c.disposition = 1 AND ingest.sees(p_tenant)
);

CREATE OR REPLACE FUNCTION ingest.current_policies()
RETURNS TABLE (tenant_id text, event_key uuid, xid bigint, seq bigint, payload bytea)
LANGUAGE sql STABLE
AS $$
    SELECT p.tenant_id, p.event_key, p.xid::text::bigint, p.seq, p.payload
    FROM ingest.policy AS p
    WHERE ingest.sees(p.tenant_id)
$$;

CREATE OR REPLACE FUNCTION ingest.quarantine_counts(p_tenant text, p_since timestamptz)
RETURNS TABLE (
    source text, object text, rule text, field text, open_count bigint, recent_count bigint, first_time timestamptz,
    last_time timestamptz
)
LANGUAGE sql STABLE
AS $$
    SELECT
        q.source, q.object, v.rule, v.field, count(*) FILTER (WHERE q.state = 1),
        count(*) FILTER (WHERE q.open_time >= p_since), min(q.open_time), max(q.open_time)
    FROM ingest.quarantine AS q
    CROSS JOIN LATERAL (
        SELECT DISTINCT b.rule, b.field FROM jsonb_to_recordset(q.violations) AS b (rule text, field text)
    ) AS v
    WHERE ingest.sees(p_tenant) AND q.tenant_id = p_tenant AND (q.state = 1 OR q.open_time >= p_since)
    GROUP BY q.source, q.object, v.rule, v.field
$$;
