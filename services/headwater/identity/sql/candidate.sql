-- Merge candidates: pairs that wait for a person. Their entities are read through their records, so that
-- merges and splits since then are followed.

-- name: list_candidates
-- Open candidates, oldest first.
-- One that asks to merge is open while its records are of two entities, one that asks to split while they are of one.
-- $1 text: tenant. $2 bigint: after this position. $3 integer: rows at most.
SELECT
    c.seq, c.object, c.rule, c.blocked_by, c.bits, c.question, c.weights,
    ours.entity_id, theirs.entity_id AS other_entity_id,
    ours.source, ours.external_id, theirs.source AS other_source, theirs.external_id AS other_external_id
FROM identity.merge_candidate AS c
INNER JOIN identity.member AS ours ON c.tenant_id = ours.tenant_id AND c.record_id = ours.record_id
INNER JOIN identity.member AS theirs
    ON c.tenant_id = theirs.tenant_id AND c.other_record_id = theirs.record_id
WHERE
    c.tenant_id = $1 AND c.close_time IS NULL AND c.seq > $2
    AND (ours.entity_id <> theirs.entity_id) = (c.question = 'merge')
ORDER BY c.seq
LIMIT $3

-- name: count_candidates
-- How many candidates are open.
-- $1 text: tenant.
SELECT count(*)
FROM identity.merge_candidate AS c
INNER JOIN identity.member AS ours ON c.tenant_id = ours.tenant_id AND c.record_id = ours.record_id
INNER JOIN identity.member AS theirs
    ON c.tenant_id = theirs.tenant_id AND c.other_record_id = theirs.record_id
WHERE
    c.tenant_id = $1 AND c.close_time IS NULL
    AND (ours.entity_id <> theirs.entity_id) = (c.question = 'merge')
