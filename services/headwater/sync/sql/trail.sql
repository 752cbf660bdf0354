-- The audit as a tree: numbering what was committed, tiles, checkpoints, and reading it back with its hashes.

-- name: find_pending
-- Tenants behind $1 by name, at most $2, and whether entries of them wait that no running transaction can come before.
with recursive walk as (
    (select audit.tenant_id, 1 as n from sync.audit where audit.tenant_id > $1 order by audit.tenant_id limit 1)
    union all
    select next.tenant_id, walk.n + 1
    from walk
    cross join lateral (
        select audit.tenant_id from sync.audit
        where audit.tenant_id > walk.tenant_id
        order by audit.tenant_id
        limit 1
    ) as next
    where walk.n < $2
)
select
    walk.tenant_id,
    exists (
        select from sync.audit
        where
            audit.tenant_id = walk.tenant_id
            and (audit.xid, audit.audit_id) > (coalesce(head.xid, '0'), coalesce(head.audit_id, 0))
            and audit.xid < pg_snapshot_xmin(pg_current_snapshot())
    ) as pending
from walk
left join sync.audit_head as head using (tenant_id)
order by walk.tenant_id;

-- name: make_heads
-- Makes room for tenants without a head. $1 tenants text[].
insert into sync.audit_head (tenant_id)
select wanted.tenant_id from unnest($1::text []) as wanted (tenant_id)
order by wanted.tenant_id
on conflict do nothing;

-- name: lock_heads
-- Locks and returns heads, in key order. $1 tenants text[].
select held.tenant_id, held.size, held.xid::text::bigint as xid, held.audit_id
from unnest($1::text []) as wanted (tenant_id)
inner join sync.audit_head as held using (tenant_id)
order by held.tenant_id
for update of held;

-- name: read_tiles
-- Hashes of tiles. Arrays: $1 tenant, $2 tier, $3 tile.
select held.tenant_id, held.tier, held.tile, held.nodes
from unnest($1::text [], $2::smallint [], $3::bigint []) as wanted (tenant_id, tier, tile)
inner join sync.audit_tile as held using (tenant_id, tier, tile);

-- name: take_entries
-- The next entries of tenants behind their place, at most $4 of each: ids, transactions and leaves in order.
-- Arrays: $1 tenant, $2 xid, $3 audit id, $5 salts, 16 bytes for each entry.
select taken.tenant_id, taken.audit_ids, taken.xids, taken.leaves
from sync.take_audit($1::text [], $2::bigint [], $3::bigint [], $4::integer, $5::bytea []) as taken;

-- name: grow_tiles
-- Adds to tiles. Arrays: $1 tenant, $2 tier, $3 tile, $4 hashes, $5 audit ids as array texts, $6 xid and $7 audit id of
-- the last entry, $8 salts.
select sync.grow_tiles($1, $2, $3, $4, $5, $6, $7, $8);

-- name: move_heads
-- Moves locked heads. Arrays: $1 tenant, $2 size, $3 xid, $4 audit id.
update sync.audit_head as held
set size = item.size, xid = item.xid::text::xid8, audit_id = item.audit_id, update_time = clock_timestamp()
from unnest($1::text [], $2::bigint [], $3::bigint [], $4::bigint []) as item (tenant_id, size, xid, audit_id)
where held.tenant_id = item.tenant_id;

-- name: read_heads
-- Heads beyond their last checkpoint, and that one's line. $1 tenant behind which to look; $2 rows at most.
select
    head.tenant_id, head.size, head.finding, coalesce(sealed.size, 0) as sealed, sealed.checkpoint_time, sealed.line
from sync.audit_head as head
left join lateral (
    select one.size, one.checkpoint_time, one.line
    from sync.audit_checkpoint as one
    where one.tenant_id = head.tenant_id
    order by one.size desc
    limit 1
) as sealed on true
where head.tenant_id > $1 and head.size > coalesce(sealed.size, 0)
order by head.tenant_id
limit $2;

