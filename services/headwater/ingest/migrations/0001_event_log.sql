-- The event log, its quarantine, and the functions through which other services may read it.
--
-- One row of `event` is at once the fact, its place in the log and the entry of the idempotency
-- ledger: key, hash of the content, outcome. Rows are inserted and never changed or deleted.
--
-- Position in the log: (xid, seq). `seq` alone is handed out before the commit, so that a reader
-- which remembers the largest seq would skip rows of transactions that commit late. Nothing below
-- the oldest transaction still running (`pg_snapshot_xmin`) can appear any more, so a reader takes
-- rows below it, in the order of (xid, seq), and misses none.

CREATE TABLE ingest.event (
    tenant_id text COLLATE "C" NOT NULL CHECK (length(tenant_id) BETWEEN 1 AND 63),
    event_key uuid NOT NULL,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    -- Hash of (tenant, source, object, external id); its low four bits are the shard.
    record_hash integer NOT NULL,
    shard smallint NOT NULL CHECK (shard = (record_hash & 15)),
    -- Numbers of the wire contract's Disposition: 1 accepted, 3 quarantined.
    disposition smallint NOT NULL CHECK (disposition IN (1, 3)),
    -- Numbers of the wire contract's Operation: 1 upsert, 2 delete.
    operation smallint NOT NULL CHECK (operation IN (1, 2)),
    -- Numbers of the wire contract's ActorType; 0 not said.
    actor_type smallint NOT NULL DEFAULT 0 CHECK (actor_type BETWEEN 0 AND 3),
    source text COLLATE "C" NOT NULL CHECK (length(source) BETWEEN 1 AND 63),
    object text COLLATE "C" NOT NULL CHECK (
        object IN ('contact', 'lead', 'account', 'deal', 'activity', 'policy', 'identity')
    ),
    external_id text COLLATE "C" NOT NULL CHECK (length(external_id) BETWEEN 1 AND 255),
    source_version text COLLATE "C" NOT NULL DEFAULT '' CHECK (length(source_version) <= 255),
    event_time timestamptz NOT NULL,
    record_time timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor_id text NOT NULL DEFAULT '' CHECK (length(actor_id) <= 255),
    actor_name text NOT NULL DEFAULT '' CHECK (length(actor_name) <= 255),
    request_id text COLLATE "C" NOT NULL DEFAULT '' CHECK (length(request_id) <= 128),
    content_hash bytea NOT NULL CHECK (octet_length(content_hash) = 16),
    payload bytea NOT NULL CHECK (octet_length(payload) <= 262144),
    traceparent text COLLATE "C" NOT NULL DEFAULT '' CHECK (length(traceparent) IN (0, 55)),
    tracestate text COLLATE "C" NOT NULL DEFAULT '' CHECK (length(tracestate) <= 512),
    -- Key of the quarantined event that this one releases. No foreign key: its trigger would be
    -- queued for every row; `quarantine.released_as` holds the other direction.
    released_from uuid,
    PRIMARY KEY (tenant_id, event_key),
    CHECK (released_from IS NULL OR disposition = 1),
    CHECK (object NOT IN ('policy', 'identity') OR (source = 'headwater' AND disposition = 1))
);

-- The readers' index: one range scan a read. Right-growing within each shard.
CREATE INDEX event_log ON ingest.event (shard, xid, seq) WHERE disposition = 1;

-- ListEvents of a record. A 4-byte hash instead of the four text columns: a third of the size and
-- of the cost a row; the few rows of other records that share a hash are filtered out.
CREATE INDEX event_record ON ingest.event (record_hash, seq);

-- ListEvents of a tenant, newest first. Right-growing, so it costs next to nothing.
CREATE INDEX event_tenant ON ingest.event (tenant_id, seq);

CREATE INDEX event_policy ON ingest.event (tenant_id, xid DESC, seq DESC)
WHERE object = 'policy' AND disposition = 1;

CREATE TABLE ingest.quarantine (
    tenant_id text COLLATE "C" NOT NULL,
    event_key uuid NOT NULL,
    -- Array of {field, value, rule, description}, as the wire contract's Violation.
    violations jsonb NOT NULL CHECK (jsonb_typeof(violations) = 'array' AND violations <> '[]'),
    -- Numbers of the wire contract's QuarantineState: 1 open, 2 released, 3 discarded.
    state smallint NOT NULL DEFAULT 1 CHECK (state BETWEEN 1 AND 3),
    released_as uuid,
    discard_reason text NOT NULL DEFAULT '' CHECK (length(discard_reason) <= 255),
    -- Who released or discarded it.
    actor_type smallint NOT NULL DEFAULT 0 CHECK (actor_type BETWEEN 0 AND 3),
    actor_id text NOT NULL DEFAULT '' CHECK (length(actor_id) <= 255),
    actor_name text NOT NULL DEFAULT '' CHECK (length(actor_name) <= 255),
    open_time timestamptz NOT NULL DEFAULT clock_timestamp(),
    close_time timestamptz,
    PRIMARY KEY (tenant_id, event_key),
    FOREIGN KEY (tenant_id, event_key) REFERENCES ingest.event (tenant_id, event_key),
    FOREIGN KEY (tenant_id, released_as) REFERENCES ingest.event (tenant_id, event_key),
    CHECK ((state = 1) = (close_time IS NULL)),
    CHECK ((state = 2) = (released_as IS NOT NULL)),
    CHECK ((state = 3) = (discard_reason <> ''))
);

