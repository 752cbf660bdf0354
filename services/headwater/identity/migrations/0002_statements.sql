-- The statements of resolving as functions: one call to look up, one to load a neighbourhood, one to write.
--
-- Plans are kept, those of the foreign keys too: planning cost more than running. So there is one plan for any size
-- of table and batch: rows are looked up by the array of their keys, and joined to what is said of them by hash.
-- Results are arrays, one row in all: a row costs the driver 3-5 us. A look-up by a second index asks for an order that
-- only that index has, and sorting is off: on a table never analysed the planner, left to itself, took the primary key,
-- that is all edges of the tenant, at each look.

CREATE FUNCTION revision(p_tenant text) RETURNS bigint
LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_sort = off
AS $$
BEGIN
    RETURN coalesce(
        (
            SELECT c.seq FROM identity.change AS c
            WHERE c.tenant_id = p_tenant AND c.seq > 0
            ORDER BY c.seq DESC
            LIMIT 1
        ),
        0
    );
END
$$;
COMMENT ON FUNCTION revision IS 'The last merge or split of a tenant, by its place among them; 0 before the first.';

CREATE FUNCTION look_up(
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
            SELECT unnest(m.keys)
            FROM identity.member AS m
            WHERE m.tenant_id = p_tenant AND m.record_id = ANY(p_records)
        ) AS h;
    END IF;
    SELECT array_agg(u.hash), array_agg(u.value), array_agg(u.generic), array_agg(u.crowded)
    INTO use_hashes, use_values, use_generic, use_crowded
    FROM identity.key_use AS u
    WHERE u.tenant_id = p_tenant AND u.hash = ANY(v_hashes);
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
    SELECT array_agg(m.record_id::text), array_agg(m.parts)
    INTO found_records, found_parts
    FROM identity.member AS m
    WHERE m.tenant_id = p_tenant AND m.record_id = ANY(v_holders);
    SELECT array_agg(u.value) INTO generic_values
    FROM identity.key_use AS u
    WHERE
        u.tenant_id = p_tenant AND u.generic
        AND u.hash = ANY(ARRAY(
            SELECT DISTINCT unnest(m.keys[1:m.strong]) FROM identity.member AS m
            WHERE m.tenant_id = p_tenant AND m.record_id = ANY(v_holders)
        ));
END
$$;
COMMENT ON FUNCTION look_up IS
'What is known of records, and who else has their keys or those given: holders by key, the parts of each holder, and what '
'is generic among their values.';

