-- What resolving a batch reads and writes: one statement each way, whatever the batch's size; the functions are
-- in the migrations.

-- name: list_known
-- Records that were resolved before, as they stand.
-- $1 text: tenant. $2 uuid[]: records.
SELECT
    m.record_id::text AS record_id, m.entity_id, m.group_id, m.parts, array_to_string(m.keys, ' ') AS keys,
    m.strong, m.exclusive, m.digest
FROM identity.member AS m
WHERE m.tenant_id = $1 AND m.record_id = ANY($2::uuid[])

-- name: look_up
-- What is known of records, and who else has their keys or those given; see the function.
-- $1 text: tenant. $2 uuid[]: records. $3 bigint[]: hashes of keys. $4 integer: the most records of one key.
SELECT
    found.known_records, found.known_entities, found.known_groups, found.known_parts, found.known_keys,
    found.known_strong, found.known_exclusive, found.use_hashes, found.use_values, found.use_generic,
    found.use_crowded, found.generic_values, found.hit_hashes, found.hit_records, found.found_records,
    found.found_parts
FROM identity.look_up($1, $2, $3, $4) AS found

-- name: load_near
-- The records whose groups may change; see the function.
-- $1 text: tenant. $2 uuid[]: records to begin with. $3 uuid[]: those of which a value or key has become common.
-- $4 real: bits from which an edge links. $5 integer: records to stop at. $6 boolean: whether with all keys.
SELECT
    found.near_records, found.near_sources, found.near_objects, found.near_external_ids, found.near_entities,
    found.near_groups, found.near_parts, found.near_keys, found.age_entities, found.ages, found.edge_lows,
    found.edge_highs, found.edge_bits, found.generic_values, found.crowded_hashes, found.apart_lows,
    found.apart_highs
FROM identity.load_near($1, $2, $3, $4, $5, $6) AS found

-- name: write_plan
-- Write what a batch comes to; see the function.
-- $1 text: tenant. $2 timestamptz: now. $3 smallint: version of the normal form. Arrays. Entities: $4 uuid, $5 text:
-- object. Members: $6 uuid: record, $7..$9 text: source, object, external id, $10 uuid: entity, $11 uuid: group,
-- $12 text: rule, $13 uuid: event key, $14 bytea: parts, $15 text: keys, $16 and $17 smallint: how many are strong,
-- exclusive, $18 bigint: digest. Known: $19 uuid: record, $20 bytea, $21 text, $22 and $23 smallint, $24 bigint as
-- $14..$18. Groups: $25 uuid: record, $26 uuid: group. Keys: $27 bigint, $28 uuid: record. Edges: $29 and $30 uuid:
-- lower and higher record, $31 real: bits. Edges that go: $32 and $33 uuid. Uses of keys: $34 bigint, $35 text: value,
-- $36 and $37 boolean: generic, crowded. Exclusive keys: $38 bigint, $39 uuid: entity. Pairs: $40 and $41 uuid: lower
-- and higher entity, $42..$44 text: object, rule, what blocks it or '', $45 real: bits, $46 text: question, $47 and
-- $48 uuid: record of each. What records say as they said it: $49 uuid: record, $50 text: its statements with record
-- separators between them. $51 integer: the most that is kept of one.
SELECT
    identity.write_plan(
        $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23,
        $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39, $40, $41, $42, $43, $44,
        $45, $46, $47, $48
    ),
    identity.write_evidence($1, $49, $50, $51)
