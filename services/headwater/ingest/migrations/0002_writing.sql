-- Writing the log: for the ingest service alone. The order of locks: the writers' lock, rows by key, counts by group.

CREATE FUNCTION ingest.enter(p_oldest_ms bigint, OUT record_day date, OUT older boolean)
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(ingest.append_lock());
    SELECT p.record_day, p_oldest_ms <= p.ledger_ms INTO record_day, older
    FROM ingest.partition AS p
    ORDER BY p.record_day DESC
    LIMIT 1;
END
$$;

COMMENT ON FUNCTION ingest.enter(bigint) IS
'First call of a transaction that writes events: the day to write into, and whether keys of which the oldest
leads with p_oldest_ms (0: some key leads with no time) may be in older days.';

CREATE FUNCTION ingest.look_up(p_keys uuid [], p_from date, p_before date, p_sealed boolean)
RETURNS TABLE (
    tenant_id text, event_key uuid, content_hash bigint, record_time timestamptz, record_day date
)
LANGUAGE plpgsql
AS $$
DECLARE
    v_day date;
BEGIN
    FOR v_day IN
        SELECT p.record_day
        FROM ingest.partition AS p
        WHERE p.seal_time IS NULL AND p.record_day >= p_from AND p.record_day < p_before
        ORDER BY p.record_day DESC
    LOOP
        -- LIMIT keeps the planner at one index look-up a key, whatever it believes of the table's size.
        RETURN QUERY EXECUTE format(
            'SELECT e.tenant_id, e.event_key, e.content_hash, e.record_time, e.record_day
            FROM unnest($1) AS k (event_key)
            CROSS JOIN LATERAL (
                SELECT * FROM ingest.%1$I AS f WHERE f.event_key = k.event_key LIMIT 2
            ) AS e', ingest.leaf_name(v_day)
        ) USING p_keys;
    END LOOP;
    IF p_sealed THEN
        RETURN QUERY
        SELECT e.tenant_id, e.event_key, e.content_hash, e.record_time, e.record_day
        FROM unnest(p_keys) AS k (event_key)
        CROSS JOIN LATERAL (
            SELECT * FROM ingest.sealed_key AS f WHERE f.event_key = k.event_key LIMIT 2
        ) AS e;
    END IF;
END
$$;

COMMENT ON FUNCTION ingest.look_up(uuid [], date, date, boolean) IS
'What the ledger knows of keys: in the unsealed days from p_from up to before p_before and, if p_sealed, in the sealed ones.
A key that is being sealed may come twice.';

