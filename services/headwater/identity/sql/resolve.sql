-- What resolving a batch reads and writes: one statement each way, whatever the batch's size; the functions are
-- in the migrations.

-- name: list_known
-- Records that were resolved before, as they stand; what they are compared on only where they said something else last.
-- $1 text: tenant. $2 uuid[]: records. $3 bigint[]: digests of what they say now, to leave out what says the same; none
-- where nothing is said, so that it is only asked where they are.
SELECT
    array_agg(m.record_id::text) AS records, array_agg(m.entity_id) AS entities, array_agg(m.group_id) AS groups,
    array_agg(CASE WHEN cardinality($3::bigint[]) = 0 OR m.digest = ANY($3) THEN NULL ELSE m.parts END) AS parts,
    array_agg(CASE WHEN cardinality($3::bigint[]) = 0 OR m.digest = ANY($3) THEN '' ELSE array_to_string(m.keys, ' ') END) AS keys,
    array_agg(m.strong) AS strong, array_agg(m.exclusive) AS exclusive, array_agg(m.digest) AS digests,
    identity.revision($1) AS revision
FROM identity.member AS m
WHERE m.tenant_id = $1 AND m.record_id = ANY($2::uuid[])

-- name: look_up
-- What is known of records, and who else has their keys or those given; see the function.
-- $1 text: tenant. $2 uuid[]: records. $3 bigint[]: hashes of keys. $4 integer: the most records of one key.
SELECT
    found.known_records, found.known_entities, found.known_groups, found.known_parts, found.known_keys,
    found.known_strong, found.known_exclusive, found.use_hashes, found.use_values, found.use_generic,
    found.use_crowded, found.generic_values, found.hit_hashes, found.hit_records, found.found_records,
    found.found_parts, found.revision
FROM identity.look_up($1, $2, $3, $4) AS found

-- name: load_near
-- The records whose groups may change; see the function.
-- $1 text: tenant. $2 uuid[]: records to begin with. $3 uuid[]: those of which a value or key has become common.
-- $4 real: bits from which an edge links. $5 integer: records to stop at. $6 boolean: whether with all keys.
SELECT
    found.near_records, found.near_sources, found.near_objects, found.near_external_ids, found.near_entities,
    found.near_groups, found.near_parts, found.near_keys, found.age_entities, found.ages, found.edge_lows,
    found.edge_highs, found.edge_bits, found.edge_weights, found.generic_values, found.crowded_hashes, found.apart_lows,
    found.apart_highs
FROM identity.load_near($1, $2, $3, $4, $5, $6) AS found

-- name: write_plan
-- Write what a batch comes to; see the function. Arrays come as text, save $14 and $20: the driver takes a microsecond
-- for each element, the server a tenth.
-- $1 text: tenant. $2 timestamptz: now. $3 smallint: version of the normal form. Arrays. Entities: $4 uuid, $5 text:
-- object. Members: $6 uuid: record, $7..$9 text: source, object, external id, $10 uuid: entity, $11 uuid: group,
-- $12 text: rule, $13 uuid: event key, $14 bytea: parts, $15 text: keys, $16 and $17 smallint: how many are strong,
-- exclusive, $18 bigint: digest. Known: $19 uuid: record, $20 bytea, $21 text, $22 and $23 smallint, $24 bigint as
-- $14..$18. Groups: $25 uuid: record, $26 uuid: group. Keys that known records gain: $27 bigint, $28 uuid: record.
-- Keys by which no new member is found: $29 bigint. Edges: $30 and $31 uuid: lower and higher record, $32 real: bits.
-- Edges that go: $33 and $34 uuid. Uses of keys: $35 bigint, $36 text: value, $37 and $38 boolean: generic, crowded.
-- Exclusive keys: $39 bigint, $40 uuid: entity. Pairs: $41 and $42 uuid: lower and higher entity, $43..$45 text:
-- object, rule, what blocks it or '', $46 real: bits, $47 text: question, $48 and $49 uuid: record of each.
-- Version of the weights, integer: $50 of the edges, $51 of the pairs. What records say as they said it: $52 uuid:
-- record, $53 text: its statements with record separators between them. $54 integer: the most that is kept of one.
SELECT
    identity.write_plan(
        $1, $2, $3, $4::text::uuid[], $5::text::text[], $6::text::uuid[], $7::text::text[], $8::text::text[],
        $9::text::text[], $10::text::uuid[], $11::text::uuid[], $12::text::text[], $13::text::uuid[], $14,
        $15::text::text[], $16::text::smallint[], $17::text::smallint[], $18::text::bigint[], $19::text::uuid[], $20,
        $21::text::text[], $22::text::smallint[], $23::text::smallint[], $24::text::bigint[], $25::text::uuid[],
        $26::text::uuid[], $27::text::bigint[], $28::text::uuid[], $29::text::bigint[], $30::text::uuid[],
        $31::text::uuid[], $32::text::real[], $33::text::uuid[], $34::text::uuid[], $35::text::bigint[],
        $36::text::text[], $37::text::boolean[], $38::text::boolean[], $39::text::bigint[], $40::text::uuid[],
        $41::text::uuid[], $42::text::uuid[], $43::text::text[], $44::text::text[], $45::text::text[],
        $46::text::real[], $47::text::text[], $48::text::uuid[], $49::text::uuid[], $50::text::integer[],
        $51::text::integer[]
    ),
    identity.write_evidence($1, $52::text::uuid[], $53::text::text[], $54)
