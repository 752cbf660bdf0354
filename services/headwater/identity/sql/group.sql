-- Groups by any id that they had.

-- name: list_ever
-- Records that are or were in a group, lowest id first, with the group that each is in now.
-- $1 text: tenant. $2 uuid: group. $3 integer: rows at most.
SELECT m.record_id::text AS record_id, m.group_id
FROM identity.member AS m
WHERE
    m.tenant_id = $1
    AND m.record_id = ANY(ARRAY(
        SELECT f.record_id FROM identity.former_group AS f
        WHERE f.tenant_id = $1 AND f.group_id = $2
        UNION
        SELECT p.record_id FROM identity.member AS p
        WHERE p.tenant_id = $1 AND p.group_id = $2
        ORDER BY record_id
        LIMIT $3
    ))
ORDER BY m.record_id

-- name: list_group
-- Records of a group, lowest id first.
-- $1 text: tenant. $2 uuid: group. $3 integer: rows at most.
SELECT m.record_id::text AS record_id, m.source, m.object, m.external_id, m.entity_id
FROM identity.member AS m
WHERE m.tenant_id = $1 AND m.group_id = $2
ORDER BY m.record_id
LIMIT $3
