-- Entities, the records that are their members, the keys of the records, merges and their undoing.
-- Every key and unique constraint begins with tenant_id.
--
-- Second indexes are partial on a condition that always holds (`entity_id IS NOT NULL`): a query that does not
-- name the column cannot use them. Without it, on tables that were never analysed, all indexes that begin
-- with tenant_id cost the same to the planner, and it read a look-up by record_id from the index by entity_id,
-- that is the whole tenant for each row: 580 records/s in place of 7,000.

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
    rule text NOT NULL DEFAULT '',
    event_key uuid NOT NULL,
    resolve_time timestamptz NOT NULL,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    given_name text NOT NULL DEFAULT '',
    family_name text NOT NULL DEFAULT '',
    generation text NOT NULL DEFAULT '',
    linkedin text NOT NULL DEFAULT '',
    domain text NOT NULL DEFAULT '',
    mailbox text NOT NULL DEFAULT '',
    PRIMARY KEY (tenant_id, record_id),
    FOREIGN KEY (tenant_id, entity_id) REFERENCES entity (tenant_id, entity_id)
);
COMMENT ON TABLE member IS 'A source record and the entity it belongs to now. record_id is a hash of tenant, object, source and external_id.';
COMMENT ON COLUMN member.event_key IS 'The event by which the record was resolved first.';
CREATE INDEX member_by_entity ON member (tenant_id, entity_id, seq) WHERE entity_id IS NOT NULL;

CREATE TABLE record_key (
    tenant_id text NOT NULL,
    object text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('linkedin', 'email', 'phone_surname', 'name_domain', 'domain', 'name')),
    value text NOT NULL CHECK (length(value) BETWEEN 1 AND 255),
    record_id uuid NOT NULL,
    blocked_by text NOT NULL DEFAULT '',
    PRIMARY KEY (tenant_id, object, kind, value, record_id),
    FOREIGN KEY (tenant_id, record_id) REFERENCES member (tenant_id, record_id)
);
COMMENT ON TABLE record_key IS 'What identifies a record, normalised; only ever added to, so that later records match.';
CREATE INDEX record_key_by_record ON record_key (tenant_id, record_id) WHERE record_id IS NOT NULL;

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
    record_id uuid NOT NULL,
    other_record_id uuid NOT NULL,
    create_time timestamptz NOT NULL,
    close_time timestamptz,
    PRIMARY KEY (tenant_id, low_id, high_id),
    FOREIGN KEY (tenant_id, record_id) REFERENCES member (tenant_id, record_id),
    FOREIGN KEY (tenant_id, other_record_id) REFERENCES member (tenant_id, record_id)
);
COMMENT ON TABLE merge_candidate IS
'Two entities (as they were then, lower id first) tied by a record. Open while its two records belong to different entities and nobody split the pair.';
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
CREATE INDEX change_unsent ON change (tenant_id, seq) WHERE sent_time IS NULL;
CREATE INDEX change_unsent_of_merge ON change (tenant_id, merge_id, seq) WHERE sent_time IS NULL;

CREATE FUNCTION write_plan(
    p_tenant text, p_now timestamptz,
    p_entities uuid[], p_entity_objects text[],
    p_members uuid[], p_sources text[], p_objects text[], p_external_ids text[], p_homes uuid[], p_rules text[],
    p_event_keys uuid[], p_given_names text[], p_family_names text[], p_generations text[], p_linkedins text[],
    p_domains text[], p_mailboxes text[],
    p_known uuid[], p_known_given_names text[], p_known_family_names text[], p_known_generations text[],
    p_known_linkedins text[], p_known_domains text[], p_known_mailboxes text[],
    p_keyed uuid[], p_key_objects text[], p_kinds text[], p_values text[], p_blocks text[],
    p_lows uuid[], p_highs uuid[], p_pair_objects text[], p_pair_rules text[], p_pair_blocks text[],
    p_pair_records uuid[], p_pair_others uuid[]
) RETURNS void
LANGUAGE plpgsql
-- The plans are kept, those of the foreign keys too: planning cost more than writing. So there is one plan for any size
-- of table and batch: members are looked up by the array of their keys in one pass, and joined to what they say by hash.
SET plan_cache_mode = force_generic_plan
SET enable_nestloop = off
SET enable_mergejoin = off
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_memoize = off
AS $$
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
            given_name = n.given_name,
            family_name = n.family_name,
            generation = n.generation,
            linkedin = n.linkedin,
            domain = n.domain,
            mailbox = n.mailbox
        FROM unnest(
            p_known, p_known_given_names, p_known_family_names, p_known_generations, p_known_linkedins,
            p_known_domains, p_known_mailboxes
        ) AS n (record_id, given_name, family_name, generation, linkedin, domain, mailbox)
        WHERE m.tenant_id = p_tenant AND m.record_id = ANY(p_known) AND m.record_id = n.record_id;
    END IF;
    IF cardinality(p_members) > 0 THEN
        INSERT INTO identity.member (
            tenant_id, resolve_time, record_id, source, object, external_id, entity_id, rule, event_key,
            given_name, family_name, generation, linkedin, domain, mailbox
        )
        SELECT
            p_tenant, p_now, n.record_id, n.source, n.object, n.external_id, n.entity_id, n.rule, n.event_key,
            n.given_name, n.family_name, n.generation, n.linkedin, n.domain, n.mailbox
        FROM unnest(
            p_members, p_sources, p_objects, p_external_ids, p_homes, p_rules, p_event_keys, p_given_names,
            p_family_names, p_generations, p_linkedins, p_domains, p_mailboxes
        ) WITH ORDINALITY AS n (
            record_id, source, object, external_id, entity_id, rule, event_key,
            given_name, family_name, generation, linkedin, domain, mailbox, ord
        )
        ORDER BY n.ord;
    END IF;
    IF cardinality(p_lows) > 0 THEN
        INSERT INTO identity.merge_candidate (
            tenant_id, create_time, low_id, high_id, object, rule, blocked_by, record_id, other_record_id
        )
        SELECT p_tenant, p_now, n.low_id, n.high_id, n.object, n.rule, n.blocked_by, n.record_id, n.other_record_id
        FROM unnest(
            p_lows, p_highs, p_pair_objects, p_pair_rules, p_pair_blocks, p_pair_records, p_pair_others
        ) WITH ORDINALITY AS n (low_id, high_id, object, rule, blocked_by, record_id, other_record_id, ord)
        ORDER BY n.ord
        ON CONFLICT DO NOTHING;
    END IF;
    IF cardinality(p_keyed) > 0 THEN
        INSERT INTO identity.record_key (tenant_id, record_id, object, kind, value, blocked_by)
        SELECT p_tenant, n.record_id, n.object, n.kind, n.value, n.blocked_by
        FROM unnest(p_keyed, p_key_objects, p_kinds, p_values, p_blocks)
            AS n (record_id, object, kind, value, blocked_by)
        ON CONFLICT DO NOTHING;
    END IF;
END
$$;
COMMENT ON FUNCTION write_plan IS
'Writes what a batch comes to: entities, what known records newly say of themselves, members, pairs to review, keys. A key '
'or pair that is there already stays as it is.';
