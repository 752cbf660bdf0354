-- Published for the quality report: how much of what arrived breaks the contract.

CREATE FUNCTION ingest.quarantine_counts(p_tenant text, p_since timestamptz)
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
    WHERE q.tenant_id = p_tenant AND (q.state = 1 OR q.open_time >= p_since)
    GROUP BY q.source, q.object, v.rule, v.field
$$;

COMMENT ON FUNCTION ingest.quarantine_counts(text, timestamptz) IS
'Quarantined events by source, object, broken rule and field: those that still wait, and those that came since a time. An '
'event counts once for each rule and field that it breaks.';
