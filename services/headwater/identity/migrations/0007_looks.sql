-- The looks of resolving with fewer passes over what they read: each member once, the keys of only those records whose
-- common keys are in question, no edge that leads out of the neighbourhood. The holders of all keys are read in one
-- scan; where some have very many, as while records are gone over by later rules, each key's are read and bounded by
-- themselves. So they are before PostgreSQL 17, whose planner, on a table never analysed, would read the whole tenant.

CREATE OR REPLACE FUNCTION look_up(
    p_tenant text, p_records uuid[], p_hashes bigint[], p_rows_max integer,
    OUT known_records text[], OUT known_entities uuid[], OUT known_groups uuid[], OUT known_parts bytea[],
    OUT known_keys text[], OUT known_strong smallint[], OUT known_exclusive smallint[],
    OUT use_hashes bigint[], OUT use_values text[], OUT use_generic boolean[], OUT use_crowded boolean[],
    OUT generic_values text[],
    OUT hit_hashes bigint[], OUT hit_records text[],
    OUT found_records text[], OUT found_parts bytea[],
    OUT revision bigint
)
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_memoize = off
AS $$
DECLARE
    v_hashes bigint[] := p_hashes;
    v_holders uuid[];
    v_rows_max integer;
    v_strong text[];
BEGIN
    revision := identity.revision(p_tenant);
    SELECT
        array_agg(m.record_id::text), array_agg(m.entity_id), array_agg(m.group_id), array_agg(m.parts),
        array_agg(array_to_string(m.keys, ' ')), array_agg(m.strong), array_agg(m.exclusive)
    INTO known_records, known_entities, known_groups, known_parts, known_keys, known_strong, known_exclusive
    FROM identity.member AS m
    WHERE m.tenant_id = p_tenant AND m.record_id = ANY(p_records);
    IF known_records IS NOT NULL THEN
        SELECT array_agg(DISTINCT h.hash) INTO v_hashes
        FROM (
            SELECT unnest(p_hashes) AS hash
            UNION ALL
            SELECT unnest(string_to_array(array_to_string(array_remove(known_keys, ''), ' '), ' ')::bigint[])
        ) AS h;
    END IF;
    SELECT array_agg(u.hash), array_agg(u.value), array_agg(u.generic), array_agg(u.crowded)
    INTO use_hashes, use_values, use_generic, use_crowded
    FROM identity.key_use AS u
    WHERE u.tenant_id = p_tenant AND u.hash = ANY(v_hashes);
    v_rows_max := CASE
        WHEN current_setting('server_version_num')::integer < 170000 THEN 0
        ELSE p_rows_max * coalesce(cardinality(v_hashes), 0)
    END;
    SELECT array_agg(r.hash), array_agg(r.record_id), array_agg(r.record_id::text)
    INTO hit_hashes, v_holders, hit_records
    FROM (
        SELECT k.hash, k.record_id
        FROM identity.record_key AS k
        WHERE k.tenant_id = p_tenant AND k.hash = ANY(v_hashes)
        LIMIT v_rows_max
    ) AS r;
    IF coalesce(cardinality(v_holders), 0) >= v_rows_max THEN
        SELECT array_agg(w.hash), array_agg(r.record_id), array_agg(r.record_id::text)
        INTO hit_hashes, v_holders, hit_records
        FROM unnest(v_hashes) AS w (hash)
        CROSS JOIN LATERAL (
            SELECT k.record_id
            FROM identity.record_key AS k
            WHERE k.tenant_id = p_tenant AND k.hash = w.hash
            ORDER BY k.record_id
            LIMIT p_rows_max
        ) AS r;
    END IF;
    SELECT
        array_agg(m.record_id::text), array_agg(m.parts),
        array_agg(array_to_string(m.keys[1:m.strong], ' ')) FILTER (WHERE m.strong > 0)
    INTO found_records, found_parts, v_strong
    FROM identity.member AS m
    WHERE m.tenant_id = p_tenant AND m.record_id = ANY(v_holders);
    SELECT array_agg(u.value) INTO generic_values
    FROM identity.key_use AS u
    WHERE
        u.tenant_id = p_tenant AND u.generic
        AND u.hash = ANY(string_to_array(array_to_string(v_strong, ' '), ' ')::bigint[]);
END
$$;

CREATE OR REPLACE FUNCTION load_near(
    p_tenant text, p_seeds uuid[], p_turned uuid[], p_bits_min real, p_near_max integer, p_keys boolean,
    OUT near_records text[], OUT near_sources text[], OUT near_objects text[], OUT near_external_ids text[],
    OUT near_entities uuid[], OUT near_groups uuid[], OUT near_parts bytea[], OUT near_keys text[],
    OUT age_entities uuid[], OUT ages bigint[],
    OUT edge_lows text[], OUT edge_highs text[], OUT edge_bits real[], OUT edge_weights integer[],
    OUT generic_values text[], OUT crowded_hashes bigint[],
    OUT apart_lows text[], OUT apart_highs text[]
)
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_memoize = off
SET enable_sort = off
AS $$
DECLARE
    v_near uuid[];
    v_frontier uuid[];
    v_strong text[];
