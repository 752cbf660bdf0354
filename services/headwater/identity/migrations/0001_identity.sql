-- Entities, the records that are their members, the keys of the records, merges and their undoing.
-- Every key and unique constraint begins with tenant_id.
--
-- Second indexes are partial on a condition that always holds (`entity_id IS NOT NULL`): a query that does not
-- name the column cannot use them. Without it, on tables that were never analysed, all indexes that begin
-- with tenant_id cost the same to the planner, and it read a look-up by record_id from the index by entity_id,
-- that is the whole tenant for each row: 580 records/s in place of 7,000. Where a second index is meant, the look-up asks for
-- an order that only this index has, and sorting is off: see load_near.

CREATE TABLE entity (
    tenant_id text NOT NULL CHECK (tenant_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    entity_id uuid NOT NULL,
    object text NOT NULL CHECK (object IN ('contact', 'lead', 'account', 'deal', 'activity')),
    merged_into uuid,
    create_time timestamptz NOT NULL,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    PRIMARY KEY (tenant_id, entity_id),
    FOREIGN KEY (tenant_id, merged_into) REFERENCES entity (tenant_id, entity_id),
    CHECK (merged_into IS DISTINCT FROM entity_id)
);
COMMENT ON TABLE entity IS 'One real person, company, lead, deal or activity; merged_into is set while it stands for another.';
COMMENT ON COLUMN entity.seq IS 'Order of creation: the older entity wins a tie.';

CREATE TABLE member (
    tenant_id text NOT NULL,
    record_id uuid NOT NULL,
    source text NOT NULL CHECK (source <> ''),
    object text NOT NULL CHECK (object IN ('contact', 'lead', 'account', 'deal', 'activity')),
    external_id text NOT NULL CHECK (length(external_id) BETWEEN 1 AND 255),
    entity_id uuid NOT NULL,
    group_id uuid NOT NULL,
    rule text NOT NULL DEFAULT '',
    event_key uuid NOT NULL,
    resolve_time timestamptz NOT NULL,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    parts bytea NOT NULL DEFAULT '',
    keys bigint[] NOT NULL DEFAULT '{}',
    strong smallint NOT NULL DEFAULT 0,
    exclusive smallint NOT NULL DEFAULT 0,
    normalisation_version smallint NOT NULL DEFAULT 0,
    digest bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, record_id),
    FOREIGN KEY (tenant_id, entity_id) REFERENCES entity (tenant_id, entity_id),
    CHECK (exclusive BETWEEN 0 AND strong AND strong <= cardinality(keys))
);
COMMENT ON TABLE member IS 'A source record and the entity it belongs to now. record_id is a hash of tenant, object, source and external_id.';
COMMENT ON COLUMN member.event_key IS 'The event by which the record was resolved first.';
COMMENT ON COLUMN member.group_id IS 'The records that are linked to it: those of its entity, and others that are likely the same thing.';
COMMENT ON COLUMN member.parts IS 'What the record is compared on, in its stored form; empty for objects that are never compared.';
COMMENT ON COLUMN member.keys IS 'Hashes of its keys: the first `exclusive` of exclusive ones, the first `strong` of strong ones.';
COMMENT ON COLUMN member.digest IS 'Hash of the attributes that were put on top last: told again, they say nothing new.';
CREATE INDEX member_by_entity ON member (tenant_id, entity_id, seq) WHERE entity_id IS NOT NULL;
CREATE INDEX member_by_group ON member (tenant_id, group_id, seq) INCLUDE (record_id) WHERE group_id IS NOT NULL;

CREATE TABLE record_key (
    tenant_id text NOT NULL,
    hash bigint NOT NULL,
    record_id uuid NOT NULL,
    PRIMARY KEY (tenant_id, hash, record_id)
);
COMMENT ON TABLE record_key IS
'By which keys a record is found. A key that crowds loses its rows: it brings nobody together. No foreign key: written with the member.';

CREATE TABLE key_use (
    tenant_id text NOT NULL,
    hash bigint NOT NULL,
    value text NOT NULL DEFAULT '',
    generic boolean NOT NULL DEFAULT FALSE,
    crowded boolean NOT NULL DEFAULT FALSE,
    PRIMARY KEY (tenant_id, hash),
    CHECK (generic OR crowded)
) WITH (fillfactor = 70);
COMMENT ON TABLE key_use IS
'Keys that say less than others: generic ones, whose value several names or very many records use, and crowded ones, which too many records have.';

CREATE TABLE exclusive_key (
    tenant_id text NOT NULL,
    hash bigint NOT NULL,
    entity_id uuid NOT NULL,
    PRIMARY KEY (tenant_id, hash),
    FOREIGN KEY (tenant_id, entity_id) REFERENCES entity (tenant_id, entity_id)
);
COMMENT ON TABLE exclusive_key IS 'No two entities hold one exclusive key: the first to have it does, until its records move.';

CREATE TABLE edge (
    tenant_id text NOT NULL,
    low_id uuid NOT NULL,
    high_id uuid NOT NULL CHECK (low_id < high_id),
    bits real NOT NULL,
    PRIMARY KEY (tenant_id, low_id, high_id)
);
COMMENT ON TABLE edge IS
'Two records that share a key, lower id first, and the bits for their being one; without those that say as little as a pair never compared.';
CREATE INDEX edge_by_high ON edge (tenant_id, high_id, bits) INCLUDE (low_id) WHERE high_id IS NOT NULL;

