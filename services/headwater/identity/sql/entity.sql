-- Reading entities.

-- name: find_entity
-- One entity as it stands.
-- $1 text: tenant. $2 uuid: entity.
SELECT entity_id, object, merged_into, create_time
FROM identity.entity
WHERE tenant_id = $1 AND entity_id = $2

-- name: find_entity_of_record
-- The entity that a record belongs to now.
-- $1 text: tenant. $2 uuid: record.
SELECT entity_id
FROM identity.member
WHERE tenant_id = $1 AND record_id = $2

-- name: list_members
-- The records of an entity, in the order in which they were resolved.
-- $1 text: tenant. $2 uuid: entity.
SELECT source, object, external_id, rule, resolve_time, group_id
FROM identity.member
WHERE tenant_id = $1 AND entity_id = $2
ORDER BY seq

-- name: list_parts_of_record
-- A record as it is compared.
-- $1 text: tenant. $2 uuid: record.
SELECT m.record_id::text AS record_id, m.entity_id, m.group_id, m.object, m.parts, m.source, m.external_id
FROM identity.member AS m
WHERE m.tenant_id = $1 AND m.record_id = $2

-- name: list_parts_of_entity
-- The records of an entity as they are compared, those resolved first.
-- $1 text: tenant. $2 uuid: entity. $3 integer: rows at most.
SELECT m.record_id::text AS record_id, m.entity_id, m.group_id, m.object, m.parts, m.source, m.external_id
FROM identity.member AS m
WHERE m.tenant_id = $1 AND m.entity_id = $2
ORDER BY m.seq
LIMIT $3

-- name: list_uses
-- Of keys, those that say less than others.
-- $1 text: tenant. $2 bigint[]: hashes.
SELECT hash, value, generic, crowded
FROM identity.key_use
WHERE tenant_id = $1 AND hash = ANY($2::bigint[])

-- name: list_refs_of_records
-- The names of records, with the entity and group of each.
-- $1 text: tenant. $2 uuid[]: records.
SELECT record_id::text AS record_id, entity_id, group_id, source, object, external_id
FROM identity.member
WHERE tenant_id = $1 AND record_id = ANY($2::uuid[])

-- name: count_by_object
-- How many entities stand for themselves, and how many were merged, by object.
-- $1 text: tenant.
SELECT
    object,
    count(*) FILTER (WHERE merged_into IS NULL) AS entities,
    count(*) FILTER (WHERE merged_into IS NOT NULL) AS merged
FROM identity.entity
WHERE tenant_id = $1
GROUP BY object
ORDER BY object

-- name: count_records_by_object
-- How many records are resolved, by object.
-- $1 text: tenant.
SELECT object, count(*) AS records
FROM identity.member
WHERE tenant_id = $1
GROUP BY object
