-- The event log, its ledger, its quarantine, and the functions through which other services may read it.
--
-- `event` is partitioned by day. One row of it is at once the fact, its place in the log and, until its day
-- is sealed, the entry of the idempotency ledger; a sealed day's keys are in `sealed_key`, for ever. Rows are
-- inserted and never changed; a day's facts may be dropped as a whole (retention), its keys never.
--
-- Position in the log: (xid, seq). `seq` alone is handed out before the commit, so that a reader
-- which remembers the largest seq would skip rows of transactions that commit late. Nothing below
-- the oldest transaction still running (`pg_snapshot_xmin`) can appear any more, so a reader takes
-- rows below it, in the order of (xid, seq), and misses none.
--
-- Who writes events takes the advisory lock `append_lock()` shared, first thing in its transaction, and writes
-- into the newest day; who opens a day takes it alone. So every transaction id of a day precedes those of the
-- next, (record_day, xid, seq) is the order (xid, seq), and two writers of one key write into one partition.

CREATE SEQUENCE ingest.event_seq AS bigint CACHE 32;

CREATE TABLE ingest.event (
    -- What the COPY of a batch brings with a fixed size stands first: offsets are then known.
    seq bigint NOT NULL DEFAULT nextval('ingest.event_seq'),
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    event_time timestamptz NOT NULL,
    record_time timestamptz NOT NULL DEFAULT now(),
    event_key uuid NOT NULL,
    -- 8 bytes that stand for everything the event means: they are compared only where the keys are equal.
    content_hash bigint NOT NULL,
    -- Hash of (tenant, source, object, external id); its low four bits are the shard.
    record_hash integer NOT NULL,
    -- The day of the partition: that of arrival (UTC), or one before while a day's opening is late.
    record_day date NOT NULL,
    -- Numbers of the wire contract's Disposition: 1 accepted, 3 quarantined.
    disposition smallint NOT NULL,
    -- Numbers of the wire contract's Operation: 1 upsert, 2 delete.
    operation smallint NOT NULL,
    -- Numbers of the wire contract's ActorType; 0 not said.
    actor_type smallint NOT NULL DEFAULT 0,
    tenant_id text COLLATE "C" NOT NULL,
    source text COLLATE "C" NOT NULL,
    object text COLLATE "C" NOT NULL,
    external_id text COLLATE "C" NOT NULL,
    payload bytea NOT NULL,
    -- Seldom given: null, which costs a bit.
    source_version text COLLATE "C",
    request_id text COLLATE "C",
    actor_id text,
    actor_name text,
    -- Trace id, span id and flags: 16 + 8 + 1 bytes.
    trace bytea,
    tracestate text COLLATE "C",
    -- Key of the quarantined event that this one releases.
    released_from uuid,
    -- One expression for the row: each constraint by itself is a third of a microsecond a row in all.
    CONSTRAINT event_sound CHECK (
        (disposition = 1 OR (disposition = 3 AND released_from IS NULL))
        AND operation BETWEEN 1 AND 2
        AND actor_type BETWEEN 0 AND 3
        AND length(tenant_id) BETWEEN 1 AND 63
        AND length(source) BETWEEN 1 AND 63
        AND length(external_id) BETWEEN 1 AND 255
        AND octet_length(payload) <= 262144
        AND CASE object
            WHEN 'contact' THEN true
            WHEN 'activity' THEN true
            WHEN 'deal' THEN true
            WHEN 'account' THEN true
            WHEN 'lead' THEN true
            WHEN 'policy' THEN source = 'headwater' AND disposition = 1
            WHEN 'identity' THEN source = 'headwater' AND disposition = 1
            WHEN 'sla' THEN source = 'headwater' AND disposition = 1
            ELSE false
        END
    ),
    -- Passes at the first test in nearly every row.
    CONSTRAINT event_extras_sound CHECK (
        coalesce(source_version, request_id, actor_id, actor_name, tracestate) IS NULL
        OR (
            length(source_version) <= 255 IS NOT FALSE
            AND length(request_id) <= 128 IS NOT FALSE
            AND length(actor_id) <= 255 IS NOT FALSE
            AND length(actor_name) <= 255 IS NOT FALSE
            AND length(tracestate) <= 512 IS NOT FALSE
        )
    ),
    CONSTRAINT event_trace_sound CHECK (octet_length(trace) = 25)
) PARTITION BY LIST (record_day);