BEGIN
    v_near := p_seeds;
    IF cardinality(p_turned) > 0 THEN
        SELECT array_agg(DISTINCT s.record_id) INTO v_near
        FROM (
            SELECT unnest(p_seeds) AS record_id
            UNION ALL
            SELECT unnest(p_turned)
            UNION ALL
            SELECT e.high_id FROM identity.edge AS e WHERE e.tenant_id = p_tenant AND e.low_id = ANY(p_turned)
            UNION ALL
            SELECT l.low_id
            FROM unnest(p_turned) AS t (record_id)
            CROSS JOIN LATERAL (
                SELECT e.low_id FROM identity.edge AS e
                WHERE e.tenant_id = p_tenant AND e.high_id = t.record_id
                ORDER BY e.bits OFFSET 0
            ) AS l
        ) AS s;
    END IF;
    v_frontier := v_near;
    WHILE cardinality(v_frontier) > 0 AND cardinality(v_near) < p_near_max LOOP
        SELECT array_agg(n.record_id) INTO v_frontier
        FROM (
            SELECT g.record_id
            FROM (
                SELECT DISTINCT f.group_id FROM identity.member AS f
                WHERE f.tenant_id = p_tenant AND f.record_id = ANY(v_frontier)
            ) AS w
            CROSS JOIN LATERAL (
                SELECT m.record_id FROM identity.member AS m
                WHERE m.tenant_id = p_tenant AND m.group_id = w.group_id
                ORDER BY m.seq OFFSET 0
            ) AS g
            UNION
            SELECT e.high_id
            FROM identity.edge AS e
            WHERE e.tenant_id = p_tenant AND e.low_id = ANY(v_frontier) AND e.bits >= p_bits_min
            UNION
            SELECT l.low_id
            FROM unnest(v_frontier) AS f (record_id)
            CROSS JOIN LATERAL (
                SELECT e.low_id FROM identity.edge AS e
                WHERE e.tenant_id = p_tenant AND e.high_id = f.record_id AND e.bits >= p_bits_min
                ORDER BY e.bits OFFSET 0
            ) AS l
            EXCEPT
            SELECT unnest(v_near)
        ) AS n;
        v_near := v_near || v_frontier;
    END LOOP;
    SELECT
        array_agg(m.record_id::text), array_agg(m.source), array_agg(m.object), array_agg(m.external_id),
        array_agg(m.entity_id), array_agg(m.group_id), array_agg(m.parts),
        array_agg(CASE WHEN p_keys AND m.record_id = ANY(p_turned) THEN array_to_string(m.keys, ' ') ELSE '' END),
        array_agg(array_to_string(m.keys[1:m.strong], ' ')) FILTER (WHERE m.strong > 0)
    INTO
        near_records, near_sources, near_objects, near_external_ids, near_entities, near_groups, near_parts,
        near_keys, v_strong
    FROM identity.member AS m
    WHERE m.tenant_id = p_tenant AND m.record_id = ANY(v_near);
    SELECT array_agg(e.entity_id), array_agg(e.seq) INTO age_entities, ages
    FROM identity.entity AS e
    WHERE e.tenant_id = p_tenant AND e.entity_id = ANY(near_entities);
    SELECT array_agg(e.low_id::text), array_agg(e.high_id::text), array_agg(e.bits), array_agg(e.weights)
    INTO edge_lows, edge_highs, edge_bits, edge_weights
    FROM identity.edge AS e
    INNER JOIN unnest(v_near) AS n (record_id) ON e.high_id = n.record_id
    WHERE e.tenant_id = p_tenant AND e.low_id = ANY(v_near);
    SELECT
        array_agg(u.value) FILTER (WHERE u.generic), array_agg(u.hash) FILTER (WHERE u.crowded)
    INTO generic_values, crowded_hashes
    FROM identity.key_use AS u
    WHERE
        u.tenant_id = p_tenant
        AND u.hash = ANY(
            string_to_array(array_to_string(v_strong || array_remove(near_keys, ''), ' '), ' ')::bigint[]
        );
    SELECT array_agg(t.low_id::text), array_agg(t.high_id::text) INTO apart_lows, apart_highs
    FROM identity.told_apart AS t
    WHERE t.tenant_id = p_tenant AND t.low_id = ANY(v_near) AND t.retract_time IS NULL;
END
$$;
