-- Reviews: candidates put before a person, and what was decided. Decisions are written under the tenant's lock.

-- name: list_reviews
-- Open candidates with what hangs on them: those closest to their threshold, in no order that callers rely on.
-- $1 text: tenant. $2 text: object, or '' for any. $3 text: assignee, or '' for any. $4 timestamptz: now, null to
-- show skipped ones. $5 real and $6 real: bits at which merging and splitting is in the balance. $7 integer: rows at most.
WITH pool AS (
    SELECT
        c.seq, c.object, c.rule, c.blocked_by, c.bits, c.question, c.weights, c.assignee, c.skip_time, c.create_time,
        c.close_time, c.record_id::text AS record_id, c.other_record_id::text AS other_record_id,
        ours.entity_id, theirs.entity_id AS other_entity_id,
        ours.source, ours.external_id, theirs.source AS other_source, theirs.external_id AS other_external_id
    FROM identity.merge_candidate AS c
    INNER JOIN identity.member AS ours ON c.tenant_id = ours.tenant_id AND c.record_id = ours.record_id
    INNER JOIN identity.member AS theirs
        ON c.tenant_id = theirs.tenant_id AND c.other_record_id = theirs.record_id
    WHERE
        c.tenant_id = $1 AND c.close_time IS NULL AND c.seq > 0
        AND (ours.entity_id <> theirs.entity_id) = (c.question = 'merge')
        AND ($2::text = '' OR c.object = $2::text)
        AND ($3::text = '' OR c.assignee = $3::text)
        AND ($4::timestamptz IS NULL OR c.skip_time IS NULL OR c.skip_time <= $4::timestamptz)
    ORDER BY abs(c.bits - CASE c.question WHEN 'merge' THEN $5::real ELSE $6::real END), c.seq
    LIMIT $7
)

SELECT pool.*, stake.records, stake.systems
FROM pool
CROSS JOIN LATERAL (
    SELECT count(*) AS records, count(DISTINCT m.source) AS systems
    FROM identity.member AS m
    WHERE m.tenant_id = $1 AND m.entity_id = ANY(ARRAY[pool.entity_id, pool.other_entity_id])
) AS stake

-- name: find_review
-- One candidate, open or closed.
-- $1 text: tenant. $2 bigint: candidate.
SELECT
    c.seq, c.object, c.rule, c.blocked_by, c.bits, c.question, c.weights, c.assignee, c.skip_time, c.create_time,
    c.close_time, c.record_id::text AS record_id, c.other_record_id::text AS other_record_id,
    ours.entity_id, theirs.entity_id AS other_entity_id,
    ours.source, ours.external_id, theirs.source AS other_source, theirs.external_id AS other_external_id,
    stake.records, stake.systems
FROM identity.merge_candidate AS c
INNER JOIN identity.member AS ours ON c.tenant_id = ours.tenant_id AND c.record_id = ours.record_id
INNER JOIN identity.member AS theirs
    ON c.tenant_id = theirs.tenant_id AND c.other_record_id = theirs.record_id
CROSS JOIN LATERAL (
    SELECT count(*) AS records, count(DISTINCT m.source) AS systems
    FROM identity.member AS m
    WHERE m.tenant_id = $1 AND m.entity_id = ANY(ARRAY[ours.entity_id, theirs.entity_id])
) AS stake
WHERE c.tenant_id = $1 AND c.seq = $2

-- name: find_action
-- One action, with the one that undid it.
-- $1 text: tenant. $2 uuid: action.
SELECT
    a.action_id, a.seq, a.request_id, a.candidate_seq, a.kind, a.entity_id, a.other_entity_id, a.merge_id,
    a.moved_count, a.skip_time, a.assignee, a.undoes, a.reason, a.actor_type, a.actor_id, a.actor_name,
    a.action_time, u.action_id AS undone_by
FROM identity.review_action AS a
LEFT JOIN identity.review_action AS u ON a.tenant_id = u.tenant_id AND a.action_id = u.undoes
WHERE a.tenant_id = $1 AND a.action_id = $2

-- name: find_action_of_request
-- The action that a request led to.
-- $1 text: tenant. $2 uuid: request.
SELECT
    a.action_id, a.seq, a.request_id, a.candidate_seq, a.kind, a.entity_id, a.other_entity_id, a.merge_id,
    a.moved_count, a.skip_time, a.assignee, a.undoes, a.reason, a.actor_type, a.actor_id, a.actor_name,
    a.action_time, u.action_id AS undone_by
FROM identity.review_action AS a
LEFT JOIN identity.review_action AS u ON a.tenant_id = u.tenant_id AND a.action_id = u.undoes
WHERE a.tenant_id = $1 AND a.request_id = $2