-- name: write_key
-- Keeps a public key. $1 key id; $2 public key; $3 time.
insert into sync.audit_key (key_id, public_key, create_time) values ($1, $2, $3)
on conflict do nothing;

-- name: write_checkpoint
-- Keeps a checkpoint. $1 tenant; $2 size; $3 hash; $4 time; $5 line.
insert into sync.audit_checkpoint (tenant_id, size, hash, checkpoint_time, line) values ($1, $2, $3, $4, $5);

-- name: write_finding
-- Notes why nothing is signed, or that all is well again. $1 tenant; $2 finding.
update sync.audit_head set finding = $2 where tenant_id = $1 and finding <> $2;

-- name: read_keys
-- Every public key, the oldest first.
select key_id, public_key, create_time from sync.audit_key
order by create_time, key_id;

-- name: read_head
-- One tenant's head. $1 tenant.
select
    head.size, head.finding, head.update_time,
    coalesce((
        select one.size from sync.audit_checkpoint as one
        where one.tenant_id = $1
        order by one.size desc
        limit 1
    ), 0) as sealed
from sync.audit_head as head
where head.tenant_id = $1;

-- name: list_checkpoints
-- Checkpoints of more than $2 entries, the smallest first. $1 tenant; $3 rows at most.
select size, hash, line from sync.audit_checkpoint
where tenant_id = $1 and size > $2
order by size
limit $3;

-- name: read_leaves
-- The entries of one tile of leaves, in order, with what their leaves were made of. Entries that are there between its
-- first and last place and were never numbered come last, with n null. $1 tenant; $2 tile.
with tile as materialized (
    select
        held.nodes, held.audit_ids, held.last_xid, held.last_audit_id, salt.salts,
        coalesce(before.last_xid, '0') as first_xid, coalesce(before.last_audit_id, 0) as first_audit_id
    from sync.audit_tile as held
    left join sync.audit_salt as salt using (tenant_id, tile)
    left join sync.audit_tile as before
        on held.tenant_id = before.tenant_id and before.tier = 0 and before.tile = held.tile - 1
    where held.tenant_id = $1 and held.tier = 0 and held.tile = $2
), entry as materialized (
    select
        one.audit_id, one.audit_time, one.action, one.actor, one.entity_id, one.event_key, one.connector,
        one.changes::text as changes, one.policy_version, one.trace_id, one.object, one.attempt_number, one.version,
        one.start_time, one.outcome, one.latency_ms, one.span_id
    from tile
    cross join lateral (
        select
            held.audit_id, held.audit_time, held.action, held.actor, held.entity_id, held.event_key, held.connector,
            held.changes, held.policy_version, held.trace_id, held.object, held.attempt_number, held.version,
            held.start_time, held.outcome, held.latency_ms, held.span_id
        from sync.audit as held
        where
            held.tenant_id = $1 and (held.xid, held.audit_id) > (tile.first_xid, tile.first_audit_id)
            and (held.xid, held.audit_id) <= (tile.last_xid, tile.last_audit_id)
        offset 0 -- noqa: AM09
    ) as one
), numbered as (
    select
        listed.audit_id, listed.n::integer as n, substr(tile.nodes, listed.n::integer * 32 - 31, 32) as leaf,
        substr(tile.salts, listed.n::integer * 16 - 15, 16) as salt
    from tile
    cross join unnest(tile.audit_ids) with ordinality as listed (audit_id, n)
)
select
    numbered.n, coalesce(numbered.audit_id, entry.audit_id) as audit_id, numbered.leaf, numbered.salt,
    entry.audit_id is null as missing, entry.audit_time, entry.action, entry.actor, entry.entity_id, entry.event_key,
    entry.connector, entry.changes, entry.policy_version, entry.trace_id, entry.object, entry.attempt_number,
    entry.version, entry.start_time, entry.outcome, entry.latency_ms, entry.span_id,
    erasure.commitment, erasure.order_id
