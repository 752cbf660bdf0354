-- Weights of scoring as live data: versions that are only added to, which of them counts, and who made it so.

CREATE TABLE weights (
    tenant_id text NOT NULL CHECK (tenant_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    object text NOT NULL CHECK (object IN ('contact', 'lead', 'account')),
    version integer NOT NULL CHECK (version > 0),
    body bytea NOT NULL,
    base_version integer NOT NULL CHECK (base_version >= 0),
    records integer NOT NULL CHECK (records >= 0),
    pairs integer NOT NULL CHECK (pairs >= 0),
    answers integer NOT NULL CHECK (answers >= 0),
    held integer NOT NULL CHECK (held >= 0),
    agreed_before integer NOT NULL CHECK (agreed_before BETWEEN 0 AND held),
    agreed_after integer NOT NULL CHECK (agreed_after BETWEEN 0 AND held),
    findings text[] NOT NULL DEFAULT '{}',
    made_by text NOT NULL CHECK (made_by IN ('job', 'review', 'operator')),
    actor_type smallint NOT NULL,
    actor_id text NOT NULL,
    actor_name text NOT NULL,
    create_time timestamptz NOT NULL,
    active boolean NOT NULL DEFAULT FALSE,
    PRIMARY KEY (tenant_id, object, version)
);
COMMENT ON TABLE weights IS
'What each level of each field weighs for a tenant''s object, by version; where none is active the shipped ones count, which are version 0.';
COMMENT ON COLUMN weights.base_version IS 'The version that was active when this one was learnt: it was held against that.';
COMMENT ON COLUMN weights.made_by IS
'job: learnt from pairs that share a strong key; review: from people''s answers alone; operator: because a person asked.';
COMMENT ON COLUMN weights.findings IS 'Why it was not made active at once; empty where nothing spoke against it.';
CREATE UNIQUE INDEX weights_active ON weights (tenant_id, object) WHERE active;

CREATE TABLE weights_activation (
    tenant_id text NOT NULL,
    object text NOT NULL,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    version integer NOT NULL CHECK (version >= 0),
    previous_version integer NOT NULL CHECK (previous_version >= 0),
    undoes bigint,
    reason text NOT NULL CHECK (length(reason) <= 255),
    actor_type smallint NOT NULL,
    actor_id text NOT NULL,
    actor_name text NOT NULL,
    activate_time timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, object, seq),
    FOREIGN KEY (tenant_id, object, undoes) REFERENCES weights_activation (tenant_id, object, seq),
    CHECK (version <> previous_version)
);
COMMENT ON TABLE weights_activation IS
'Who made which version count, in place of which, when and why, for ever; undoes: the activation that a rollback took back.';
CREATE UNIQUE INDEX weights_activation_undone ON weights_activation (tenant_id, object, undoes) WHERE undoes IS NOT NULL;

CREATE TABLE weights_run (
    tenant_id text NOT NULL,
    run_time timestamptz NOT NULL,
    PRIMARY KEY (tenant_id)
);
COMMENT ON TABLE weights_run IS 'When a tenant''s weights were last learnt by the clock: who writes the row first does it.';

ALTER TABLE edge ADD COLUMN weights integer NOT NULL DEFAULT 0 CHECK (weights >= 0);
COMMENT ON COLUMN edge.weights IS 'Version of the weights that the bits were worked out with; 0 for the shipped ones.';

ALTER TABLE merge_candidate ADD COLUMN weights integer NOT NULL DEFAULT 0 CHECK (weights >= 0);
COMMENT ON COLUMN merge_candidate.weights IS 'Version of the weights by which it was found; 0 for the shipped ones.';
