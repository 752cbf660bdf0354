-- Shards are read twice: live events at the front, bulk events behind it. The number of a shard's bulk side is ~shard.

insert into sync.shard_cursor (shard, xid, seq)
select ~held.shard, held.xid, held.seq from sync.shard_cursor as held
where held.shard >= 0
on conflict do nothing;

insert into sync.rebuild (shard, xid, seq, by_newest)
select ~held.shard, held.xid, held.seq, held.by_newest from sync.rebuild as held
where held.shard >= 0
on conflict do nothing;

comment on table sync.shard_cursor is
'Position up to which each shard of the log is projected. Of a number below 0, which is ~shard: up to which its bulk events '
'are; of another: up to which its live ones are, bulk events before it being set aside.';

create function sync.move_sides(p_shards smallint [], p_xids bigint [], p_seqs bigint []) returns void
language plpgsql
set plan_cache_mode = force_generic_plan
as $$
begin
    if cardinality(p_shards) = 0 then
        return;
    end if;
    insert into sync.shard_cursor as held (shard, xid, seq)
    select place.shard, place.xid, place.seq
    from unnest(p_shards, p_xids, p_seqs) as place (shard, xid, seq)
    on conflict (shard) do update
    set xid = excluded.xid, seq = excluded.seq, update_time = clock_timestamp()
    where (held.xid, held.seq) < (excluded.xid, excluded.seq);
    if exists (select from sync.rebuild) then
        perform pg_advisory_xact_lock(7521962890102);  -- the last shard to come through has to know that it is
        delete from sync.rebuild as held
        using unnest(p_shards, p_xids, p_seqs) as place (shard, xid, seq)
        where held.shard = place.shard and (held.xid, held.seq) <= (place.xid, place.seq);
        if not exists (select from sync.rebuild) then
            perform sync.end_rebuild();
        end if;
    end if;
end
$$;
comment on function sync.move_sides(smallint [], bigint [], bigint []) is
'Moves cursors over what is not theirs to do: live events at a bulk side, bulk events at the front. In key order.';