CREATE FUNCTION ingest.known(p_keys text, p_older boolean)
RETURNS TABLE (
    tenant_id text, event_key bytea, content_hash bytea, record_us bigint, now_us bigint,
    resent_as bytea, generation integer
)
LANGUAGE sql
AS $$
    SELECT
        l.tenant_id,
        uuid_send(l.event_key),
        int8send(coalesce(r.content_hash, l.content_hash)),
        (extract(epoch FROM coalesce(r.record_time, l.record_time)) * 1000000)::bigint,
        (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
        uuid_send(r.event_key),
        coalesce(r.generation, 0)
    FROM ingest.look_up(
        p_keys::uuid [],
        CASE WHEN p_older THEN '-infinity' ELSE (SELECT max(p.record_day) FROM ingest.partition AS p) END,
        'infinity', p_older
    ) AS l
    LEFT JOIN LATERAL (
        SELECT * FROM ingest.resend AS s WHERE s.tenant_id = l.tenant_id AND s.base_key = l.event_key LIMIT 1
    ) AS r ON true
$$;

COMMENT ON FUNCTION ingest.known(text, boolean) IS
'The ledger''s answer to keys ({hex,hex,…}): the newest generation of each that is recorded, and the database''s time.';

CREATE FUNCTION ingest.settle(
    p_day date,
    p_tenants text [], p_sources text [], p_objects text [], p_dispositions smallint [], p_counts bigint [],
    p_broken_tenants text [], p_broken_keys text, p_violations text [],
    p_base_tenants text [], p_base_keys text, p_generations integer [], p_resent_keys text,
    p_policy_keys text
) RETURNS void
LANGUAGE plpgsql
SET plan_cache_mode = 'force_generic_plan'
AS $$
BEGIN
    INSERT INTO ingest.event_count AS c (tenant_id, source, object, disposition, slot, count)
    SELECT k.tenant_id, k.source, k.object, k.disposition, (pg_backend_pid() % 256)::smallint, k.count
    FROM unnest(p_tenants, p_sources, p_objects, p_dispositions, p_counts)
        AS k (tenant_id, source, object, disposition, count)
    ON CONFLICT (tenant_id, source, object, disposition, slot)
    DO UPDATE SET count = c.count + excluded.count;

    IF p_broken_keys IS NOT NULL THEN
        -- Planned for this day alone.
        EXECUTE format(
            'INSERT INTO ingest.quarantine (tenant_id, event_key, record_day, source, object, violations)
            SELECT k.tenant_id, k.event_key, $1, e.source, e.object, k.violations::jsonb
            FROM unnest($2, $3, $4) AS k (tenant_id, event_key, violations)
            INNER JOIN ingest.%1$I AS e ON e.event_key = k.event_key AND e.tenant_id = k.tenant_id',
            ingest.leaf_name(p_day)
        ) USING p_day, p_broken_tenants, p_broken_keys::uuid [], p_violations;
    END IF;
    IF p_base_keys IS NOT NULL THEN
        INSERT INTO ingest.resend AS r (tenant_id, base_key, generation, event_key, content_hash, record_time)
        SELECT k.tenant_id, k.base_key, k.generation, e.event_key, e.content_hash, e.record_time
        FROM unnest(p_base_tenants, p_base_keys::uuid [], p_generations, p_resent_keys::uuid [])
            AS k (tenant_id, base_key, generation, event_key)
        CROSS JOIN LATERAL ingest.look_up(ARRAY[k.event_key], p_day, 'infinity', false) AS e
        WHERE e.tenant_id = k.tenant_id
        ORDER BY k.tenant_id, k.base_key
        ON CONFLICT (tenant_id, base_key) DO UPDATE
        SET
            generation = excluded.generation, event_key = excluded.event_key,
            content_hash = excluded.content_hash, record_time = excluded.record_time
        WHERE r.generation < excluded.generation;
    END IF;
    IF p_policy_keys IS NOT NULL THEN
        -- Planned for this day alone.
        EXECUTE format(
            'INSERT INTO ingest.policy AS held (tenant_id, event_key, xid, seq, payload)
            SELECT DISTINCT ON (e.tenant_id) e.tenant_id, e.event_key, e.xid, e.seq, e.payload
            FROM ingest.%1$I AS e
            WHERE e.event_key = ANY($1) AND e.object = ''policy''
            ORDER BY e.tenant_id, e.xid DESC, e.seq DESC
            ON CONFLICT (tenant_id) DO UPDATE
            SET
                event_key = excluded.event_key, xid = excluded.xid, seq = excluded.seq,
                payload = excluded.payload
            WHERE (held.xid, held.seq) < (excluded.xid, excluded.seq)', ingest.leaf_name(p_day)
        ) USING p_policy_keys::uuid [];
        PERFORM pg_notify('headwater_policy', '');
    END IF;
END
$$;

COMMENT ON FUNCTION ingest.settle(
    date, text [], text [], text [], smallint [], bigint [], text [], text, text [], text [], text, integer [],
    text, text
) IS
'What belongs to rows that this transaction wrote into a day: counts, task list, generations, policies, wake-up calls.
Groups are sorted by the caller, so that two writers lock in one order.';

CREATE FUNCTION ingest.append(
    p_oldest_ms bigint,
    p_keys text, p_contents bigint [], p_released text,
    p_times bigint [], p_hashes integer [], p_dispositions smallint [], p_operations smallint [],
    p_actor_types smallint [], p_tenants text [], p_sources text [], p_objects text [],
    p_external_ids text [], p_payloads bytea [], p_versions text [], p_request_ids text [],
    p_actor_ids text [], p_actor_names text [], p_traces bytea [], p_tracestates text [],
    p_violations text [], p_base_keys text, p_generations integer []
) RETURNS TABLE (
    tenant_id text, event_key bytea, content_hash bytea, record_us bigint, now_us bigint,
    resent_as bytea, generation integer
)
LANGUAGE plpgsql
SET plan_cache_mode = 'force_generic_plan'
AS $$
DECLARE
    v_keys uuid [] := p_keys::uuid [];
    v_wanted uuid [] := v_keys;
    v_place record;
    v_known uuid [];
    v_new uuid [];
    v_tenants text [];
    v_sources text [];
    v_objects text [];
    v_dispositions smallint [];
    v_counts bigint [];
    v_count bigint;
BEGIN
    SELECT * INTO v_place FROM ingest.enter(p_oldest_ms);
    IF v_place.older THEN
        SELECT array_agg(l.event_key) INTO v_known
        FROM ingest.look_up(v_keys, '-infinity', v_place.record_day, true) AS l
        INNER JOIN unnest(v_keys, p_tenants) AS k (event_key, tenant_id)
            ON k.event_key = l.event_key AND k.tenant_id = l.tenant_id;
    END IF;
    WITH added AS (
        INSERT INTO ingest.event (
            record_day, event_key, content_hash, released_from, event_time, record_hash, disposition, operation,
            actor_type, tenant_id, source, object, external_id, payload, source_version, request_id, actor_id,
            actor_name, trace, tracestate
        )
        SELECT
            v_place.record_day, k.event_key, k.content_hash, k.released_from,
            timestamptz 'epoch' + k.time_us * interval '1 microsecond', k.record_hash, k.disposition,
            k.operation, k.actor_type, k.tenant_id, k.source, k.object, k.external_id, k.payload,
            k.source_version, k.request_id, k.actor_id, k.actor_name, k.trace, k.tracestate
        FROM unnest(
            v_keys, p_contents, p_released::uuid [], p_times, p_hashes, p_dispositions, p_operations,
            p_actor_types, p_tenants, p_sources, p_objects, p_external_ids, p_payloads, p_versions,
            p_request_ids, p_actor_ids, p_actor_names, p_traces, p_tracestates
        ) AS k (
            event_key, content_hash, released_from, time_us, record_hash, disposition, operation, actor_type,
            tenant_id, source, object, external_id, payload, source_version, request_id, actor_id, actor_name,
            trace, tracestate
        )
        WHERE v_known IS NULL OR k.event_key <> ALL(v_known)
        ON CONFLICT DO NOTHING
        RETURNING event.event_key, event.tenant_id, event.source, event.object, event.disposition
    ),

    counted AS (
        SELECT a.tenant_id, a.source, a.object, a.disposition, count(*) AS count, array_agg(a.event_key) AS keys
        FROM added AS a
        GROUP BY a.tenant_id, a.source, a.object, a.disposition
    )

    SELECT
        array_agg(c.tenant_id ORDER BY c.tenant_id, c.source, c.object, c.disposition),
        array_agg(c.source ORDER BY c.tenant_id, c.source, c.object, c.disposition),
        array_agg(c.object ORDER BY c.tenant_id, c.source, c.object, c.disposition),
        array_agg(c.disposition ORDER BY c.tenant_id, c.source, c.object, c.disposition),
        array_agg(c.count ORDER BY c.tenant_id, c.source, c.object, c.disposition),
        sum(c.count),
        (SELECT array_agg(a.event_key) FROM added AS a)
    INTO v_tenants, v_sources, v_objects, v_dispositions, v_counts, v_count, v_new
    FROM counted AS c;

    IF v_count > 0 THEN
        PERFORM ingest.settle(
            v_place.record_day, v_tenants, v_sources, v_objects, v_dispositions, v_counts,
            b.tenants, b.keys, b.violations, b.base_tenants, b.bases, b.generations, b.resent, b.policies
        )
        FROM (
            SELECT
                array_agg(k.tenant_id) FILTER (WHERE k.violations IS NOT NULL) AS tenants,
                array_agg(k.event_key) FILTER (WHERE k.violations IS NOT NULL)::text AS keys,
                array_agg(k.violations) FILTER (WHERE k.violations IS NOT NULL) AS violations,
                array_agg(k.tenant_id) FILTER (WHERE k.generation > 0) AS base_tenants,
                array_agg(k.base_key) FILTER (WHERE k.generation > 0)::text AS bases,
                array_agg(k.generation) FILTER (WHERE k.generation > 0) AS generations,
                array_agg(k.event_key) FILTER (WHERE k.generation > 0)::text AS resent,
                array_agg(k.event_key) FILTER (WHERE k.object = 'policy')::text AS policies
            FROM unnest(v_keys, p_tenants, p_objects, p_violations, p_base_keys::uuid [], p_generations)
                AS k (event_key, tenant_id, object, violations, base_key, generation)
            WHERE k.event_key = ANY(v_new)
        ) AS b;
    END IF;
    IF v_count IS DISTINCT FROM cardinality(v_keys) THEN
        -- A new snapshot: it sees the rows of those that were faster.
        SELECT array_agg(k.event_key) INTO v_wanted
        FROM unnest(v_keys) AS k (event_key)
        WHERE v_new IS NULL OR k.event_key <> ALL(v_new);
        RETURN QUERY SELECT * FROM ingest.known(v_wanted::text, v_place.older);
    END IF;
END
$$;

COMMENT ON FUNCTION ingest.append(
    bigint, text, bigint [], text, bigint [], integer [], smallint [], smallint [], smallint [], text [], text [],
    text [], text [], bytea [], text [], text [], text [], text [], bytea [], text [], text [], text, integer []
) IS
'Records what is new of some events in one round trip; returns what the ledger knows of the others.
Keys must differ. Exact whatever races: the road of small batches, and the last one of large.';

CREATE FUNCTION ingest.append_plain(
    p_oldest_ms bigint,
    p_keys text, p_contents bigint [],
    p_times bigint [], p_hashes integer [], p_operations smallint [], p_actor_types smallint [],
    p_tenants text [], p_sources text [], p_objects text [], p_external_ids text [], p_payloads bytea [],
    p_versions text [], p_request_ids text [], p_actor_ids text [], p_actor_names text [], p_traces bytea [],
    p_tracestates text [],
    p_count_tenants text [], p_count_sources text [], p_count_objects text [], p_counts bigint []
) RETURNS boolean
LANGUAGE plpgsql
SET plan_cache_mode = 'force_generic_plan'
AS $$
DECLARE
    v_day date;
    v_older boolean;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(ingest.append_lock());
    SELECT p.record_day, p_oldest_ms <= p.ledger_ms INTO v_day, v_older
    FROM ingest.partition AS p
    ORDER BY p.record_day DESC
    LIMIT 1;
    IF v_older IS NOT false THEN
        RETURN false;
    END IF;
    INSERT INTO ingest.event (
        record_day, event_key, content_hash, event_time, record_hash, disposition, operation, actor_type,
        tenant_id, source, object, external_id, payload, source_version, request_id, actor_id, actor_name,
        trace, tracestate
    )
    SELECT
        v_day, k.event_key, k.content_hash, timestamptz 'epoch' + k.time_us * interval '1 microsecond',
        k.record_hash, 1, k.operation, k.actor_type, k.tenant_id, k.source, k.object, k.external_id, k.payload,
        k.source_version, k.request_id, k.actor_id, k.actor_name, k.trace, k.tracestate
    FROM unnest(
        p_keys::uuid [], p_contents, p_times, p_hashes, p_operations, p_actor_types, p_tenants, p_sources,
        p_objects, p_external_ids, p_payloads, p_versions, p_request_ids, p_actor_ids, p_actor_names, p_traces,
        p_tracestates
    ) AS k (
        event_key, content_hash, time_us, record_hash, operation, actor_type, tenant_id, source, object,
        external_id, payload, source_version, request_id, actor_id, actor_name, trace, tracestate
    );
    INSERT INTO ingest.event_count AS c (tenant_id, source, object, disposition, slot, count)
    SELECT k.tenant_id, k.source, k.object, 1, (pg_backend_pid() % 256)::smallint, k.count
    FROM unnest(p_count_tenants, p_count_sources, p_count_objects, p_counts)
        AS k (tenant_id, source, object, count)
    ON CONFLICT (tenant_id, source, object, disposition, slot)
    DO UPDATE SET count = c.count + excluded.count;
    RETURN true;
END
$$;

COMMENT ON FUNCTION ingest.append_plain(
    bigint, text, bigint [], bigint [], integer [], smallint [], smallint [], text [], text [], text [], text [],
    bytea [], text [], text [], text [], text [], bytea [], text [], text [], text [], text [], bigint []
) IS
'Records a small batch of accepted events that are most probably new, at half the price of append. False, and
nothing recorded: some may be in older days. A unique violation, and nothing recorded: some are known. Then append decides.';
