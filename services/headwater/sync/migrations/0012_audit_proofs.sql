-- The audit that can prove itself: entries get numbers after they are committed, their hashes grow a Merkle tree per
-- tenant, signed checkpoints bind it. What is hashed how: headwater/audit/entries.py; the tree: headwater/audit/merkle.py.

create table sync.audit_head (
    tenant_id text collate "C" primary key,
    size bigint not null default 0 check (size >= 0),
    xid xid8 not null default '0',
    audit_id bigint not null default 0,
    finding text not null default '',
    update_time timestamptz not null default clock_timestamp()
);
comment on table sync.audit_head is
'How far a tenant''s audit is numbered: entries up to the place (xid, audit_id) have the numbers 1 to size. Its row is '
'locked by whoever numbers or erases.';
comment on column sync.audit_head.finding is
'Why nothing is signed any more: the second place of checkpoints knows another history. Empty when all is well.';

create table sync.audit_tile (
    tenant_id text collate "C" not null,
    tier smallint not null check (tier >= 0),
    tile bigint not null check (tile >= 0),
    nodes bytea not null check (length(nodes) % 32 = 0 and length(nodes) between 32 and 8192),
    audit_ids bigint [] not null default '{}',
    last_xid xid8 not null default '0',
    last_audit_id bigint not null default 0,
    primary key (tenant_id, tier, tile),
    constraint leaves_are_of_entries check (tier > 0 or cardinality(audit_ids) * 32 = length(nodes))
);
alter table sync.audit_tile alter column nodes set storage external;
comment on table sync.audit_tile is
'The tree: 256 hashes a row; at tier 0 leaves, above each the hash over a whole tile of the tier below. Tiles of '
'tier 0 tell their entries, in order, and the place of the last one. A tile only grows, until it is full.';

create table sync.audit_salt (
    tenant_id text collate "C" not null,
    tile bigint not null,
    salts bytea not null check (length(salts) between 16 and 4096 and length(salts) % 16 = 0),
    primary key (tenant_id, tile)
);
alter table sync.audit_salt alter column salts set storage external;
comment on table sync.audit_salt is
'16 random bytes for each leaf of a tile, in its order: without them a leaf says nothing about the values of its '
'entry. Zeros once those were erased.';

create table sync.audit_checkpoint (
    tenant_id text collate "C" not null,
    size bigint not null check (size > 0),
    hash bytea not null check (length(hash) = 32),
    checkpoint_time timestamptz not null,
    line bytea not null,
    primary key (tenant_id, size)
);
comment on table sync.audit_checkpoint is
'Signed heads of the tree, as they stand in the second place; headwater/audit/checkpoints.py tells the line.';

create table sync.audit_key (
    key_id bytea primary key check (length(key_id) = 32),
    public_key bytea not null check (length(public_key) = 32),
    create_time timestamptz not null
);
comment on table sync.audit_key is 'Public keys that checkpoints are or were signed with; none is ever removed.';

create table sync.audit_erasure (
    tenant_id text collate "C" not null,
    audit_id bigint not null,
    seq bigint not null check (seq > 0),
    commitment bytea not null check (length(commitment) = 32),
    order_id bigint not null,
    erase_time timestamptz not null default clock_timestamp(),
    primary key (tenant_id, audit_id)
);
comment on table sync.audit_erasure is
'Entries whose values were erased after they were numbered, what their leaf was made of, and the entry that ordered it.';

create function sync.erased() returns json
language sql immutable parallel safe
return '[{"field":"#values","before":null,"after":null,"rule":"erased"}]'::json;
comment on function sync.erased() is 'What stands where the changes of an entry were.';

create function sync.audit_commitment(p_salt bytea, p_changes json) returns bytea
language sql stable parallel safe
return sha256('\x02'::bytea || p_salt || convert_to(p_changes::text, 'UTF8'));
comment on function sync.audit_commitment(bytea, json) is 'What a leaf says of the changes: see headwater/audit/entries.py.';

-- Nobody changes what was written: by statement, whoever it is and whether or not it would find a row.

create or replace function sync.refuse_change() returns trigger
language plpgsql as $$
begin
    if tg_op = 'UPDATE' and current_setting('headwater.audit_order', true) = tg_table_name then
        return null;
    end if;
    raise exception 'sync.% is append-only', tg_table_name using errcode = 'insufficient_privilege';
