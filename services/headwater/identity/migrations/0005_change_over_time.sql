-- What changes over time: what records said, so that later rules can read it again; the going over of a tenant's
-- records when the rules of normalisation have changed; the groups that records were in before.

CREATE INDEX member_by_version ON member (tenant_id, normalisation_version) WHERE normalisation_version IS NOT NULL;

CREATE TABLE evidence (
    tenant_id text NOT NULL,
    record_id uuid NOT NULL,
    statements text[] NOT NULL CHECK (cardinality(statements) > 0),
    PRIMARY KEY (tenant_id, record_id)
);
COMMENT ON TABLE evidence IS
'What a record said of who it is, raw, oldest first: JSON objects of its attributes, each that said something new. No foreign key: written with the member.';

CREATE FUNCTION folded(p_statements text[], p_statements_max integer) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
    v_statements text[] := p_statements;
BEGIN
    IF cardinality(v_statements) > p_statements_max THEN
        SELECT array_agg(s.statement ORDER BY s.ord) INTO v_statements
        FROM (
            SELECT
                n.statement, n.ord,
                min(n.ord) OVER same AS first_ord, max(n.ord) OVER same AS last_ord
            FROM unnest(p_statements) WITH ORDINALITY AS n (statement, ord)
            WINDOW same AS (PARTITION BY n.statement)
        ) AS s
        WHERE s.ord IN (s.first_ord, s.last_ord);
    END IF;
    WHILE cardinality(v_statements) > p_statements_max LOOP
        v_statements := (v_statements[1]::jsonb || v_statements[2]::jsonb)::text || v_statements[3:];
    END LOOP;
    RETURN v_statements;
END
$$;
COMMENT ON FUNCTION folded IS
'Of too many statements leaves out those between the first and the last telling of the same; then puts the second on top of the first: what the oldest said and a later one overwrote goes.';

CREATE FUNCTION write_evidence(p_tenant text, p_records uuid[], p_statements text[], p_statements_max integer)
RETURNS void
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $$
BEGIN
    IF cardinality(p_records) = 0 THEN
        RETURN;
    END IF;
    INSERT INTO identity.evidence AS e (tenant_id, record_id, statements)
    SELECT p_tenant, n.record_id, string_to_array(n.statements, chr(30))
    FROM unnest(p_records, p_statements) AS n (record_id, statements)
    ON CONFLICT (tenant_id, record_id) DO UPDATE SET
        statements = CASE
            WHEN cardinality(e.statements) + cardinality(excluded.statements) <= p_statements_max
                THEN e.statements || excluded.statements
            ELSE identity.folded(e.statements || excluded.statements, p_statements_max)
        END;
END
$$;
COMMENT ON FUNCTION write_evidence IS
'Keeps what records say on top of what they said before: each once, its statements with record separators between them.';

CREATE TABLE redo (
    tenant_id text NOT NULL,
    version smallint NOT NULL,
    phase text NOT NULL CHECK (phase IN ('rewrite', 'resolve', 'done')),
    after_id uuid NOT NULL,
    records bigint NOT NULL DEFAULT 0,
    seen bigint NOT NULL DEFAULT 0,
    changed bigint NOT NULL DEFAULT 0,
    merged bigint NOT NULL DEFAULT 0,
    holder text NOT NULL DEFAULT '',
    lease_time timestamptz NOT NULL,
    start_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL,
    finish_time timestamptz,
    PRIMARY KEY (tenant_id),
    CHECK ((phase = 'done') = (finish_time IS NOT NULL))
);
COMMENT ON TABLE redo IS
'How far a tenant''s records have been gone over by the rules of `version`: first all are rewritten, then all are resolved again.';
COMMENT ON COLUMN redo.after_id IS 'The last record of the phase that is through: records go in the order of their ids.';
COMMENT ON COLUMN redo.lease_time IS 'Until then nobody but the holder goes on.';

CREATE FUNCTION rewrite_records(
    p_tenant text, p_version smallint, p_same uuid[],
    p_records uuid[], p_parts bytea[], p_keys text[], p_strong smallint[], p_exclusive smallint[], p_digests bigint[],
    p_lost bigint[], p_losers uuid[], p_hashes bigint[], p_keyed uuid[],
    p_given_up bigint[], p_held bigint[], p_holders uuid[]
) RETURNS void
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_mergejoin = off
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_memoize = off
AS $$
DECLARE
    v_crowded bigint[];
BEGIN
    UPDATE identity.member AS m
    SET normalisation_version = p_version
    WHERE m.tenant_id = p_tenant AND m.record_id = ANY(p_same);
    UPDATE identity.member AS m
    SET
        parts = n.parts,
        keys = string_to_array(n.keys, ' ')::bigint[],
        strong = n.strong,
        exclusive = n.exclusive,
        digest = n.digest,
        normalisation_version = p_version
    FROM unnest(p_records, p_parts, p_keys, p_strong, p_exclusive, p_digests)
        AS n (record_id, parts, keys, strong, exclusive, digest)
    WHERE m.tenant_id = p_tenant AND m.record_id = ANY(p_records) AND m.record_id = n.record_id;
    DELETE FROM identity.record_key AS k
    USING unnest(p_lost, p_losers) AS n (hash, record_id)
    WHERE k.tenant_id = p_tenant AND k.hash = ANY(p_lost) AND k.hash = n.hash AND k.record_id = n.record_id;
    SELECT array_agg(u.hash) INTO v_crowded
    FROM identity.key_use AS u
    WHERE u.tenant_id = p_tenant AND u.hash = ANY(p_hashes) AND u.crowded;
    INSERT INTO identity.record_key (tenant_id, hash, record_id)
    SELECT p_tenant, n.hash, n.record_id
    FROM unnest(p_hashes, p_keyed) AS n (hash, record_id)
    WHERE v_crowded IS NULL OR n.hash <> ALL(v_crowded)
    ON CONFLICT DO NOTHING;
    DELETE FROM identity.exclusive_key AS x
    WHERE
        x.tenant_id = p_tenant AND x.hash = ANY(p_given_up)
        AND NOT EXISTS (
            SELECT FROM identity.member AS m
            WHERE m.tenant_id = p_tenant AND m.entity_id = x.entity_id AND x.hash = ANY(m.keys[1:m.exclusive])
        );
    INSERT INTO identity.exclusive_key (tenant_id, hash, entity_id)
    SELECT p_tenant, n.hash, n.entity_id
    FROM unnest(p_held, p_holders) AS n (hash, entity_id)
    ON CONFLICT DO NOTHING;
END
$$;
COMMENT ON FUNCTION rewrite_records IS
'Writes what records say by later rules: parts, keys, who is found by which key, who holds exclusive ones. A crowded key stays so.';

CREATE TABLE former_group (
    tenant_id text NOT NULL,
    group_id uuid NOT NULL,
    record_id uuid NOT NULL,
    PRIMARY KEY (tenant_id, group_id, record_id)
);
COMMENT ON TABLE former_group IS
'A record that was in a group and is not any more, or was once: whoever holds the id of that group finds where its records are now, in one step.';

CREATE FUNCTION keep_former_group() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO identity.former_group (tenant_id, group_id, record_id)
    VALUES (old.tenant_id, old.group_id, old.record_id)
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
CREATE TRIGGER former_group AFTER UPDATE OF group_id ON member
FOR EACH ROW WHEN (old.group_id IS DISTINCT FROM new.group_id)
EXECUTE FUNCTION keep_former_group();