-- name: list_actions
-- Actions, newest first.
-- $1 text: tenant. $2 bigint: candidate, 0 for all. $3 bigint: before this position. $4 integer: rows at most.
SELECT
    a.action_id, a.seq, a.request_id, a.candidate_seq, a.kind, a.entity_id, a.other_entity_id, a.merge_id,
    a.moved_count, a.skip_time, a.assignee, a.undoes, a.reason, a.actor_type, a.actor_id, a.actor_name,
    a.action_time, u.action_id AS undone_by
FROM identity.review_action AS a
LEFT JOIN identity.review_action AS u ON a.tenant_id = u.tenant_id AND a.action_id = u.undoes
WHERE a.tenant_id = $1 AND ($2::bigint = 0 OR a.candidate_seq = $2::bigint) AND a.seq < $3
ORDER BY a.seq DESC
LIMIT $4

-- name: insert_action
-- Write an action down.
-- $1 text: tenant. $2 uuid: action. $3 uuid: request. $4 bigint: candidate. $5 text: kind. $6 and $7 uuid: entity that
-- stays, other one. $8 uuid: merge made or undone. $9 integer: records moved. $10 timestamptz: skipped until.
-- $11 text: assignee. $12 uuid: action undone. $13 text: reason. $14 smallint, $15 text, $16 text: actor's type, id,
-- name. $17 timestamptz: now.
INSERT INTO identity.review_action (
    tenant_id, action_id, request_id, candidate_seq, kind, entity_id, other_entity_id, merge_id, moved_count,
    skip_time, assignee, undoes, reason, actor_type, actor_id, actor_name, action_time
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)

-- name: settle_review
-- Close, open again, skip or assign a candidate.
-- $1 text: tenant. $2 bigint: candidate. $3 timestamptz: closed at, null for open. $4 timestamptz: skipped until.
-- $5 text: assignee.
UPDATE identity.merge_candidate
SET close_time = $3, skip_time = $4, assignee = $5
WHERE tenant_id = $1 AND seq = $2

-- name: tell_apart
-- Tell the records of two entities apart: each side's first record from all of the other's.
-- $1 text: tenant. $2 uuid[] and $3 uuid[]: records of each. $4 uuid: the action. $5 timestamptz: now. $6 integer: pairs
-- at most.
INSERT INTO identity.told_apart (tenant_id, low_id, high_id, merge_id, create_time)
SELECT $1, least(s.record_id, g.record_id), greatest(s.record_id, g.record_id), $4, $5
FROM unnest($2::uuid[]) WITH ORDINALITY AS s (record_id, ord)
INNER JOIN unnest($3::uuid[]) WITH ORDINALITY AS g (record_id, ord) ON s.ord = 1 OR g.ord = 1
ORDER BY s.ord + g.ord
LIMIT $6
ON CONFLICT DO NOTHING

-- name: untell_apart
-- Take back what one action or split told apart, as if it had never been said.
-- $1 text: tenant. $2 uuid: the action or merge.
DELETE FROM identity.told_apart
WHERE tenant_id = $1 AND merge_id = $2

-- name: revive_apart
-- Tell apart again what a merge took back.
-- $1 text: tenant. $2 uuid: merge. $3 uuid[]: records of its entities.
UPDATE identity.told_apart AS t
SET retract_time = NULL
FROM identity.merge AS g
WHERE
    g.tenant_id = $1 AND g.merge_id = $2
    AND t.tenant_id = $1 AND t.low_id = ANY($3::uuid[]) AND t.high_id = ANY($3::uuid[])
    AND t.retract_time = g.merge_time

-- name: find_parting_merge
-- The latest standing merge that moved one of two records and not the other: undoing it parts them.
-- $1 text: tenant. $2 uuid[]: the two records.
SELECT g.merge_id, g.seq, g.object, g.winner_id, g.loser_id, g.moved_count, g.split_time, g.split_moved_count
FROM identity.merge AS g
WHERE
    g.tenant_id = $1 AND g.split_time IS NULL
    AND g.merge_id = ANY(ARRAY(
        SELECT mm.merge_id FROM identity.merge_member AS mm
        WHERE mm.tenant_id = $1 AND mm.record_id = ANY($2::uuid[]) AND NOT mm.released
        GROUP BY mm.merge_id HAVING count(*) = 1
    ))
ORDER BY g.seq DESC
LIMIT 1

