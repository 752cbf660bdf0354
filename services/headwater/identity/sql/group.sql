-- Groups by any id that they had.

-- name: list_ever
-- Records that are or were in a group, lowest id first, with the group that each is in now.
-- $1 text: tenant. $2 uuid: group. $3 integer: rows at most.
WITH ever AS MATERIALIZED (
    SELECT f.record_id FROM identity.former_group AS f
    WHERE f.tenant_id = $1 AND f.group_id = $2
    UNION ALL
    SELECT p.record_id FROM identity.member AS p
    WHERE p.tenant_id = $1 AND p.group_id = $2
)

SELECT m.record_id::text AS record_id, m.group_id
FROM identity.member AS m
WHERE
    m.tenant_id = $1
    AND m.record_id = ANY(ARRAY(SELECT ever.record_id FROM ever ORDER BY ever.record_id LIMIT $3))
ORDER BY m.record_id

-- name: list_group
-- Records of a group, lowest id first.
-- $1 text: tenant. $2 uuid: group. $3 integer: rows at most.
WITH own AS MATERIALIZED (
    SELECT m.record_id, m.source, m.object, m.external_id, m.entity_id
    FROM identity.member AS m
    WHERE m.tenant_id = $1 AND m.group_id = $2
)

SELECT own.record_id::text AS record_id, own.source, own.object, own.external_id, own.entity_id
FROM own
ORDER BY own.record_id
LIMIT $3

-- name: list_asked
-- Pairs of entities that a person is asked about, of those that have one of some entities.
-- $1 text: tenant. $2 uuid[]: entities.
SELECT ours.entity_id, theirs.entity_id AS other_entity_id
FROM identity.merge_candidate AS c
INNER JOIN identity.member AS ours ON c.tenant_id = ours.tenant_id AND c.record_id = ours.record_id
INNER JOIN identity.member AS theirs
    ON c.tenant_id = theirs.tenant_id AND c.other_record_id = theirs.record_id
WHERE
    c.tenant_id = $1 AND c.close_time IS NULL AND c.question = 'merge'
    AND c.low_id = ANY($2::uuid[]) AND c.high_id = ANY($2::uuid[])
    AND ours.entity_id <> theirs.entity_id