end
$$;
comment on function sync.refuse_change() is
'Refuses UPDATE, DELETE and TRUNCATE; sync.erase_audit and sync.grow_tiles may update, and what they update is looked at '
'row by row.';
create trigger audit_tile_is_immutable before update or delete or truncate on sync.audit_tile
for each statement execute function sync.refuse_change();
create trigger audit_checkpoint_is_immutable before update or delete or truncate on sync.audit_checkpoint
for each statement execute function sync.refuse_change();
create trigger audit_key_is_immutable before update or delete or truncate on sync.audit_key
for each statement execute function sync.refuse_change();
create trigger audit_erasure_is_immutable before update or delete or truncate on sync.audit_erasure
for each statement execute function sync.refuse_change();

create function sync.only_erase() returns trigger
language plpgsql as $$
begin
    if new.changes::text <> sync.erased()::text then
        raise exception 'of an entry of sync.audit only the values can be erased'
        using errcode = 'insufficient_privilege';
    end if;
    new.changes := old.changes;
    if new::text is distinct from old::text then
        raise exception 'of an entry of sync.audit only the values can be erased'
        using errcode = 'insufficient_privilege';
    end if;
    new.changes := sync.erased();
    return new;
end
$$;
comment on function sync.only_erase() is 'Lets an update of the audit do nothing but put the mark of erasure in place.';

create function sync.only_grow() returns trigger
language plpgsql as $$
begin
    if
        (new.tenant_id, new.tier, new.tile) is distinct from (old.tenant_id, old.tier, old.tile)
        or substr(new.nodes, 1, length(old.nodes)) <> old.nodes
        or new.audit_ids[1:cardinality(old.audit_ids)] <> old.audit_ids
    then
        raise exception 'a tile of sync.audit_tile only grows' using errcode = 'insufficient_privilege';
    end if;
    return new;
end
$$;
comment on function sync.only_grow() is 'Lets an update of a tile do nothing but add to it.';
create trigger audit_tile_only_grows before update on sync.audit_tile
for each row execute function sync.only_grow();

create function sync.take_audit(
    p_tenants text [], p_xids bigint [], p_ids bigint [], p_limit integer, p_salts bytea []
) returns table (tenant_id text, audit_ids bigint [], xids bigint [], leaves bytea)
language plpgsql
set enable_bitmapscan = off
set enable_seqscan = off
set enable_sort = off
as $$
#variable_conflict use_column
begin
    return query
    select
        wanted.tenant_id, taken.audit_ids, taken.xids, taken.leaves
    from unnest(p_tenants, p_xids, p_ids, p_salts) as wanted (tenant_id, xid, audit_id, salts)
    cross join lateral (
        select
            array_agg(entry.audit_id order by entry.xid, entry.audit_id) as audit_ids,
            array_agg(entry.xid::text::bigint order by entry.xid, entry.audit_id) as xids,
            string_agg(
                sha256('\x0001'::bytea || record_send(row(
                    entry.tenant_id, entry.audit_id, entry.audit_time, entry.action, entry.actor, entry.entity_id,
                    entry.event_key, entry.connector, entry.policy_version, entry.trace_id, entry.object,
                    entry.attempt_number, entry.version, entry.start_time, entry.outcome, entry.latency_ms, entry.span_id,
                    sha256(
                        '\x02'::bytea || substr(wanted.salts, entry.n::integer * 16 - 15, 16)
                        || convert_to(entry.changes::text, 'UTF8')
                    )
                ))),
                ''::bytea order by entry.xid, entry.audit_id
            ) as leaves
        from (
            select
                one.tenant_id, one.xid, one.audit_id, one.audit_time, one.action, one.actor, one.entity_id, one.event_key,
                one.connector, one.changes, one.policy_version, one.trace_id, one.object, one.attempt_number, one.version,
                one.start_time, one.outcome, one.latency_ms, one.span_id,
                row_number() over (order by one.xid, one.audit_id) as n
            from sync.audit as one
            where
                one.tenant_id = wanted.tenant_id and (one.xid, one.audit_id) > (wanted.xid::text::xid8, wanted.audit_id)
                and one.xid < pg_snapshot_xmin(pg_current_snapshot())
            order by one.xid, one.audit_id
            limit p_limit
        ) as entry
    ) as taken
    where taken.audit_ids is not null;
end
$$;
comment on function sync.take_audit is
'The next entries of tenants behind their place (xid, audit id), below every transaction under way, at most p_limit of '
'each, with their leaves. Planned to walk the key: a statistic that is behind would have a backlog sorted for each batch.';

