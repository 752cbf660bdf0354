-- Erasing records, and giving those that are told anew their names back.

-- name: restore_names
-- Name records again that were erased and are told anew; others keep theirs.
-- $1 text: tenant. $2 text, $3 text: records and their external ids, as array texts.
UPDATE identity.member AS m SET external_id = n.external_id
FROM unnest($2::text::uuid[], $3::text::text[]) AS n (record_id, external_id)
WHERE m.tenant_id = $1 AND m.record_id = n.record_id AND starts_with(m.external_id, 'erased:')

-- name: erase_records
-- Empty records of what was said of them; counts of what was there.
-- $1 text: tenant. $2 uuid[]: records. $3 boolean: only count. $4 bytea: the stored form of nothing.
SELECT e.members, e.statements, e.keys, e.notes FROM identity.erase_records($1, $2::uuid[], $3, $4) AS e
