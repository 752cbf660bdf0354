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
SELECT source, object, external_id, rule, resolve_time
FROM identity.member
WHERE tenant_id = $1 AND entity_id = $2
ORDER BY seq

-- name: list_keyed_of_record
-- The keys of a record, each with the record as its holder.
-- $1 text: tenant. $2 uuid: record.
SELECT
    r.kind, r.value, r.blocked_by,
    m.record_id, m.entity_id, m.source, m.object, m.external_id,
    m.given_name, m.family_name, m.generation, m.linkedin, m.domain, m.mailbox,
    e.seq
FROM identity.member AS m
INNER JOIN identity.entity AS e ON m.tenant_id = e.tenant_id AND m.entity_id = e.entity_id
INNER JOIN identity.record_key AS r ON m.tenant_id = r.tenant_id AND m.record_id = r.record_id
WHERE m.tenant_id = $1 AND m.record_id = $2

-- name: list_keyed_of_entity
-- The keys of an entity's records, each with its record.
-- $1 text: tenant. $2 uuid: entity. $3 integer: the most keys read, oldest records first.
SELECT
    r.kind, r.value, r.blocked_by,
    m.record_id, m.entity_id, m.source, m.object, m.external_id,
    m.given_name, m.family_name, m.generation, m.linkedin, m.domain, m.mailbox,
    e.seq
FROM identity.member AS m
INNER JOIN identity.entity AS e ON m.tenant_id = e.tenant_id AND m.entity_id = e.entity_id
INNER JOIN identity.record_key AS r ON m.tenant_id = r.tenant_id AND m.record_id = r.record_id
WHERE m.tenant_id = $1 AND m.entity_id = $2
ORDER BY m.seq
LIMIT $3

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
