-- Weights of scoring: versions, which counts, what is learnt from. Changed under the lock of the tenant's object.

-- name: lock_weights
-- Keep everybody else who changes these weights out until the transaction ends.
-- $1 text: tenant. $2 text: object.
SELECT pg_advisory_xact_lock(hashtextextended('weights|' || $1::text || '|' || $2::text, 0))::text

-- name: list_active_weights
-- Which version counts, for whoever has one of their own.
-- $1 integer: rows at most.
SELECT tenant_id, object, version
FROM identity.weights
WHERE active
ORDER BY tenant_id, object
LIMIT $1

-- name: find_active_weights
-- The version that counts.
-- $1 text: tenant. $2 text: object.
SELECT version
FROM identity.weights
WHERE tenant_id = $1 AND object = $2 AND active

-- name: find_weights_body
-- One version's body.
-- $1 text: tenant. $2 text: object. $3 integer: version.
SELECT body
FROM identity.weights
WHERE tenant_id = $1 AND object = $2 AND version = $3

-- name: find_newest_weights
-- The newest version, 0 where there is none.
-- $1 text: tenant. $2 text: object.
SELECT coalesce(max(version), 0) AS version
FROM identity.weights
WHERE tenant_id = $1 AND object = $2

-- name: list_weights
-- Versions of an object or of all, newest first; bodies apart.
-- $1 text: tenant. $2 text: object, or '' for all. $3 integer: only this version, 0 for all. $4 integer: rows at most.
SELECT
    w.object, w.version, w.base_version, w.records, w.pairs, w.answers, w.held, w.agreed_before, w.agreed_after,
    w.findings, w.made_by, w.actor_type, w.actor_id, w.actor_name, w.create_time, w.active
FROM identity.weights AS w
WHERE w.tenant_id = $1 AND ($2::text = '' OR w.object = $2::text) AND ($3::integer = 0 OR w.version = $3::integer)
ORDER BY w.version DESC, w.object ASC
LIMIT $4

