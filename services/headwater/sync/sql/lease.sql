-- Leases: who may work on a shard or a connector account.

-- name: acquire_leases
-- Takes every lease of $1 that is free, lapsed or already the holder's; a change of holder raises the fence.
-- $1 names text[], in order; $2 holder text; $3 time to live, seconds.
insert into sync.lease as held (name, holder, fence, expire_time)
select wanted.name, $2, 1, clock_timestamp() + make_interval(secs => $3)
from unnest($1::text []) as wanted (name)
order by wanted.name
on conflict (name) do update
set
    holder = excluded.holder,
    fence = case when held.holder = excluded.holder then held.fence else held.fence + 1 end,
    expire_time = excluded.expire_time
where held.expire_time < clock_timestamp() or held.holder = excluded.holder
returning name, fence;

-- name: release_leases
-- Lets go of all the holder's leases, so that another process need not wait for them to lapse.
-- $1 holder text.
update sync.lease set expire_time = '-infinity' where holder = $1;

-- name: hold_fences
-- Locks leases for the transaction; answers those whose fence is still in force.
-- Arrays in name order: $1 name text[]; $2 fence bigint[].
select held.name
from unnest($1::text [], $2::bigint []) as wanted (name, fence)
inner join sync.lease as held on wanted.name = held.name and wanted.fence = held.fence
where held.expire_time > clock_timestamp()
order by held.name
for share of held;
