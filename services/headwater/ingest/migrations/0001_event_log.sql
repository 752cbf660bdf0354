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
    -- 16 bytes that stand for everything the event means.
    content_hash uuid NOT NULL,
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
    content_hash uuid NOT NULL,
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
    content_hash uuid NOT NULL,
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
    EXECUTE format('CREATE UNIQUE INDEX %1$I ON ingest.%2$I (event_key, tenant_id)', v_leaf || '_key', v_leaf);
    -- The readers' index: one range scan a read, right-growing within each shard. The record's hash at its
    -- end lets a record's or a tenant's events be found without the heap.
    EXECUTE format(
        'CREATE INDEX %1$I ON ingest.%2$I ((record_hash & 15), xid, seq, record_hash)', v_leaf || '_log', v_leaf
    );
    EXECUTE format('ALTER TABLE ingest.event ATTACH PARTITION ingest.%1$I FOR VALUES IN (%2$L)', v_leaf, p_day);
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

-- ---------------------------------------------------------------------------------------------
-- Writing: for the ingest service alone.
-- ---------------------------------------------------------------------------------------------

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
    tenant_id text, event_key uuid, content_hash uuid, record_time timestamptz, record_day date
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
        uuid_send(coalesce(r.content_hash, l.content_hash)),
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
        INSERT INTO ingest.quarantine (tenant_id, event_key, record_day, violations)
        SELECT k.tenant_id, k.event_key, p_day, k.violations::jsonb
        FROM unnest(p_broken_tenants, p_broken_keys::uuid [], p_violations)
            AS k (tenant_id, event_key, violations);
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
    IF 1 = ANY(p_dispositions) THEN
        PERFORM pg_notify('headwater_log', '');
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
    p_keys text, p_contents text, p_released text,
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
            v_keys, p_contents::uuid [], p_released::uuid [], p_times, p_hashes, p_dispositions, p_operations,
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
    bigint, text, text, text, bigint [], integer [], smallint [], smallint [], smallint [], text [], text [],
    text [], text [], bytea [], text [], text [], text [], text [], bytea [], text [], text [], text, integer []
) IS
'Records what is new of some events in one round trip; returns what the ledger knows of the others.
Keys must differ. Exact whatever races: the road of small batches, and the last one of large.';