-- The days of the log, written under the exclusive lock; the newest is the one written into.
CREATE TABLE ingest.partition (
    record_day date PRIMARY KEY,
    open_time timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- No event of this day has a smaller seq, but for a few numbers that sessions had in store.
    open_seq bigint NOT NULL,
    -- Keys that lead with a later time (milliseconds since 1970) cannot be in an older day: events lie at most
    -- an hour ahead of the service's clock, and its clock less than an hour ahead of the database's.
    -- -1 on the first day: there is no older one.
    ledger_ms bigint NOT NULL,
    -- The last key that sealing has moved; null before the first.
    sealed_to uuid,
    sealed_to_tenant text COLLATE "C",
    -- When its keys were all in `sealed_key`.
    seal_time timestamptz,
    -- Rows whose keys are moved: all of them once sealed.
    row_count bigint NOT NULL DEFAULT 0 CHECK (row_count >= 0),
    archive_path text,
    archive_sha256 text CHECK (length(archive_sha256) = 64),
    archive_time timestamptz,
    drop_time timestamptz,
    CHECK ((sealed_to IS NULL) = (sealed_to_tenant IS NULL)),
    CHECK ((archive_path IS NULL) = (archive_time IS NULL)),
    CHECK (archive_time IS NULL OR (seal_time IS NOT NULL AND archive_sha256 IS NOT NULL)),
    CHECK (drop_time IS NULL OR seal_time IS NOT NULL)
);

CREATE INDEX partition_unsealed ON ingest.partition (record_day) WHERE seal_time IS NULL;

-- Where each shard of a sealed day ends: a reader finds the day to read by one look into the index.
CREATE TABLE ingest.shard_end (
    shard smallint NOT NULL CHECK (shard BETWEEN 0 AND 15),
    last_xid xid8 NOT NULL,
    last_seq bigint NOT NULL,
    record_day date NOT NULL REFERENCES ingest.partition (record_day),
    PRIMARY KEY (shard, last_xid, last_seq)
);

-- The ledger of sealed days: permanent. The key leads: it is unique by itself but for chance, its first bytes
-- are mostly a time, and comparing 16 fixed bytes is cheaper than a text first.
CREATE TABLE ingest.sealed_key (
    event_key uuid NOT NULL,
    content_hash bigint NOT NULL,
    record_time timestamptz NOT NULL,
    record_day date NOT NULL,
    tenant_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (event_key, tenant_id)
);

-- The newest generation of keys that were recorded again after their source's dedup window.
CREATE TABLE ingest.resend (
    tenant_id text COLLATE "C" NOT NULL,
    base_key uuid NOT NULL,
    generation integer NOT NULL CHECK (generation > 0),
    event_key uuid NOT NULL,
    content_hash bigint NOT NULL,
    record_time timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, base_key)
);

-- The newest policy of each tenant: it outlives the day on which it was accepted.
CREATE TABLE ingest.policy (
    tenant_id text COLLATE "C" PRIMARY KEY,
    event_key uuid NOT NULL,
    xid xid8 NOT NULL,
    seq bigint NOT NULL,
    payload bytea NOT NULL
);

CREATE TABLE ingest.quarantine (
    tenant_id text COLLATE "C" NOT NULL,
    event_key uuid NOT NULL,
    -- Where the event is. No foreign key: a partitioned log has no unique key over all days.
    record_day date NOT NULL REFERENCES ingest.partition (record_day),
    -- The event's, so that the task list is grouped without reading the log.
    source text COLLATE "C" NOT NULL,
    object text COLLATE "C" NOT NULL,
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
    CHECK ((state = 1) = (close_time IS NULL)),
    CHECK ((state = 2) = (released_as IS NOT NULL)),
    CHECK ((state = 3) = (discard_reason <> ''))
);

CREATE INDEX quarantine_open ON ingest.quarantine (tenant_id, open_time, event_key) WHERE state = 1;
CREATE INDEX quarantine_all ON ingest.quarantine (tenant_id, open_time, event_key);
CREATE INDEX quarantine_day ON ingest.quarantine (record_day) WHERE state = 1;

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

-- How far each registered reader of the log has come: what it has not read is not dropped.
CREATE TABLE ingest.reader (
    reader text COLLATE "C" NOT NULL CHECK (length(reader) BETWEEN 1 AND 63),
    shard smallint NOT NULL CHECK (shard BETWEEN 0 AND 15),
    xid xid8 NOT NULL,
    seq bigint NOT NULL,
    report_time timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (reader, shard)
);

-- ---------------------------------------------------------------------------------------------
-- Days: opened here, sealed by `partition.sql`.
-- ---------------------------------------------------------------------------------------------

CREATE FUNCTION ingest.append_lock() RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 7521962890001;

COMMENT ON FUNCTION ingest.append_lock() IS
'Advisory lock of the log: shared by writers, held alone by who opens a day.';

CREATE FUNCTION ingest.leaf_name(p_day date) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 'event_' || to_char(p_day, 'YYYYMMDD');

CREATE FUNCTION ingest.reader_name(p_day date) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 'read_' || to_char(p_day, 'YYYYMMDD');