-- name: insert_weights
-- Keep a new version, unless somebody has taken its number meanwhile; answers with the number when it is kept.
-- $1 text: tenant. $2 text: object. $3 integer: version. $4 bytea: body. $5 integer: version it was held against.
-- $6..$11 integer: records, pairs, answers, held out, agreed before, after. $12 text[]: findings. $13 text: made by.
-- $14 smallint, $15 text, $16 text: actor's type, id, name. $17 timestamptz: now.
INSERT INTO identity.weights (
    tenant_id, object, version, body, base_version, records, pairs, answers, held, agreed_before, agreed_after,
    findings, made_by, actor_type, actor_id, actor_name, create_time
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
ON CONFLICT DO NOTHING
RETURNING version

-- name: prune_weights
-- Forget the oldest versions, but none that counts or that a rollback may come back to.
-- $1 text: tenant. $2 text: object. $3 integer: versions to keep.
DELETE FROM identity.weights AS w
WHERE
    w.tenant_id = $1 AND w.object = $2 AND NOT w.active
    AND w.version <= (SELECT max(n.version) FROM identity.weights AS n WHERE n.tenant_id = $1 AND n.object = $2) - $3
    AND w.version <> ALL(ARRAY(
        SELECT a.previous_version FROM identity.weights_activation AS a
        WHERE
            a.tenant_id = $1 AND a.object = $2 AND a.undoes IS NULL
        ORDER BY a.seq DESC
        LIMIT $3
    ))

-- name: switch_weights
-- Let a version count, or count no more.
-- $1 text: tenant. $2 text: object. $3 integer: version. $4 boolean: whether it counts.
UPDATE identity.weights
SET active = $4
WHERE tenant_id = $1 AND object = $2 AND version = $3

-- name: insert_activation
-- Write down who made which version count.
-- $1 text: tenant. $2 text: object. $3 integer: version. $4 integer: the one before. $5 bigint: activation that is taken
-- back, or null. $6 text: reason. $7 smallint, $8 text, $9 text: actor's type, id, name. $10 timestamptz: now.
INSERT INTO identity.weights_activation (
    tenant_id, object, version, previous_version, undoes, reason, actor_type, actor_id, actor_name, activate_time
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)

-- name: find_standing_activation
-- The latest activation that no rollback has taken back.
-- $1 text: tenant. $2 text: object.
SELECT
    a.seq, a.version, a.previous_version, a.undoes, a.reason, a.actor_type, a.actor_id, a.actor_name, a.activate_time
FROM identity.weights_activation AS a
WHERE
    a.tenant_id = $1 AND a.object = $2 AND a.undoes IS NULL
    AND a.seq <> ALL(ARRAY(
        SELECT u.undoes FROM identity.weights_activation AS u
        WHERE u.tenant_id = $1 AND u.object = $2 AND u.undoes IS NOT NULL
    ))
ORDER BY a.seq DESC
LIMIT 1

-- name: list_activations
-- Who made which version count, newest first.
-- $1 text: tenant. $2 text: object. $3 integer: rows at most.
SELECT
    a.seq, a.version, a.previous_version, a.undoes, a.reason, a.actor_type, a.actor_id, a.actor_name, a.activate_time
FROM identity.weights_activation AS a
WHERE a.tenant_id = $1 AND a.object = $2
ORDER BY a.seq DESC
LIMIT $3

-- name: notify_weights
-- Tell every process that scores, once the transaction commits.
-- $1 text: tenant.
SELECT pg_notify('headwater_weights', $1::text)::text

-- name: list_sample
-- Records in the order of their ids, which are hashes: any stretch of them is a random sample.
-- $1 text: tenant. $2 uuid: after this record. $3 integer: rows at most.
SELECT m.record_id::text AS record_id, m.object, m.parts
FROM identity.member AS m
WHERE m.tenant_id = $1 AND m.record_id > $2
ORDER BY m.record_id
LIMIT $3

-- name: measure_tenant
-- Of the first records in the order of their ids: how many of each object, and the last id; how large a tenant is.
-- $1 text: tenant. $2 integer: records.
SELECT s.object, count(*) AS records, max(s.record_id::text) AS last_id
FROM (
    SELECT m.record_id, m.object FROM identity.member AS m
    WHERE m.tenant_id = $1
    ORDER BY m.record_id
    LIMIT $2
) AS s
GROUP BY s.object

-- name: list_generic_values
-- Values that identify nobody.
-- $1 text: tenant. $2 integer: rows at most.
SELECT u.value
FROM identity.key_use AS u
WHERE u.tenant_id = $1 AND u.generic
ORDER BY u.hash
LIMIT $2

-- name: list_answers
-- What people answered and still stands, newest first: pairs of records, each as it is compared.
-- $1 text: tenant. $2 integer: rows at most.
SELECT
    c.object, a.kind, least(c.record_id, c.other_record_id)::text AS low_id,
    greatest(c.record_id, c.other_record_id)::text AS high_id, ours.parts, theirs.parts AS other_parts
FROM identity.review_action AS a
INNER JOIN identity.merge_candidate AS c ON a.tenant_id = c.tenant_id AND a.candidate_seq = c.seq AND c.seq IS NOT NULL
INNER JOIN identity.member AS ours ON c.tenant_id = ours.tenant_id AND c.record_id = ours.record_id
INNER JOIN identity.member AS theirs ON c.tenant_id = theirs.tenant_id AND c.other_record_id = theirs.record_id
WHERE
    a.tenant_id = $1 AND a.kind = ANY(ARRAY['merge', 'keep_apart', 'keep_together', 'split'])
    AND NOT EXISTS (
        SELECT 1 FROM identity.review_action AS u WHERE u.tenant_id = a.tenant_id AND u.undoes = a.action_id
    )
    AND (
        a.kind <> 'merge' OR EXISTS (
            SELECT 1 FROM identity.merge AS g
            WHERE g.tenant_id = a.tenant_id AND g.merge_id = a.merge_id AND g.split_time IS NULL
        )
    )
    AND (a.kind <> 'keep_apart' OR ours.entity_id <> theirs.entity_id)
ORDER BY a.seq DESC
LIMIT $2

-- name: list_tenants
-- Tenants that have records, one look at the index for each.
-- $1 text: after this tenant. $2 integer: rows at most.
WITH RECURSIVE tenants (tenant_id, place) AS (
    SELECT min(e.tenant_id), 1 FROM identity.entity AS e WHERE e.tenant_id > $1
    UNION ALL
    SELECT (SELECT min(e.tenant_id) FROM identity.entity AS e WHERE e.tenant_id > t.tenant_id), t.place + 1
    FROM tenants AS t
    WHERE t.tenant_id IS NOT NULL AND t.place < $2
)

SELECT t.tenant_id
FROM tenants AS t
WHERE t.tenant_id IS NOT NULL

-- name: claim_run
-- Take it on to learn a tenant's weights, unless somebody did since a moment; a row is answered to who takes it on.
-- $1 text: tenant. $2 timestamptz: now. $3 timestamptz: the moment.
INSERT INTO identity.weights_run AS r (tenant_id, run_time)
VALUES ($1, $2)
ON CONFLICT (tenant_id) DO UPDATE SET run_time = excluded.run_time
WHERE r.run_time < $3
RETURNING r.tenant_id

-- name: list_edge_weights
-- Pairs of which the lower record is among these, and the version of the weights that they were last scored with.
-- $1 text: tenant. $2 uuid[]: records.
SELECT e.low_id::text AS low_id, e.high_id::text AS high_id, e.weights
FROM identity.edge AS e
WHERE e.tenant_id = $1 AND e.low_id = ANY($2::uuid[])
