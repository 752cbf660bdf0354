-- Going over a tenant's records when the rules of normalisation have changed.

-- name: list_redo_tenants
-- Tenants with records by older rules, or with a going over that is not complete.
-- $1 smallint: version of the rules. $2 integer: tenants at most.
WITH RECURSIVE tenant AS (
    (SELECT m.tenant_id FROM identity.member AS m ORDER BY m.tenant_id LIMIT 1)
    UNION ALL
    SELECT
        (
            SELECT m.tenant_id FROM identity.member AS m
            WHERE m.tenant_id > t.tenant_id
            ORDER BY m.tenant_id LIMIT 1
        )
    FROM tenant AS t
    WHERE t.tenant_id IS NOT NULL
)

SELECT t.tenant_id
FROM tenant AS t
WHERE
    t.tenant_id IS NOT NULL
    AND (
        SELECT m.normalisation_version FROM identity.member AS m
        WHERE m.tenant_id = t.tenant_id AND m.normalisation_version >= 0
        ORDER BY m.normalisation_version LIMIT 1
    ) < $1
UNION
SELECT r.tenant_id
FROM identity.redo AS r
WHERE r.version = $1 AND r.phase <> 'done'
LIMIT $2

-- name: take_redo
-- Lease the going over of a tenant's records, beginning one where none is under way; no row when somebody else has it.
-- $1 text: tenant. $2 smallint: version of the rules. $3 text: who. $4 timestamptz: now. $5 timestamptz: until when.
-- $6 uuid: before the first record.
INSERT INTO identity.redo AS r (
    tenant_id, version, phase, after_id, holder, lease_time, start_time, update_time
)
VALUES ($1, $2, 'rewrite', $6, $3, $5, $4, $4)
ON CONFLICT (tenant_id) DO UPDATE SET
    version = excluded.version,
    phase = CASE WHEN r.version = $2 AND r.phase <> 'done' THEN r.phase ELSE 'rewrite' END,
    after_id = CASE WHEN r.version = $2 AND r.phase <> 'done' THEN r.after_id ELSE $6 END,
    records = CASE WHEN r.version = $2 AND r.phase <> 'done' THEN r.records ELSE 0 END,
    seen = CASE WHEN r.version = $2 AND r.phase <> 'done' THEN r.seen ELSE 0 END,
    changed = CASE WHEN r.version = $2 AND r.phase <> 'done' THEN r.changed ELSE 0 END,
    merged = CASE WHEN r.version = $2 AND r.phase <> 'done' THEN r.merged ELSE 0 END,
    start_time = CASE WHEN r.version = $2 AND r.phase <> 'done' THEN r.start_time ELSE $4 END,
    holder = $3,
    lease_time = $5,
    update_time = $4,
    finish_time = NULL
WHERE r.version <= $2 AND (r.holder = $3 OR r.lease_time <= $4)
RETURNING
    r.tenant_id, r.version, r.phase, r.after_id, r.records, r.seen, r.changed, r.merged, r.holder,
    r.start_time, r.update_time, r.finish_time

-- name: start_redo
-- Ask for a tenant's records to be gone over, whether any is by older rules or not; nothing where one is under way.
-- $1 text: tenant. $2 smallint: version of the rules. $3 timestamptz: now. $4 uuid: before the first record.
INSERT INTO identity.redo AS r (tenant_id, version, phase, after_id, lease_time, start_time, update_time)
VALUES ($1, $2, 'rewrite', $4, $3, $3, $3)
ON CONFLICT (tenant_id) DO UPDATE SET
    version = excluded.version, phase = 'rewrite', after_id = $4, records = 0, seen = 0, changed = 0, merged = 0,
    holder = '', lease_time = $3, start_time = $3, update_time = $3, finish_time = NULL
WHERE r.version < $2 OR r.phase = 'done'

-- name: count_redo
-- Count the records to go over.
-- $1 text: tenant. $2 text: who has the lease.
UPDATE identity.redo AS r
SET records = (SELECT count(*) FROM identity.member AS m WHERE m.tenant_id = $1)
WHERE r.tenant_id = $1 AND r.holder = $2

-- name: advance_redo
-- Note how far it is, and lengthen the lease; no row when somebody else has taken over.
-- $1 text: tenant. $2 smallint: version. $3 text: who. $4 text: phase. $5 uuid: last record that is through.
-- $6, $7, $8 bigint: records seen, changed, entities merged since. $9 timestamptz: now. $10 timestamptz: until when.
UPDATE identity.redo AS r
SET
    phase = $4,
    after_id = $5,
    seen = r.seen + $6,
    changed = r.changed + $7,
    merged = r.merged + $8,
    update_time = $9,
    lease_time = $10,
    finish_time = CASE $4::text WHEN 'done' THEN $9::timestamptz END
WHERE r.tenant_id = $1 AND r.version = $2 AND r.holder = $3 AND r.phase <> 'done'
RETURNING r.tenant_id

-- name: release_redo
-- Give the lease back.
-- $1 text: tenant. $2 text: who has it. $3 timestamptz: now.
UPDATE identity.redo
SET lease_time = $3
WHERE tenant_id = $1 AND holder = $2

-- name: find_redo
-- How far it is.
-- $1 text: tenant.
SELECT
    r.tenant_id, r.version, r.phase, r.after_id, r.records, r.seen, r.changed, r.merged, r.holder, r.start_time,
    r.update_time, r.finish_time
FROM identity.redo AS r
WHERE r.tenant_id = $1

-- name: has_older
-- Whether a tenant has records by older rules: by the oldest of them, so that no plan looks for one that is not there.
-- $1 text: tenant. $2 smallint: version of the rules.
SELECT coalesce(
    (
        SELECT m.normalisation_version FROM identity.member AS m
        WHERE m.tenant_id = $1 AND m.normalisation_version >= 0
        ORDER BY m.normalisation_version LIMIT 1
    ) < $2,
    FALSE
) AS behind

-- name: list_said
-- Records in the order of their ids, as they stand, with what they said.
-- $1 text: tenant. $2 uuid: after this one. $3 integer: rows at most.
SELECT
    m.record_id::text AS record_id, m.source, m.object, m.external_id, m.entity_id, m.group_id, m.event_key, m.parts,
    array_to_string(m.keys, ' ') AS keys, m.strong, m.exclusive, m.digest, m.normalisation_version,
    (
        SELECT e.statements FROM identity.evidence AS e
        WHERE e.tenant_id = m.tenant_id AND e.record_id = m.record_id
    ) AS statements
FROM identity.member AS m
WHERE m.tenant_id = $1 AND m.record_id > $2
ORDER BY m.record_id
LIMIT $3

-- name: rewrite_records
-- Write what records say by later rules; see the function.
-- $1 text: tenant. $2 smallint: version. $3 uuid[]: records that say the same. Arrays: $4 uuid: record, $5 bytea: parts,
-- $6 text: keys, $7 and $8 smallint: how many are strong, exclusive, $9 bigint: digest. Keys that go: $10 bigint,
-- $11 uuid: record. Keys that come: $12 bigint, $13 uuid: record. Exclusive keys: $14 bigint: given up, $15 bigint, $16
-- uuid: entity that takes it.
SELECT identity.rewrite_records($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)

-- name: forget_generic
-- Forget which values identify nobody, but for those of crowded keys: it is found anew as their records are compared.
-- $1 text: tenant.
DELETE FROM identity.key_use
WHERE tenant_id = $1 AND NOT crowded
