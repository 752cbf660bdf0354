-- Erasing records.

-- name: erase_records
-- Empty records of what was said of them; counts of what was there.
-- $1 text: tenant. $2 uuid[]: records. $3 boolean: only count.
SELECT e.members, e.statements, e.keys, e.notes FROM identity.erase_records($1, $2::uuid[], $3) AS e