CREATE FUNCTION ingest.create_reader(p_day date) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    EXECUTE format(
        'CREATE OR REPLACE FUNCTION ingest.%1$I(p_shards smallint [], p_xids bigint [], p_seqs bigint [], p_limit integer)
        RETURNS TABLE (
            shard smallint, xid bigint, seq bigint, tenant_id text, event_key uuid, source text, object text,
            external_id text, source_version text, event_time timestamptz, record_time timestamptz,
            operation smallint, actor_type smallint, actor_id text, actor_name text, payload bytea,
            traceparent text, tracestate text
        )
        LANGUAGE plpgsql STABLE
        AS $body$
        BEGIN
            RETURN QUERY
            SELECT
                k.shard, e.xid::text::bigint, e.seq, e.tenant_id, e.event_key, e.source, e.object,
                e.external_id, coalesce(e.source_version, ''''), e.event_time, e.record_time, e.operation,
                e.actor_type, coalesce(e.actor_id, ''''), coalesce(e.actor_name, ''''), e.payload,
                ingest.traceparent(e.trace), coalesce(e.tracestate, '''')
            FROM unnest(p_shards, p_xids, p_seqs) AS k (shard, xid, seq)
            CROSS JOIN LATERAL (
                SELECT *
                FROM ingest.%2$I AS f
                WHERE
                    (f.record_hash & 15) = k.shard
                    AND f.disposition = 1
                    AND (f.xid, f.seq) > (k.xid::text::xid8, k.seq)
                    AND f.xid < pg_snapshot_xmin(pg_current_snapshot())
                ORDER BY (f.record_hash & 15), f.xid, f.seq
                LIMIT p_limit
            ) AS e;
        END
        $body$', ingest.reader_name(p_day), ingest.leaf_name(p_day)
    );
END
$$;

COMMENT ON FUNCTION ingest.create_reader(date) IS
'Makes the function that reads one day for `read_shards`: each day has its own, so that a session keeps its plan. A part of
`read_shards`: planned under its settings, never called alone.';

CREATE FUNCTION ingest.roll(p_day date) RETURNS boolean
LANGUAGE plpgsql
-- Writers queue behind it: better a day opened late than a log that stands still.
SET lock_timeout = '2s'
AS $$
DECLARE
    v_leaf text := ingest.leaf_name(p_day);
    v_first boolean;
BEGIN
    IF EXISTS (SELECT FROM ingest.partition AS p WHERE p.record_day >= p_day) THEN
        RETURN false;
    END IF;
    PERFORM pg_advisory_xact_lock(ingest.append_lock() + 1);  -- one roller at a time
    IF EXISTS (SELECT FROM ingest.partition AS p WHERE p.record_day >= p_day) THEN
        RETURN false;
    END IF;
    EXECUTE format(
        'CREATE TABLE ingest.%1$I (LIKE ingest.event INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', v_leaf
    );
    EXECUTE format('ALTER TABLE ingest.%1$I ALTER record_day SET DEFAULT %2$L', v_leaf, p_day);
    -- The ledger of an unsealed day. The partition key is constant here, so this is unique for the day.
    -- The key before the tenant, against the house rule: tenant first costs 4 % more WAL with 100 tenants (a
    -- hundred places to insert at in place of one) and nothing less with one.
    EXECUTE format('CREATE UNIQUE INDEX %1$I ON ingest.%2$I (event_key, tenant_id)', v_leaf || '_key', v_leaf);
    -- The readers' index: one range scan a read, right-growing within each shard. `seq` is sorted within a
    -- transaction as it is read: few rows, and the index logs 48 bytes a row less without it.
    EXECUTE format('CREATE INDEX %1$I ON ingest.%2$I ((record_hash & 15), xid)', v_leaf || '_log', v_leaf);
    -- For people: where a record, a tenant or a number may be, by 32 pages. Costs a writer nothing; ranges are
    -- filled in by `index_day`. Not yet the first: until it is full, each row would log its summary anew.
    EXECUTE format(
        'CREATE INDEX %1$I ON ingest.%2$I USING brin (
            record_hash int4_bloom_ops,
            (record_hash >> 20) int4_bloom_ops (n_distinct_per_range = 200),
            seq int8_minmax_ops
        ) WITH (pages_per_range = 32)', v_leaf || '_find', v_leaf
    );
    PERFORM brin_desummarize_range(format('ingest.%I', v_leaf || '_find')::regclass, 0);
    EXECUTE format('ALTER TABLE ingest.event ATTACH PARTITION ingest.%1$I FOR VALUES IN (%2$L)', v_leaf, p_day);
    PERFORM ingest.create_reader(p_day);
    PERFORM pg_advisory_xact_lock(ingest.append_lock());  -- from here on nobody writes
    SELECT NOT EXISTS (SELECT FROM ingest.partition) INTO v_first;
    INSERT INTO ingest.partition (record_day, open_seq, ledger_ms)
    VALUES (
        p_day,
        nextval('ingest.event_seq'),
        CASE WHEN v_first THEN -1 ELSE (extract(epoch FROM clock_timestamp()) * 1000)::bigint + 2 * 3600000 END
    );
    RETURN true;
END
$$;

COMMENT ON FUNCTION ingest.roll(date) IS
'Opens a day, unless it or a later one is open; returns whether it did. Waits for writers under way.';

SELECT ingest.roll((now() AT TIME ZONE 'UTC')::date);
