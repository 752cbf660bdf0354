-- Merging and splitting, under the tenant's lock.

-- name: find_merge
-- One merge.
-- $1 text: tenant. $2 uuid: merge.
SELECT merge_id, seq, object, winner_id, loser_id, moved_count, split_time, split_moved_count
FROM identity.merge
WHERE tenant_id = $1 AND merge_id = $2

-- name: find_standing_merge
-- The merge by which an entity went into another and that was not undone.
-- $1 text: tenant. $2 uuid: the entity that went.
SELECT merge_id, seq, object, winner_id, loser_id, moved_count, split_time, split_moved_count
FROM identity.merge
WHERE tenant_id = $1 AND loser_id = $2 AND split_time IS NULL

-- name: write_merge
-- Move every record of one entity to another, and write the merge down; see the function.
-- $1 text: tenant. $2 uuid: merge. $3 text: object. $4 uuid: winner. $5 uuid: loser. $6 integer: records moved.
-- $7 timestamptz: now. $8 smallint, $9 text, $10 text: actor's type, id, name. $11 text: reason.
SELECT identity.write_merge($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)

-- name: list_moved_back
-- The records that a split moves back: those the merge moved and that no split has released.
-- $1 text: tenant. $2 uuid: merge.
SELECT m.record_id::text AS record_id, m.source, m.object, m.external_id
FROM identity.merge_member AS mm
INNER JOIN identity.member AS m ON mm.tenant_id = m.tenant_id AND mm.record_id = m.record_id
WHERE mm.tenant_id = $1 AND mm.merge_id = $2 AND NOT mm.released
ORDER BY m.seq

-- name: write_split
-- Give the records that a merge moved back, and tell the two entities apart; see the function.
-- $1 text: tenant. $2 uuid: merge. $3 bigint: the merge's place in time. $4 uuid[]: records. $5 uuid: winner.
-- $6 uuid: loser. $7 timestamptz: now. $8 smallint, $9 text, $10 text: actor's type, id, name. $11 integer: the most
-- pairs of records that are told apart.
SELECT identity.write_split($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)

-- name: list_some_records
-- Records of entities, those resolved first: where to begin when their groups are made anew.
-- $1 text: tenant. $2 uuid[]: entities. $3 integer: rows at most.
SELECT record_id::text AS record_id
FROM identity.member
WHERE tenant_id = $1 AND entity_id = ANY($2::uuid[])
ORDER BY seq
LIMIT $3
