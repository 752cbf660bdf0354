-- Merge candidates: pairs that wait for a person. Their entities are read through their records, so that
-- merges and splits since then are followed.

-- name: list_candidates
-- Open candidates, oldest first.
-- $1 text: tenant. $2 bigint: after this position. $3 integer: rows at most.
SELECT
    c.seq, c.object, c.rule,
    ours.entity_id, theirs.entity_id AS other_entity_id,
    ours.source, ours.external_id
FROM identity.merge_candidate AS c
INNER JOIN identity.member AS ours ON c.tenant_id = ours.tenant_id AND c.record_id = ours.record_id
INNER JOIN identity.member AS theirs
    ON c.tenant_id = theirs.tenant_id AND c.other_record_id = theirs.record_id
WHERE
    c.tenant_id = $1 AND c.close_time IS NULL AND c.seq > $2
    AND ours.entity_id <> theirs.entity_id
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
WHERE c.tenant_id = $1 AND c.close_time IS NULL AND ours.entity_id <> theirs.entity_id

-- name: close_candidate
-- Take a pair off the list: someone split it, so they are two.
-- $1 text: tenant. $2 uuid, $3 uuid: the two entities, either order. $4 timestamptz: now.
UPDATE identity.merge_candidate
SET close_time = $4
WHERE
    tenant_id = $1 AND close_time IS NULL
    AND low_id = least($2::uuid, $3::uuid) AND high_id = greatest($2::uuid, $3::uuid)