create function sync.grow_tiles(
    p_tenants text [], p_tiers smallint [], p_tiles bigint [], p_nodes bytea [], p_ids text [], p_xids bigint [],
    p_last_ids bigint [], p_salts bytea []
) returns void
language plpgsql
as $$
begin
    perform set_config('headwater.audit_order', 'audit_tile', true);
    insert into sync.audit_tile as held (tenant_id, tier, tile, nodes, audit_ids, last_xid, last_audit_id)
    select
        item.tenant_id, item.tier, item.tile, item.nodes, item.audit_ids::bigint [], item.xid::text::xid8,
        item.last_audit_id
    from unnest(p_tenants, p_tiers, p_tiles, p_nodes, p_ids, p_xids, p_last_ids)
        as item (tenant_id, tier, tile, nodes, audit_ids, xid, last_audit_id)
    on conflict (tenant_id, tier, tile) do update
    set
        nodes = held.nodes || excluded.nodes, audit_ids = held.audit_ids || excluded.audit_ids,
        last_xid = excluded.last_xid, last_audit_id = excluded.last_audit_id;
    perform set_config('headwater.audit_order', '', true);
    insert into sync.audit_salt as held (tenant_id, tile, salts)
    select item.tenant_id, item.tile, item.salts
    from unnest(p_tenants, p_tiers, p_tiles, p_salts) as item (tenant_id, tier, tile, salts)
    where item.tier = 0
    on conflict (tenant_id, tile) do update
    set salts = held.salts || excluded.salts;
end
$$;
comment on function sync.grow_tiles is 'Adds hashes to tiles, and to those of tier 0 entries and salts. Heads are locked.';

create function sync.erase_audit(p_tenant text, p_entity uuid, p_actor text, p_reason text) returns integer
language plpgsql
as $$
declare
    v_head sync.audit_head;
    v_order bigint;
    v_one record;
    v_count integer := 0;
begin
    insert into sync.audit_head (tenant_id) values (p_tenant) on conflict do nothing;
    select held.* into v_head from sync.audit_head as held where held.tenant_id = p_tenant for update;
    insert into sync.audit (tenant_id, action, actor, entity_id, changes)
    values (
        p_tenant, 'values_erased', p_actor, p_entity,
        json_build_array(json_build_object('field', '#reason', 'before', null, 'after', p_reason, 'rule', 'erasure'))
    )
    returning audit_id into v_order;
    perform set_config('headwater.audit_order', 'audit', true);
    for v_one in
        select
            entry.xid, entry.audit_id, entry.changes, place.tile,
            array_position(place.audit_ids, entry.audit_id) as n
        from sync.audit as entry
        left join lateral (
            select tile.tile, tile.audit_ids
            from sync.audit_tile as tile
            where
                tile.tenant_id = p_tenant and tile.tier = 0
                and (tile.last_xid, tile.last_audit_id) >= (entry.xid, entry.audit_id)
            order by tile.tile
            limit 1
        ) as place on (entry.xid, entry.audit_id) <= (v_head.xid, v_head.audit_id)
        where
            entry.tenant_id = p_tenant and entry.entity_id = p_entity and entry.action <> 'values_erased'
            and entry.changes::text <> sync.erased()::text
    loop
        if v_one.n is not null then
            insert into sync.audit_erasure (tenant_id, audit_id, seq, commitment, order_id)
            select
                p_tenant, v_one.audit_id, v_one.tile * 256 + v_one.n,
                sync.audit_commitment(substr(held.salts, v_one.n * 16 - 15, 16), v_one.changes), v_order
            from sync.audit_salt as held
            where held.tenant_id = p_tenant and held.tile = v_one.tile;
            update sync.audit_salt as held
            set salts = overlay(held.salts placing decode(repeat('00', 16), 'hex') from v_one.n * 16 - 15)
            where held.tenant_id = p_tenant and held.tile = v_one.tile;
        end if;
        update sync.audit as entry set changes = sync.erased()
        where entry.tenant_id = p_tenant and entry.xid = v_one.xid and entry.audit_id = v_one.audit_id;
        v_count := v_count + 1;
    end loop;
    perform set_config('headwater.audit_order', '', true);
    return v_count;
end
$$;
comment on function sync.erase_audit(text, uuid, text, text) is
'Destroys the values and salts of every entry about an entity and leaves what their leaves were made of, so that proofs '
'stand; an entry says who ordered it. Returns how many entries lost their values. Idempotent. What backups and dead rows '
'hold is gone once they are.';

create trigger audit_only_loses_values before update on sync.audit
for each row execute function sync.only_erase();
