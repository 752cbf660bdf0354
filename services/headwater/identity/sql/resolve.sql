-- What resolving a batch reads and writes: one statement per table, whatever the batch's size.
-- The look-ups stand in LATERAL blocks with a LIMIT, which the planner cannot turn into a hash join over a
-- whole table that was small when it was analysed last.

-- name: list_known
-- Records that were resolved before, with their keys as parallel arrays.
-- $1 text: tenant. $2 uuid[]: records.
SELECT
    m.record_id, m.entity_id, m.source, m.object, m.external_id,
    m.given_name, m.family_name, m.generation, m.linkedin, m.domain, m.mailbox,
    e.seq,
    k.kinds, k.key_values, k.blocks
FROM unnest($2::uuid[]) AS wanted (record_id)
CROSS JOIN LATERAL (
    SELECT * FROM identity.member
    WHERE member.tenant_id = $1 AND member.record_id = wanted.record_id
    ORDER BY member.record_id
    LIMIT 1
) AS m
CROSS JOIN LATERAL (
    SELECT entity.seq FROM identity.entity
    WHERE entity.tenant_id = $1 AND entity.entity_id = m.entity_id
    ORDER BY entity.entity_id
    LIMIT 1
) AS e
CROSS JOIN LATERAL (
    SELECT
        array_agg(record_key.kind) AS kinds,
        array_agg(record_key.value) AS key_values,
        array_agg(record_key.blocked_by) AS blocks
    FROM identity.record_key
    WHERE record_key.tenant_id = $1 AND record_key.record_id = m.record_id
) AS k

-- name: list_holders
-- Records that have any of the keys, with the entity each belongs to now.
-- $1 text: tenant. $2 text[], $3 text[], $4 text[]: object, kind and value of each key.
-- $5 integer: the most records of one key that are read. `ord` is the key's place in the arrays, from 1.
SELECT
    wanted.ord,
    m.record_id, m.entity_id, m.source, m.object, m.external_id,
    m.given_name, m.family_name, m.generation, m.linkedin, m.domain, m.mailbox,
    e.seq
FROM unnest($2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS wanted (object, kind, value, ord)
CROSS JOIN LATERAL (
    SELECT record_key.record_id FROM identity.record_key
    WHERE
        record_key.tenant_id = $1 AND record_key.object = wanted.object
        AND record_key.kind = wanted.kind AND record_key.value = wanted.value
    ORDER BY record_key.record_id
    LIMIT $5
) AS r
CROSS JOIN LATERAL (
    SELECT * FROM identity.member
    WHERE member.tenant_id = $1 AND member.record_id = r.record_id
    ORDER BY member.record_id
    LIMIT 1
) AS m
CROSS JOIN LATERAL (
    SELECT entity.seq FROM identity.entity
    WHERE entity.tenant_id = $1 AND entity.entity_id = m.entity_id
    ORDER BY entity.entity_id
    LIMIT 1
) AS e

-- name: write_plan
-- Write what a batch comes to, in one statement: entities, members and keys in the order given, what known records
-- newly say of themselves, pairs to review. A key or pair that is there already stays as it is.
-- $1 text: tenant. $2 timestamptz: now. Arrays. Entities: $3 uuid, $4 text: object. Members: $5 uuid: record,
-- $6..$8 text: source, object, external id, $9 uuid: entity, $10 text: rule, $11 uuid: event key, $12..$17 text: given
-- name, family name, generation, linkedin, domain, mailbox. Evidence: $18 uuid: record, $19..$24 text as $12..$17.
-- Keys: $25 uuid: record, $26..$29 text: object, kind, value, what blocks it or ''. Pairs: $30 uuid, $31 uuid: lower
-- and higher entity, $32..$34 text: object, rule, what blocks it or '', $35 uuid, $36 uuid: record of each.
SELECT identity.write_plan(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24,
    $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36
)
