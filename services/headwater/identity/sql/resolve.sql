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
WITH entities AS (
    INSERT INTO identity.entity (tenant_id, entity_id, object, create_time)
    SELECT $1, f.entity_id, f.object, $2
    FROM unnest($3::uuid[], $4::text[]) WITH ORDINALITY AS f (entity_id, object, ord)
    ORDER BY f.ord
), members AS (
    INSERT INTO identity.member (
        tenant_id, resolve_time, record_id, source, object, external_id, entity_id, rule, event_key,
        given_name, family_name, generation, linkedin, domain, mailbox
    )
    SELECT
        $1, $2, n.record_id, n.source, n.object, n.external_id, n.entity_id, n.rule, n.event_key,
        n.given_name, n.family_name, n.generation, n.linkedin, n.domain, n.mailbox
    FROM unnest(
        $5::uuid[], $6::text[], $7::text[], $8::text[], $9::uuid[], $10::text[], $11::uuid[],
        $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::text[]
    ) WITH ORDINALITY AS n (
        record_id, source, object, external_id, entity_id, rule, event_key,
        given_name, family_name, generation, linkedin, domain, mailbox, ord
    )
    ORDER BY n.ord
), evidence AS (
    UPDATE identity.member AS m
    SET
        given_name = n.given_name,
        family_name = n.family_name,
        generation = n.generation,
        linkedin = n.linkedin,
        domain = n.domain,
        mailbox = n.mailbox
    FROM unnest(
        $18::uuid[], $19::text[], $20::text[], $21::text[], $22::text[], $23::text[], $24::text[]
    ) AS n (record_id, given_name, family_name, generation, linkedin, domain, mailbox)
    WHERE m.tenant_id = $1 AND m.record_id = n.record_id
), pairs AS (
    INSERT INTO identity.merge_candidate (
        tenant_id, create_time, low_id, high_id, object, rule, blocked_by, record_id, other_record_id
    )
    SELECT $1, $2, n.low_id, n.high_id, n.object, n.rule, n.blocked_by, n.record_id, n.other_record_id
    FROM unnest(
        $30::uuid[], $31::uuid[], $32::text[], $33::text[], $34::text[], $35::uuid[], $36::uuid[]
    ) WITH ORDINALITY AS n (low_id, high_id, object, rule, blocked_by, record_id, other_record_id, ord)
    ORDER BY n.ord
    ON CONFLICT DO NOTHING
)
INSERT INTO identity.record_key (tenant_id, record_id, object, kind, value, blocked_by)
SELECT $1, n.record_id, n.object, n.kind, n.value, n.blocked_by
FROM unnest($25::uuid[], $26::text[], $27::text[], $28::text[], $29::text[])
    AS n (record_id, object, kind, value, blocked_by)
ON CONFLICT DO NOTHING
