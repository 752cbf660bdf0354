-- Published for whoever explains values: who is behind events.

CREATE FUNCTION ingest.event_actors(p_tenant text, p_keys uuid [])
RETURNS TABLE (event_key uuid, actor_type smallint, actor_id text, actor_name text, record_time timestamptz)
LANGUAGE sql STABLE
AS $$
    SELECT found.event_key, found.actor_type, coalesce(found.actor_id, ''), coalesce(found.actor_name, ''), found.record_time
    FROM unnest(p_keys) AS wanted (event_key)
    CROSS JOIN LATERAL ingest.find_event(p_tenant, wanted.event_key) AS found
$$;

COMMENT ON FUNCTION ingest.event_actors(text, uuid []) IS
'The actor of each of these events and when it was recorded; events whose day is dropped are left out. Some hundred keys '
'at most: each is looked for by itself.';
