-- What resolving a batch reads and writes: one statement each way, whatever the batch's size; the functions are
-- in the migrations.

-- name: list_known
-- Records that were resolved before, as they stand.
-- $1 text: tenant. $2 uuid[]: records.
SELECT
    m.record_id::text AS record_id, m.entity_id, m.group_id, m.parts, array_to_string(m.keys, ' ') AS keys,
    m.strong, m.exclusive
FROM identity.member AS m
WHERE m.tenant_id = $1 AND m.record_id = ANY($2::uuid[])

-- name: look_up
-- What is known of records, and who else has their keys or those given; see the function.
-- $1 text: tenant. $2 uuid[]: records. $3 bigint[]: hashes of keys. $4 integer: the most records of one key.
SELECT * FROM identity.look_up($1, $2, $3, $4)

-- name: load_near
-- The records whose groups may change; see the function.
-- $1 text: tenant. $2 uuid[]: records to begin with. $3 uuid[]: those of which a value or key has become common.
-- $4 real: bits from which an edge links. $5 integer: records to stop at. $6 boolean: whether with all keys.
SELECT * FROM identity.load_near($1, $2, $3, $4, $5, $6)

-- name: write_plan
-- Write what a batch comes to; see the function.
-- $1 text: tenant. $2 timestamptz: now. $3 smallint: version of the normal form. Arrays. Entities: $4 uuid, $5 text:
-- object. Members: $6 uuid: record, $7..$9 text: source, object, external id, $10 uuid: entity, $11 uuid: group,
-- $12 text: rule, $13 uuid: event key, $14 bytea: parts, $15 text: keys, $16 and $17 smallint: how many are strong,
-- exclusive. Known: $18 uuid: record, $19 bytea, $20 text, $21 and $22 smallint as $14..$17. Groups: $23 uuid: record,
-- $24 uuid: group. Keys: $25 bigint, $26 uuid: record. Edges: $27 and $28 uuid: lower and higher record, $29 real:
-- bits. Edges that go: $30 and $31 uuid. Uses of keys: $32 bigint, $33 text: value, $34 and $35 boolean: generic,
-- crowded. Exclusive keys: $36 bigint, $37 uuid: entity. Pairs: $38 and $39 uuid: lower and higher entity, $40..$42
-- text: object, rule, what blocks it or '', $43 real: bits, $44 text: question, $45 and $46 uuid: record of each.
SELECT identity.write_plan(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24,
    $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39, $40, $41, $42, $43, $44, $45, $46
)
