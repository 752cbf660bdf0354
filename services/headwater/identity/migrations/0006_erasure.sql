-- Erasing records: what they were compared on, their names and keys. That there was a record, and where it was, stays.

CREATE FUNCTION sees(p_tenant text) RETURNS boolean
LANGUAGE sql STABLE
RETURN
    coalesce(nullif(pg_catalog.current_setting('role'), 'none'), session_user) !~ '_tenant$'
    OR coalesce(pg_catalog.current_setting('headwater.tenant', true), '') = p_tenant;
COMMENT ON FUNCTION sees IS
'Whether who is connected may see a tenant''s rows: the role that it took on, not the owner of the function that asks.';

CREATE FUNCTION erase_records(
    p_tenant text, p_records uuid[], p_dry boolean, p_nothing bytea, OUT members bigint, OUT statements bigint,
    OUT keys bigint, OUT notes bigint
)
LANGUAGE plpgsql
AS $$
DECLARE
    v_keys bigint[];
    v_merges uuid[];
BEGIN
    IF NOT identity.sees(p_tenant) THEN
        RAISE EXCEPTION 'the call is not for the tenant %', p_tenant USING errcode = 'insufficient_privilege';
    END IF;
    SELECT count(*), coalesce(sum(cardinality(m.keys)), 0) INTO members, keys
    FROM identity.member AS m
    WHERE m.tenant_id = p_tenant AND m.record_id = ANY(p_records) AND NOT starts_with(m.external_id, 'erased:');
    SELECT coalesce(sum(cardinality(e.statements)), 0) INTO statements
    FROM identity.evidence AS e
    WHERE e.tenant_id = p_tenant AND e.record_id = ANY(p_records) AND e.statements <> ARRAY['{}'];
    SELECT array_agg(DISTINCT k) INTO v_keys
    FROM identity.member AS m CROSS JOIN LATERAL unnest(m.keys) AS k
    WHERE m.tenant_id = p_tenant AND m.record_id = ANY(p_records);
    SELECT array_agg(DISTINCT mm.merge_id) INTO v_merges
    FROM identity.merge_member AS mm
    WHERE mm.tenant_id = p_tenant AND mm.record_id = ANY(p_records);
    SELECT count(*) INTO notes
    FROM identity.change AS c
    WHERE c.tenant_id = p_tenant AND c.merge_id = ANY(v_merges) AND c.sent_time IS NOT NULL AND c.payload <> '';
    IF p_dry THEN
        RETURN;
    END IF;
    DELETE FROM identity.record_key AS r WHERE r.tenant_id = p_tenant AND r.record_id = ANY(p_records);
    DELETE FROM identity.key_use AS u
    WHERE
        u.tenant_id = p_tenant AND u.hash = ANY(v_keys) AND NOT u.crowded
        AND NOT EXISTS (SELECT FROM identity.record_key AS r WHERE r.tenant_id = p_tenant AND r.hash = u.hash);
    DELETE FROM identity.exclusive_key AS x
    USING identity.member AS m
    WHERE
        m.tenant_id = p_tenant AND m.record_id = ANY(p_records)
        AND x.tenant_id = p_tenant AND x.hash = ANY(m.keys) AND x.entity_id = m.entity_id;
    DELETE FROM identity.review_key AS k WHERE k.tenant_id = p_tenant AND k.hash = ANY(v_keys);
    UPDATE identity.evidence AS e SET statements = ARRAY['{}']
    WHERE e.tenant_id = p_tenant AND e.record_id = ANY(p_records);
    UPDATE identity.merge_candidate AS c SET close_time = coalesce(c.close_time, clock_timestamp())
    WHERE c.tenant_id = p_tenant AND (c.record_id = ANY(p_records) OR c.other_record_id = ANY(p_records));
    UPDATE identity.merge AS m SET reason = 'erased'
    WHERE m.tenant_id = p_tenant AND m.merge_id = ANY(v_merges) AND m.reason <> '';
    UPDATE identity.review_action AS a SET reason = 'erased'
    WHERE a.tenant_id = p_tenant AND a.merge_id = ANY(v_merges) AND a.reason <> '';
    UPDATE identity.change AS c SET payload = ''
    WHERE c.tenant_id = p_tenant AND c.merge_id = ANY(v_merges) AND c.sent_time IS NOT NULL;
    UPDATE identity.member AS m
    SET external_id = 'erased:' || m.record_id, parts = CASE WHEN m.parts = '' THEN m.parts ELSE p_nothing END, keys = '{}', strong = 0, exclusive = 0, rule = '', digest = 0
    WHERE m.tenant_id = p_tenant AND m.record_id = ANY(p_records);
END
$$;
COMMENT ON FUNCTION erase_records IS
'Empties records of all that was said of them, and of their names; they stay members, by id alone. Idempotent. Dry: counts only.';