CREATE INDEX quarantine_open ON ingest.quarantine (tenant_id, open_time, event_key) WHERE state = 1;
CREATE INDEX quarantine_all ON ingest.quarantine (tenant_id, open_time, event_key);

-- Exact counts of the log, moved in the transaction that inserts the rows. Spread over slots so
-- that two writers do not wait for each other's commit; a count is the sum of its slots.
CREATE TABLE ingest.event_count (
    tenant_id text COLLATE "C" NOT NULL,
    source text COLLATE "C" NOT NULL,
    object text COLLATE "C" NOT NULL,
    disposition smallint NOT NULL CHECK (disposition IN (1, 3)),
    slot smallint NOT NULL CHECK (slot BETWEEN 0 AND 255),
    count bigint NOT NULL CHECK (count > 0),
    PRIMARY KEY (tenant_id, source, object, disposition, slot)
) WITH (fillfactor = 50);

-- ---------------------------------------------------------------------------------------------
-- What the schema publishes. Other services read the log through these functions and through
-- nothing else; their names, parameters and columns change only by adding.
-- `NOTIFY headwater_log` (empty payload) follows every commit that added accepted events.
-- ---------------------------------------------------------------------------------------------

CREATE FUNCTION ingest.shard_count() RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 16;

COMMENT ON FUNCTION ingest.shard_count() IS
'Number of shards; shards are numbered from 0. All events of a record are in one shard.';

CREATE FUNCTION ingest.read_events(p_shard smallint, p_xid bigint, p_seq bigint, p_limit integer)
RETURNS TABLE (
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
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT
        e.xid::text::bigint, e.seq, e.tenant_id, e.event_key, e.source, e.object, e.external_id,
        e.source_version, e.event_time, e.record_time, e.operation, e.actor_type, e.actor_id,
        e.actor_name, e.payload, e.traceparent, e.tracestate
    FROM ingest.event AS e
    WHERE
        e.shard = p_shard
        AND e.disposition = 1
        AND (e.xid, e.seq) > (p_xid::text::xid8, p_seq)
        AND e.xid < pg_snapshot_xmin(pg_current_snapshot())
    ORDER BY e.xid, e.seq
    LIMIT p_limit
$$;

COMMENT ON FUNCTION ingest.read_events(smallint, bigint, bigint, integer) IS
'Accepted events of a shard after position (p_xid, p_seq), at most p_limit, in log order. Start at (0, 0).
Only what no running transaction can precede any more: a reader that continues from the last row it
got misses nothing and sees nothing twice. A transaction left open on the server holds every reader back.';

CREATE FUNCTION ingest.current_policies()
RETURNS TABLE (tenant_id text, event_key uuid, xid bigint, seq bigint, payload bytea)
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT DISTINCT ON (e.tenant_id)
        e.tenant_id, e.event_key, e.xid::text::bigint, e.seq, e.payload
    FROM ingest.event AS e
    WHERE e.object = 'policy' AND e.disposition = 1
    ORDER BY e.tenant_id, e.xid DESC, e.seq DESC
$$;

COMMENT ON FUNCTION ingest.current_policies() IS
'The newest policy event of each tenant. Payload: {"document": YAML text, "digest": 16 hex digits}.';

CREATE FUNCTION ingest.count_accepted(p_tenant text) RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE
RETURN (
    SELECT coalesce(sum(c.count), 0)::bigint
    FROM ingest.event_count AS c
    WHERE c.tenant_id = p_tenant AND c.disposition = 1
);

COMMENT ON FUNCTION ingest.count_accepted(text) IS
'Number of the tenant''s accepted events, its policy and identity events among them; exact and cheap.';

CREATE FUNCTION ingest.event_by_key(p_tenant text, p_event_key uuid)
RETURNS TABLE (
    xid bigint,
    seq bigint,
    shard smallint,
    disposition smallint,
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
    tracestate text,
    released_from uuid
)
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT
        e.xid::text::bigint, e.seq, e.shard, e.disposition, e.source, e.object, e.external_id,
        e.source_version, e.event_time, e.record_time, e.operation, e.actor_type, e.actor_id,
        e.actor_name, e.payload, e.traceparent, e.tracestate, e.released_from
    FROM ingest.event AS e
    WHERE e.tenant_id = p_tenant AND e.event_key = p_event_key
$$;

COMMENT ON FUNCTION ingest.event_by_key(text, uuid) IS
'One event as recorded, accepted (disposition 1) or quarantined (3); no row when the key is unknown.';