from numbered
full join entry on numbered.audit_id = entry.audit_id
left join sync.audit_erasure as erasure
    on erasure.tenant_id = $1 and erasure.audit_id = numbered.audit_id
order by numbered.n;

-- name: find_leaf
-- The number of an entry, if it has one. $1 tenant; $2 audit id.
select tile * 256 + array_position(audit_ids, $2) as seq
from sync.audit_tile
where tenant_id = $1 and tier = 0 and $2 = any(audit_ids);

-- name: search_entries
-- Looks at the next entries before a place, newest first, and answers those that fit; the last one looked at is answered
-- always, and whether there may be more behind it. $1 tenant; before $2 xid and $3 audit id; $4 looked at, at most. Null: whatever it is. $5 entity; $6 event
-- key; $7 actor; $8 action; $9 connector; $10 from this time on; $11 before this one.
with looked as materialized (
    select
        one.xid, one.audit_id, one.audit_time, one.action, one.actor, one.entity_id, one.event_key, one.connector,
        one.policy_version,
        row_number() over (order by one.xid, one.audit_id) = 1 as is_last,
        ($5::uuid is null or one.entity_id = $5) and ($6::uuid is null or one.event_key = $6)
        and ($7::text is null or one.actor = $7) and ($8::text is null or one.action = $8)
        and ($9::text is null or one.connector = $9) and ($10::timestamptz is null or one.audit_time >= $10)
        and ($11::timestamptz is null or one.audit_time < $11) as fits
    from (
        select
            held.xid, held.audit_id, held.audit_time, held.action, held.actor, held.entity_id, held.event_key,
            held.connector, held.policy_version
        from sync.audit as held
        where held.tenant_id = $1 and (held.xid, held.audit_id) < (($2::bigint)::text::xid8, $3)
        order by held.xid desc, held.audit_id desc
        limit $4
    ) as one
)
select
    looked.xid::text::bigint as xid, looked.audit_id, looked.audit_time, looked.action, looked.actor,
    looked.entity_id, looked.event_key, looked.connector,
    case when looked.fits then coalesce(full_one.changes, '[]') else '[]' end as changes, looked.policy_version,
    looked.fits, (select count(seen.audit_id) from looked as seen) = $4 as more
from looked
left join lateral (
    select audit.changes from sync.audit
    where audit.tenant_id = $1 and audit.xid = looked.xid and audit.audit_id = looked.audit_id
    offset 0 -- noqa: AM09
) as full_one on looked.fits
where looked.fits or looked.is_last
order by looked.xid desc, looked.audit_id desc;

-- name: search_entity_entries
-- The same of one entity alone, by its index; all of it is looked at. $1 tenant; before $2 audit id; $3 entity; $4 rows.
-- Null: whatever it is. $5 event key; $6 actor; $7 action; $8 connector; $9 from this time on; $10 before this one.
select
    xid::text::bigint as xid, audit_id, audit_time, action, actor, entity_id, event_key, connector, changes,
    policy_version, true as fits
from sync.audit
where
    tenant_id = $1 and audit_id < $2 and entity_id = $3
    and ($5::uuid is null or event_key = $5) and ($6::text is null or actor = $6)
    and ($7::text is null or action = $7) and ($8::text is null or connector = $8)
    and ($9::timestamptz is null or audit_time >= $9) and ($10::timestamptz is null or audit_time < $10)
order by audit_id desc
limit $4;

-- name: count_erasable
-- Entries of an entity that have values still. $1 tenant; $2 entity.
select count(*) as entries
from sync.audit
where
    tenant_id = $1 and entity_id = $2 and action <> 'values_erased' and changes::text <> sync.erased()::text;

-- name: erase_traces
-- Takes an entity's values out of what is neither its source nor the audit. $1 tenant; $2 entity.
select cleared, held from sync.erase_traces($1, $2);

-- name: erase_values
-- Erases the values of an entity's entries; returns of how many. $1 tenant; $2 entity; $3 actor; $4 reason.
select sync.erase_audit($1, $2, $3, $4) as entries;
