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

-- name: insert_merge
-- Write a merge down.
-- $1 text: tenant. $2 uuid: merge. $3 text: object. $4 uuid: winner. $5 uuid: loser. $6 integer: records moved.
-- $7 timestamptz: now. $8 smallint, $9 text, $10 text: actor's type, id, name. $11 text: reason.
INSERT INTO identity.merge (
    tenant_id, merge_id, object, winner_id, loser_id, moved_count, merge_time,
    actor_type, actor_id, actor_name, reason
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)

-- name: insert_merge_members
-- Write down which records a merge moves: all of the loser's.
-- $1 text: tenant. $2 uuid: merge. $3 uuid: loser.
INSERT INTO identity.merge_member (tenant_id, merge_id, record_id)
SELECT tenant_id, $2, record_id
FROM identity.member
WHERE tenant_id = $1 AND entity_id = $3

-- name: move_members
-- Move every record of one entity to another.
-- $1 text: tenant. $2 uuid: from. $3 uuid: to.
UPDATE identity.member
SET entity_id = $3
WHERE tenant_id = $1 AND entity_id = $2

-- name: set_merged_into
-- Note which entity another one stands for, or with NULL that it stands for itself.
-- $1 text: tenant. $2 uuid: the entity. $3 uuid: the one it went into, or NULL.
UPDATE identity.entity
SET merged_into = $3
WHERE tenant_id = $1 AND entity_id = $2

-- name: list_moved_back
-- The records that a split moves back: those the merge moved and that no split has released.
-- $1 text: tenant. $2 uuid: merge.
SELECT m.record_id, m.source, m.object, m.external_id
FROM identity.merge_member AS mm
INNER JOIN identity.member AS m ON mm.tenant_id = m.tenant_id AND mm.record_id = m.record_id
WHERE mm.tenant_id = $1 AND mm.merge_id = $2 AND NOT mm.released
ORDER BY m.seq

-- name: move_back
-- Give records back to an entity.
-- $1 text: tenant. $2 uuid[]: records. $3 uuid: the entity.
UPDATE identity.member
SET entity_id = $3
WHERE tenant_id = $1 AND record_id = ANY($2::uuid[])

-- name: release_moves
-- Forget, for these records, the moves of a merge and of those that came on top of it.
-- $1 text: tenant. $2 uuid[]: records. $3 bigint: the merge's place in time.
UPDATE identity.merge_member AS mm
SET released = TRUE
FROM identity.merge AS g
WHERE
    mm.tenant_id = $1 AND mm.record_id = ANY($2::uuid[]) AND NOT mm.released
    AND g.tenant_id = mm.tenant_id AND g.merge_id = mm.merge_id AND g.seq >= $3

-- name: mark_split
-- Write down that a merge was undone.
-- $1 text: tenant. $2 uuid: merge. $3 timestamptz: now. $4 integer: records moved back.
-- $5 smallint, $6 text, $7 text: actor's type, id, name.
UPDATE identity.merge
SET
    split_time = $3,
    split_moved_count = $4,
    split_actor_type = $5,
    split_actor_id = $6,
    split_actor_name = $7
WHERE tenant_id = $1 AND merge_id = $2
