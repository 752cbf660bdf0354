-- Reviews: what a person decided about a candidate, when and why. Only added to; an undoing is an entry of its own.

ALTER TABLE merge_candidate
ADD COLUMN assignee text NOT NULL DEFAULT '' CHECK (length(assignee) <= 255),
ADD COLUMN skip_time timestamptz;
COMMENT ON COLUMN merge_candidate.assignee IS 'Who is to decide; empty for anybody.';
COMMENT ON COLUMN merge_candidate.skip_time IS 'Not put before anybody until then.';
CREATE UNIQUE INDEX merge_candidate_by_seq ON merge_candidate (tenant_id, seq) WHERE seq IS NOT NULL;

CREATE TABLE review_action (
    tenant_id text NOT NULL,
    action_id uuid NOT NULL,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    request_id uuid NOT NULL,
    candidate_seq bigint NOT NULL,
    kind text NOT NULL
    CHECK (kind IN ('merge', 'keep_apart', 'skip', 'keep_together', 'split', 'undo', 'assign')),
    entity_id uuid NOT NULL,
    other_entity_id uuid NOT NULL,
    merge_id uuid,
    moved_count integer NOT NULL DEFAULT 0 CHECK (moved_count >= 0),
    skip_time timestamptz,
    assignee text NOT NULL DEFAULT '',
    undoes uuid,
    reason text NOT NULL CHECK (length(reason) <= 255),
    actor_type smallint NOT NULL,
    actor_id text NOT NULL,
    actor_name text NOT NULL,
    action_time timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, action_id),
    UNIQUE (tenant_id, request_id),
    FOREIGN KEY (tenant_id, merge_id) REFERENCES merge (tenant_id, merge_id),
    FOREIGN KEY (tenant_id, undoes) REFERENCES review_action (tenant_id, action_id),
    CHECK ((kind = 'undo') = (undoes IS NOT NULL)),
    CHECK ((kind = 'skip') = (skip_time IS NOT NULL)),
    CHECK (kind NOT IN ('merge', 'split') OR merge_id IS NOT NULL)
);
COMMENT ON TABLE review_action IS 'Who decided, undid or assigned what, when and why, for ever; entity_id is the entity that stays.';
CREATE UNIQUE INDEX review_action_undone ON review_action (tenant_id, undoes) WHERE undoes IS NOT NULL;
CREATE INDEX review_action_by_candidate ON review_action (tenant_id, candidate_seq, seq) WHERE candidate_seq IS NOT NULL;

CREATE TABLE review_group (
    tenant_id text NOT NULL,
    action_id uuid NOT NULL,
    record_id uuid NOT NULL,
    group_id uuid NOT NULL,
    PRIMARY KEY (tenant_id, action_id, record_id)
);
COMMENT ON TABLE review_group IS
'The groups that a decision touched as they were before: undone, a group of the same records has its id again.';

CREATE TABLE review_key (
    tenant_id text NOT NULL,
    action_id uuid NOT NULL,
    hash bigint NOT NULL,
    entity_id uuid NOT NULL,
    PRIMARY KEY (tenant_id, action_id, hash)
);
COMMENT ON TABLE review_key IS
'Who held the exclusive keys of two entities before a decision: where both have a key, the records do not tell.';

CREATE FUNCTION write_part(
    p_tenant text, p_merge uuid, p_object text, p_winner uuid, p_loser uuid, p_records uuid[], p_now timestamptz,
    p_actor_type smallint, p_actor_id text, p_actor_name text, p_reason text
) RETURNS bigint
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $$
DECLARE
    v_seq bigint;
BEGIN
    INSERT INTO identity.entity (tenant_id, entity_id, object, merged_into, create_time)
    VALUES (p_tenant, p_loser, p_object, p_winner, p_now);
    INSERT INTO identity.merge (
        tenant_id, merge_id, object, winner_id, loser_id, moved_count, merge_time,
        actor_type, actor_id, actor_name, reason
    )
    VALUES (
        p_tenant, p_merge, p_object, p_winner, p_loser, cardinality(p_records), p_now,
        p_actor_type, p_actor_id, p_actor_name, p_reason
    )
    RETURNING seq INTO v_seq;
    INSERT INTO identity.merge_member (tenant_id, merge_id, record_id)
    SELECT p_tenant, p_merge, r.record_id
    FROM unnest(p_records) AS r (record_id);
    RETURN v_seq;
END
$$;
COMMENT ON FUNCTION write_part IS
'Writes records of one entity down as if a merge had brought them there from another, new one: so a split can part what no '
'merge brought together, and a merge undoes it.';