CREATE FUNCTION load_near(
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
        array_agg(CASE WHEN p_keys THEN array_to_string(m.keys, ' ') ELSE '' END)
    INTO
        near_records, near_sources, near_objects, near_external_ids, near_entities, near_groups, near_parts,
        near_keys
    FROM identity.member AS m
    WHERE m.tenant_id = p_tenant AND m.record_id = ANY(v_near);
    SELECT array_agg(e.entity_id), array_agg(e.seq) INTO age_entities, ages
    FROM identity.entity AS e
    WHERE e.tenant_id = p_tenant AND e.entity_id = ANY(near_entities);
    SELECT array_agg(e.low_id::text), array_agg(e.high_id::text), array_agg(e.bits), array_agg(e.weights)
    INTO edge_lows, edge_highs, edge_bits, edge_weights
    FROM identity.edge AS e
    WHERE e.tenant_id = p_tenant AND e.low_id = ANY(v_near);
    SELECT
        array_agg(u.value) FILTER (WHERE u.generic), array_agg(u.hash) FILTER (WHERE u.crowded)
    INTO generic_values, crowded_hashes
    FROM identity.key_use AS u
    WHERE
        u.tenant_id = p_tenant
        AND u.hash = ANY(ARRAY(
            SELECT unnest(CASE WHEN p_keys THEN m.keys ELSE m.keys[1:m.strong] END)
            FROM identity.member AS m
            WHERE m.tenant_id = p_tenant AND m.record_id = ANY(v_near)
        ));
    SELECT array_agg(t.low_id::text), array_agg(t.high_id::text) INTO apart_lows, apart_highs
    FROM identity.told_apart AS t
    WHERE t.tenant_id = p_tenant AND t.low_id = ANY(v_near) AND t.retract_time IS NULL;
END
$$;
COMMENT ON FUNCTION load_near IS
'The records whose groups may change: all that linking edges connect to the seeds, with their groups whole; of those '
'turned, all that any edge connects. With them their edges, what is generic among their values, and who was told apart.';

CREATE FUNCTION write_plan(
    p_tenant text, p_now timestamptz, p_version smallint,
    p_entities uuid[], p_entity_objects text[],
    p_members uuid[], p_sources text[], p_objects text[], p_external_ids text[], p_homes uuid[], p_groups uuid[],
    p_rules text[], p_event_keys uuid[], p_parts bytea[], p_keys text[], p_strong smallint[],
    p_exclusive smallint[], p_digests bigint[],
    p_known uuid[], p_known_parts bytea[], p_known_keys text[], p_known_strong smallint[],
    p_known_exclusive smallint[], p_known_digests bigint[],
    p_moved uuid[], p_moved_groups uuid[],
    p_hashes bigint[], p_keyed uuid[], p_barred bigint[],
    p_lows uuid[], p_highs uuid[], p_bits real[],
    p_gone_lows uuid[], p_gone_highs uuid[],
    p_uses bigint[], p_use_values text[], p_use_generic boolean[], p_use_crowded boolean[],
    p_held bigint[], p_holders uuid[],
    p_pair_lows uuid[], p_pair_highs uuid[], p_pair_objects text[], p_pair_rules text[], p_pair_blocks text[],
    p_pair_bits real[], p_pair_questions text[], p_pair_records uuid[], p_pair_others uuid[],
    p_edge_weights integer[], p_pair_weights integer[]
) RETURNS void
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_nestloop = off
SET enable_mergejoin = off
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_memoize = off
AS $$
DECLARE
    v_tied uuid[];
    v_asked text[];
BEGIN
    IF cardinality(p_entities) > 0 THEN
        INSERT INTO identity.entity (tenant_id, entity_id, object, create_time)
        SELECT p_tenant, f.entity_id, f.object, p_now
        FROM unnest(p_entities, p_entity_objects) WITH ORDINALITY AS f (entity_id, object, ord)
        ORDER BY f.ord;
    END IF;
    IF cardinality(p_known) > 0 THEN
        UPDATE identity.member AS m
        SET
            parts = n.parts,
            keys = string_to_array(n.keys, ' ')::bigint[],
            strong = n.strong,
            exclusive = n.exclusive,
            digest = n.digest,
            normalisation_version = least(m.normalisation_version, p_version)
        FROM unnest(
            p_known, p_known_parts, p_known_keys, p_known_strong, p_known_exclusive, p_known_digests
        ) AS n (record_id, parts, keys, strong, exclusive, digest)
        WHERE m.tenant_id = p_tenant AND m.record_id = ANY(p_known) AND m.record_id = n.record_id;
    END IF;
    IF cardinality(p_moved) > 0 THEN
        UPDATE identity.member AS m
        SET group_id = n.group_id
        FROM unnest(p_moved, p_moved_groups) AS n (record_id, group_id)
        WHERE m.tenant_id = p_tenant AND m.record_id = ANY(p_moved) AND m.record_id = n.record_id;
    END IF;
    IF cardinality(p_members) > 0 THEN
        WITH entered AS (
            INSERT INTO identity.member (
                tenant_id, resolve_time, normalisation_version, record_id, source, object, external_id, entity_id,
                group_id, rule, event_key, parts, keys, strong, exclusive, digest
            )
            SELECT
                p_tenant, p_now, p_version, n.record_id, n.source, n.object, n.external_id, n.entity_id,
                n.group_id, n.rule, n.event_key, n.parts, string_to_array(n.keys, ' ')::bigint[], n.strong,
                n.exclusive, n.digest
            FROM unnest(
                p_members, p_sources, p_objects, p_external_ids, p_homes, p_groups, p_rules, p_event_keys, p_parts,
                p_keys, p_strong, p_exclusive, p_digests
            ) WITH ORDINALITY AS n (
                record_id, source, object, external_id, entity_id, group_id, rule, event_key, parts,
                keys, strong, exclusive, digest, ord
            )
            ORDER BY n.ord
            RETURNING record_id, keys
        )

        INSERT INTO identity.record_key (tenant_id, hash, record_id)
        SELECT p_tenant, k.hash, e.record_id
        FROM entered AS e
        CROSS JOIN LATERAL unnest(e.keys) AS k (hash)
        WHERE k.hash <> ALL(p_barred)
        ORDER BY k.hash;
    END IF;
    IF cardinality(p_uses) > 0 THEN
        INSERT INTO identity.key_use AS u (tenant_id, hash, value, generic, crowded)
        SELECT p_tenant, n.hash, n.value, n.generic, n.crowded
        FROM unnest(p_uses, p_use_values, p_use_generic, p_use_crowded) AS n (hash, value, generic, crowded)
        ON CONFLICT (tenant_id, hash) DO UPDATE SET
            value = excluded.value,
            generic = u.generic OR excluded.generic,
            crowded = u.crowded OR excluded.crowded;
        DELETE FROM identity.record_key AS k
        WHERE
            k.tenant_id = p_tenant
            AND k.hash = ANY(ARRAY(
                SELECT n.hash FROM unnest(p_uses, p_use_crowded) AS n (hash, crowded) WHERE n.crowded
            ));
    END IF;
    IF cardinality(p_hashes) > 0 THEN
        INSERT INTO identity.record_key (tenant_id, hash, record_id)
        SELECT p_tenant, n.hash, n.record_id
        FROM unnest(p_hashes, p_keyed) AS n (hash, record_id);
    END IF;
    IF cardinality(p_gone_lows) > 0 THEN
        DELETE FROM identity.edge AS e
        USING unnest(p_gone_lows, p_gone_highs) AS n (low_id, high_id)
        WHERE
            e.tenant_id = p_tenant AND e.low_id = ANY(p_gone_lows)
            AND e.low_id = n.low_id AND e.high_id = n.high_id;
    END IF;
    IF cardinality(p_lows) > 0 THEN
        INSERT INTO identity.edge (tenant_id, low_id, high_id, bits, weights)
        SELECT p_tenant, n.low_id, n.high_id, n.bits, n.weights
        FROM unnest(p_lows, p_highs, p_bits, p_edge_weights) AS n (low_id, high_id, bits, weights)
        ON CONFLICT (tenant_id, low_id, high_id) DO UPDATE SET bits = excluded.bits, weights = excluded.weights;
    END IF;
    IF cardinality(p_held) > 0 THEN
        INSERT INTO identity.exclusive_key (tenant_id, hash, entity_id)
        SELECT p_tenant, n.hash, n.entity_id
        FROM unnest(p_held, p_holders) AS n (hash, entity_id)
        ON CONFLICT DO NOTHING;
    END IF;
    IF cardinality(p_pair_lows) > 0 THEN
        SELECT array_agg(t.record_id) INTO v_tied
        FROM (
            SELECT unnest(ARRAY[c.record_id, c.other_record_id]) AS record_id
            FROM identity.merge_candidate AS c
            WHERE c.tenant_id = p_tenant AND c.low_id = ANY(p_pair_lows)
        ) AS t;
    END IF;
    IF cardinality(v_tied) > 0 THEN
        SELECT array_agg(c.low_id::text || c.high_id::text) INTO v_asked
        FROM identity.merge_candidate AS c
        INNER JOIN identity.member AS o
            ON o.tenant_id = p_tenant AND o.record_id = ANY(v_tied) AND o.record_id = c.record_id
        INNER JOIN identity.member AS t
            ON t.tenant_id = p_tenant AND t.record_id = ANY(v_tied) AND t.record_id = c.other_record_id
        WHERE
            c.tenant_id = p_tenant AND c.low_id = ANY(p_pair_lows)
            AND (
                c.question = 'split'
                OR (
                    least(o.entity_id, t.entity_id) = c.low_id AND greatest(o.entity_id, t.entity_id) = c.high_id
                )
            );
    END IF;
    IF cardinality(p_pair_lows) > 0 THEN
        INSERT INTO identity.merge_candidate (
            tenant_id, create_time, low_id, high_id, object, rule, blocked_by, bits, question, record_id,
            other_record_id, weights
        )
        SELECT
            p_tenant, p_now, n.low_id, n.high_id, n.object, n.rule, n.blocked_by, n.bits, n.question, n.record_id,
            n.other_record_id, n.weights
        FROM unnest(
            p_pair_lows, p_pair_highs, p_pair_objects, p_pair_rules, p_pair_blocks, p_pair_bits, p_pair_questions,
            p_pair_records, p_pair_others, p_pair_weights
        ) WITH ORDINALITY AS n (
            low_id, high_id, object, rule, blocked_by, bits, question, record_id, other_record_id, weights, ord
        )
        WHERE v_asked IS NULL OR n.low_id::text || n.high_id::text <> ALL(v_asked)
        ORDER BY n.ord
        ON CONFLICT DO NOTHING;
    END IF;
END
$$;
COMMENT ON FUNCTION write_plan IS
'Writes what a batch comes to: entities, what known records newly say, groups, members, keys, edges, who holds exclusive '
'keys, pairs to review. A holder stays as it is, and a pair that its records still tie.';

CREATE FUNCTION write_merge(
    p_tenant text, p_merge uuid, p_object text, p_winner uuid, p_loser uuid, p_moved integer, p_now timestamptz,
    p_actor_type smallint, p_actor_id text, p_actor_name text, p_reason text
) RETURNS void
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $$
BEGIN
    INSERT INTO identity.merge (
        tenant_id, merge_id, object, winner_id, loser_id, moved_count, merge_time,
        actor_type, actor_id, actor_name, reason
    )
    VALUES (
        p_tenant, p_merge, p_object, p_winner, p_loser, p_moved, p_now, p_actor_type, p_actor_id, p_actor_name,
        p_reason
    );
    UPDATE identity.told_apart AS t
    SET retract_time = p_now
    WHERE
        t.tenant_id = p_tenant AND t.retract_time IS NULL
        AND t.low_id = ANY(ARRAY(
            SELECT m.record_id FROM identity.member AS m
            WHERE m.tenant_id = p_tenant AND m.entity_id = ANY(ARRAY[p_winner, p_loser])
        ))
        AND t.high_id = ANY(ARRAY(
            SELECT m.record_id FROM identity.member AS m
            WHERE m.tenant_id = p_tenant AND m.entity_id = ANY(ARRAY[p_winner, p_loser])
        ));
    INSERT INTO identity.merge_member (tenant_id, merge_id, record_id)
    SELECT m.tenant_id, p_merge, m.record_id
    FROM identity.member AS m
    WHERE m.tenant_id = p_tenant AND m.entity_id = p_loser;
    UPDATE identity.exclusive_key AS x
    SET entity_id = p_winner
    WHERE
        x.tenant_id = p_tenant AND x.entity_id = p_loser
        AND x.hash = ANY(ARRAY(
            SELECT unnest(m.keys[1:m.exclusive]) FROM identity.member AS m
            WHERE m.tenant_id = p_tenant AND m.entity_id = p_loser
        ));
    UPDATE identity.member AS m
    SET entity_id = p_winner
    WHERE m.tenant_id = p_tenant AND m.entity_id = p_loser;
    UPDATE identity.entity AS e
    SET merged_into = p_winner
    WHERE e.tenant_id = p_tenant AND e.entity_id = p_loser;
END
$$;
COMMENT ON FUNCTION write_merge IS
'Moves every record of the loser to the winner, with the exclusive keys they hold, and writes down what was moved.';

CREATE FUNCTION write_split(
    p_tenant text, p_merge uuid, p_seq bigint, p_records uuid[], p_winner uuid, p_loser uuid, p_now timestamptz,
    p_actor_type smallint, p_actor_id text, p_actor_name text, p_pairs_max integer
) RETURNS void
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $$
DECLARE
    v_from uuid[];
    v_stay uuid[];
BEGIN
    SELECT array_agg(DISTINCT m.entity_id) INTO v_from
    FROM identity.member AS m
    WHERE m.tenant_id = p_tenant AND m.record_id = ANY(p_records);
    v_from := v_from || p_winner;
    UPDATE identity.member AS m
    SET entity_id = p_loser
    WHERE m.tenant_id = p_tenant AND m.record_id = ANY(p_records);
    UPDATE identity.exclusive_key AS x
    SET entity_id = p_loser
    WHERE
        x.tenant_id = p_tenant AND x.entity_id = ANY(v_from)
        AND x.hash = ANY(ARRAY(
            SELECT unnest(m.keys[1:m.exclusive]) FROM identity.member AS m
            WHERE m.tenant_id = p_tenant AND m.record_id = ANY(p_records)
            EXCEPT
            SELECT unnest(m.keys[1:m.exclusive]) FROM identity.member AS m
            WHERE m.tenant_id = p_tenant AND m.entity_id = ANY(v_from)
        ));
    UPDATE identity.merge_member AS mm
    SET released = TRUE
    FROM identity.merge AS g
    WHERE
        mm.tenant_id = p_tenant AND mm.record_id = ANY(p_records) AND NOT mm.released
        AND g.tenant_id = mm.tenant_id AND g.merge_id = mm.merge_id AND g.seq >= p_seq;
    UPDATE identity.entity AS e
    SET merged_into = NULL
    WHERE e.tenant_id = p_tenant AND e.entity_id = p_loser;
    UPDATE identity.merge AS g
    SET
        split_time = p_now,
        split_moved_count = cardinality(p_records),
        split_actor_type = p_actor_type,
        split_actor_id = p_actor_id,
        split_actor_name = p_actor_name
    WHERE g.tenant_id = p_tenant AND g.merge_id = p_merge;
    UPDATE identity.merge_candidate AS c
    SET close_time = p_now
    WHERE
        c.tenant_id = p_tenant AND c.close_time IS NULL
        AND c.low_id = least(p_winner, p_loser) AND c.high_id = greatest(p_winner, p_loser);
    SELECT array_agg(m.record_id ORDER BY m.seq) INTO v_stay
    FROM identity.member AS m
    WHERE m.tenant_id = p_tenant AND m.entity_id = ANY(v_from);
    INSERT INTO identity.told_apart (tenant_id, low_id, high_id, merge_id, create_time)
    SELECT p_tenant, least(s.stays, g.goes), greatest(s.stays, g.goes), p_merge, p_now
    FROM unnest(v_stay) WITH ORDINALITY AS s (stays, ord)
    INNER JOIN unnest(p_records) WITH ORDINALITY AS g (goes, ord) ON s.ord = 1 OR g.ord = 1
    ORDER BY s.ord + g.ord
    LIMIT p_pairs_max
    ON CONFLICT DO NOTHING;
END
$$;
COMMENT ON FUNCTION write_split IS
'Gives the records that a merge moved back to its loser, with the exclusive keys that only they have, and tells them apart '
'from now on from those they leave, which a later merge may have moved on: each side''s first record from all of the other''s.';
