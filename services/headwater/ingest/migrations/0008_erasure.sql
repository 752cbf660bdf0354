-- Erasing what the log says of a person: the payload goes, and with it every word that may name somebody. Keys, hashes, times
-- and places stay, so that the ledger knows a repeat, readers lose their place nowhere, and counts are right.

CREATE FUNCTION ingest.erased_payload() RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN convert_to('{"headwater":"erased"}', 'UTF8');

COMMENT ON FUNCTION ingest.erased_payload() IS
'What stands in place of an erased payload; a projector knows the event by it as one that says nothing.';

CREATE FUNCTION ingest.trace_records(
    p_tenant text, p_objects text [], p_sources text [], p_ids text [], p_keys uuid [], p_texts text [], p_suspects uuid []
) RETURNS TABLE (record_day date, event_key uuid, disposition smallint, is_archived boolean)
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    v_hashes integer [];
    v_day record;
BEGIN
    IF NOT ingest.sees(p_tenant) THEN
        RAISE EXCEPTION 'the call is not for the tenant %', p_tenant USING errcode = 'insufficient_privilege';
    END IF;
    -- By the hashes of records of which an event is known, days are read by their index; else as a whole.
    SELECT array_agg(found.record_hash) INTO v_hashes
    FROM unnest(p_keys) AS wanted (event_key)
    CROSS JOIN LATERAL ingest.find_event(p_tenant, wanted.event_key) AS found;
    IF coalesce(cardinality(v_hashes), 0) < cardinality(p_ids) OR cardinality(p_texts) > 0 THEN
        v_hashes := NULL;
    END IF;
    FOR v_day IN
        SELECT p.record_day, p.archive_path IS NOT NULL AS is_archived
        FROM ingest.partition AS p
        WHERE p.drop_time IS NULL
        ORDER BY p.record_day
    LOOP
        RETURN QUERY EXECUTE format(
            'SELECT $8, f.event_key, f.disposition, $9
            FROM ingest.%1$I AS f
            WHERE
                f.tenant_id = $1 AND ($2 IS NULL OR f.record_hash = ANY($2)) AND f.payload <> ingest.erased_payload()
                AND (
                    (f.object, f.source, f.external_id) IN (
                        SELECT w.object, w.source, w.external_id FROM unnest($3, $4, $5) AS w (object, source, external_id)
                    )
                    OR (
                        (f.disposition = 3 OR f.event_key = ANY($7))
                        AND EXISTS (
                            SELECT FROM unnest($6) AS t (text) WHERE position(convert_to(t.text, ''UTF8'') IN f.payload) > 0
                        )
                    )
                )', ingest.leaf_name(v_day.record_day)
        ) USING p_tenant, v_hashes, p_objects, p_sources, p_ids, p_texts, p_suspects, v_day.record_day, v_day.is_archived;
    END LOOP;
END
$$;

COMMENT ON FUNCTION ingest.trace_records(text, text [], text [], text [], uuid [], text [], uuid []) IS
'Events of records that are not erased yet, quarantined ones among them; of those in quarantine, and of p_suspects, also each '
'whose payload has one of p_texts in it. p_keys: an event of each record, null where none is known.';

CREATE FUNCTION ingest.erase_events(p_tenant text, p_keys uuid []) RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_day record;
    v_rows bigint;
    v_erased bigint := 0;
BEGIN
    IF NOT ingest.sees(p_tenant) THEN
        RAISE EXCEPTION 'the call is not for the tenant %', p_tenant USING errcode = 'insufficient_privilege';
    END IF;
    FOR v_day IN
        SELECT found.record_day, array_agg(found.event_key ORDER BY found.event_key) AS event_keys
        FROM unnest(p_keys) AS wanted (event_key)
        CROSS JOIN LATERAL ingest.find_event(p_tenant, wanted.event_key) AS found
        WHERE found.payload <> ingest.erased_payload()
        GROUP BY found.record_day
        ORDER BY found.record_day
    LOOP
        EXECUTE format(
            'UPDATE ingest.%1$I AS f
            SET
                payload = ingest.erased_payload(), external_id = ''erased:'' || f.event_key, source_version = NULL,
                request_id = NULL, actor_id = NULL, actor_name = NULL, tracestate = NULL
            WHERE f.event_key = ANY($2) AND f.tenant_id = $1', ingest.leaf_name(v_day.record_day)
        ) USING p_tenant, v_day.event_keys;
        GET DIAGNOSTICS v_rows = ROW_COUNT;
        v_erased := v_erased + v_rows;
    END LOOP;
    UPDATE ingest.quarantine AS q
    SET
        violations = '[{"field": "", "value": "", "rule": "erased", "description": "erased at the person''s request"}]',
        state = CASE q.state WHEN 1 THEN 3 ELSE q.state END,
        discard_reason = CASE q.state WHEN 1 THEN 'erased at the person''s request' ELSE q.discard_reason END,
        close_time = coalesce(q.close_time, clock_timestamp())
    WHERE q.tenant_id = p_tenant AND q.event_key = ANY(p_keys);
    RETURN v_erased;
END
$$;

COMMENT ON FUNCTION ingest.erase_events(text, uuid []) IS
'Overwrites what events say, in place; quarantined ones are discarded with it. Returns how many were not erased before. '
'Archives of days, older backups and the write-ahead log keep what they have until they expire.';