-- name: write_part
-- Found an entity for records that no merge brought, so that a split can give them to it; see the function.
-- $1 text: tenant. $2 uuid: merge. $3 text: object. $4 uuid: the entity they are in. $5 uuid: the new one. $6 uuid[]:
-- records. $7 timestamptz: now. $8 smallint, $9 text, $10 text: actor's type, id, name. $11 text: reason.
SELECT identity.write_part($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) AS seq

-- name: reopen_pair
-- Open the candidate of two entities again that the undoing of a merge closed.
-- $1 text: tenant. $2 uuid: merge.
UPDATE identity.merge_candidate AS c
SET close_time = NULL
FROM identity.merge AS g
WHERE
    g.tenant_id = $1 AND g.merge_id = $2
    AND c.tenant_id = $1 AND c.low_id = least(g.winner_id, g.loser_id)
    AND c.high_id = greatest(g.winner_id, g.loser_id) AND c.close_time = g.split_time

-- name: keep_groups
-- Write down the groups of records, as they are before a decision.
-- $1 text: tenant. $2 uuid: the action. $3 uuid[]: the records.
INSERT INTO identity.review_group (tenant_id, action_id, record_id, group_id)
SELECT m.tenant_id, $2, m.record_id, m.group_id
FROM identity.member AS m
WHERE m.tenant_id = $1 AND m.record_id = ANY($3::uuid[])

-- name: restore_groups
-- Give groups that have the same records as before an action the ids that they had then, unless others hold them now.
-- $1 text: tenant. $2 uuid: the action.
WITH kept AS (
    SELECT r.group_id, array_agg(r.record_id ORDER BY r.record_id) AS records
    FROM identity.review_group AS r
    WHERE r.tenant_id = $1 AND r.action_id = $2
    GROUP BY r.group_id
),

present AS (
    SELECT m.group_id, array_agg(m.record_id ORDER BY m.record_id) AS records
    FROM identity.member AS m
    WHERE
        m.tenant_id = $1
        AND m.group_id = ANY(ARRAY(
            SELECT o.group_id FROM identity.member AS o
            WHERE
                o.tenant_id = $1
                AND o.record_id = ANY(ARRAY(
                    SELECT r.record_id FROM identity.review_group AS r
                    WHERE r.tenant_id = $1 AND r.action_id = $2
                ))
        ))
    GROUP BY m.group_id
),

same AS (
    SELECT kept.group_id, kept.records FROM kept INNER JOIN present ON kept.records = present.records
)

UPDATE identity.member AS m
SET group_id = same.group_id
FROM same
WHERE
    m.tenant_id = $1 AND m.record_id = ANY(same.records) AND m.group_id <> same.group_id
    AND NOT EXISTS (
        SELECT 1 FROM identity.member AS o
        WHERE
            o.tenant_id = $1 AND o.group_id = ANY(ARRAY(SELECT s.group_id FROM same AS s))
            AND o.record_id <> ALL(ARRAY(SELECT unnest(s.records) FROM same AS s))
    )

-- name: keep_keys
-- Write down which of two entities holds each exclusive key, as it is before a decision.
-- $1 text: tenant. $2 uuid: the action. $3 uuid[]: the entities.
INSERT INTO identity.review_key (tenant_id, action_id, hash, entity_id)
SELECT x.tenant_id, $2, x.hash, x.entity_id
FROM identity.exclusive_key AS x
WHERE
    x.tenant_id = $1 AND x.entity_id = ANY($3::uuid[])
    AND x.hash = ANY(ARRAY(
        SELECT unnest(m.keys[1:m.exclusive]) FROM identity.member AS m
        WHERE m.tenant_id = $1 AND m.entity_id = ANY($3::uuid[])
    ))

-- name: restore_keys
-- Give the entities of an action the exclusive keys again that they held before it and whose records still have them.
-- $1 text: tenant. $2 uuid: the action.
WITH back AS (
    SELECT k.hash, k.entity_id, a.entity_id AS one_id, a.other_entity_id AS other_id
    FROM identity.review_key AS k
    INNER JOIN identity.review_action AS a ON k.tenant_id = a.tenant_id AND k.action_id = a.action_id
    WHERE
        k.tenant_id = $1 AND k.action_id = $2
        AND EXISTS (
            SELECT 1 FROM identity.member AS m
            WHERE m.tenant_id = $1 AND m.entity_id = k.entity_id AND k.hash = ANY(m.keys[1:m.exclusive])
        )
)

UPDATE identity.exclusive_key AS x
SET entity_id = back.entity_id
FROM back
WHERE
    x.tenant_id = $1 AND x.hash = ANY(ARRAY(SELECT b.hash FROM back AS b)) AND x.hash = back.hash
    AND x.entity_id <> back.entity_id AND x.entity_id = ANY(ARRAY[back.one_id, back.other_id])