CREATE TABLE told_apart (
    tenant_id text NOT NULL,
    low_id uuid NOT NULL,
    high_id uuid NOT NULL CHECK (low_id < high_id),
    merge_id uuid NOT NULL,
    create_time timestamptz NOT NULL,
    retract_time timestamptz,
    PRIMARY KEY (tenant_id, low_id, high_id, merge_id)
);
COMMENT ON TABLE told_apart IS
'Two records, lower id first, of entities that a person told apart by undoing a merge; retracted when a person merges them again.';

CREATE TABLE merge (
    tenant_id text NOT NULL,
    merge_id uuid NOT NULL,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    object text NOT NULL,
    winner_id uuid NOT NULL,
    loser_id uuid NOT NULL CHECK (loser_id <> winner_id),
    moved_count integer NOT NULL CHECK (moved_count >= 0),
    merge_time timestamptz NOT NULL,
    actor_type smallint NOT NULL,
    actor_id text NOT NULL,
    actor_name text NOT NULL,
    reason text NOT NULL CHECK (length(reason) <= 255),
    split_time timestamptz,
    split_moved_count integer CHECK (split_moved_count BETWEEN 0 AND moved_count),
    split_actor_type smallint,
    split_actor_id text,
    split_actor_name text,
    PRIMARY KEY (tenant_id, merge_id),
    FOREIGN KEY (tenant_id, winner_id) REFERENCES entity (tenant_id, entity_id),
    FOREIGN KEY (tenant_id, loser_id) REFERENCES entity (tenant_id, entity_id),
    CHECK (num_nulls(split_time, split_moved_count, split_actor_type, split_actor_id, split_actor_name) IN (0, 5))
);
COMMENT ON TABLE merge IS 'One merge, for ever; split_time is set once it was undone.';
CREATE UNIQUE INDEX merge_standing ON merge (tenant_id, loser_id) WHERE split_time IS NULL;

CREATE TABLE merge_member (
    tenant_id text NOT NULL,
    merge_id uuid NOT NULL,
    record_id uuid NOT NULL,
    released boolean NOT NULL DEFAULT FALSE,
    PRIMARY KEY (tenant_id, merge_id, record_id),
    FOREIGN KEY (tenant_id, merge_id) REFERENCES merge (tenant_id, merge_id),
    FOREIGN KEY (tenant_id, record_id) REFERENCES member (tenant_id, record_id)
);
COMMENT ON TABLE merge_member IS 'Which records a merge moved: a stack per record. released: the merge, or one below it, was undone.';
CREATE INDEX merge_member_by_record ON merge_member (tenant_id, record_id) WHERE record_id IS NOT NULL AND NOT released;

CREATE TABLE merge_candidate (
    tenant_id text NOT NULL,
    low_id uuid NOT NULL,
    high_id uuid NOT NULL CHECK (low_id < high_id),
    seq bigint GENERATED ALWAYS AS IDENTITY,
    object text NOT NULL,
    rule text NOT NULL,
    blocked_by text NOT NULL DEFAULT '',
    bits real NOT NULL DEFAULT 0,
    question text NOT NULL DEFAULT 'merge' CHECK (question IN ('merge', 'split')),
    record_id uuid NOT NULL,
    other_record_id uuid NOT NULL,
    create_time timestamptz NOT NULL,
    close_time timestamptz,
    PRIMARY KEY (tenant_id, low_id, high_id, record_id, other_record_id),
    FOREIGN KEY (tenant_id, record_id) REFERENCES member (tenant_id, record_id),
    FOREIGN KEY (tenant_id, other_record_id) REFERENCES member (tenant_id, record_id)
);
COMMENT ON TABLE merge_candidate IS
'Two entities (as they were then, lower id first) tied by a record. Open while its two records belong to different entities and nobody split the pair. Once they moved on, others may tie the same two.';
COMMENT ON COLUMN merge_candidate.question IS
'Whether to merge two entities, or to split one: then low and high are its two records that later evidence tells apart.';
CREATE INDEX merge_candidate_waiting ON merge_candidate (tenant_id, seq) WHERE close_time IS NULL;

CREATE TABLE change (
    tenant_id text NOT NULL,
    change_id uuid NOT NULL,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    merge_id uuid NOT NULL,
    payload bytea NOT NULL,
    change_time timestamptz NOT NULL,
    actor_type smallint NOT NULL,
    actor_id text NOT NULL,
    actor_name text NOT NULL,
    traceparent text NOT NULL DEFAULT '',
    tracestate text NOT NULL DEFAULT '',
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    due_time timestamptz NOT NULL,
    sent_time timestamptz,
    PRIMARY KEY (tenant_id, change_id),
    FOREIGN KEY (tenant_id, merge_id) REFERENCES merge (tenant_id, merge_id)
);
COMMENT ON TABLE change IS 'Outbox: merges and splits that the event log has to hear of, written with the change itself.';
COMMENT ON COLUMN change.seq IS 'Order of the changes of a tenant, given while it is had alone: whoever applies them lets the larger win.';
CREATE INDEX change_unsent ON change (tenant_id, seq) WHERE sent_time IS NULL;
CREATE INDEX change_by_seq ON change (tenant_id, seq) WHERE seq > 0;
CREATE INDEX change_unsent_of_merge ON change (tenant_id, merge_id, seq) WHERE sent_time IS NULL;

