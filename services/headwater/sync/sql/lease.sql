-- Leases: who may work on a shard or a connector account. A lease is in force as long as its own time
-- and its holder's heartbeat last.

-- name: beat
-- Prolongs the process's heartbeat if it has not lapsed; answers whether it had not, and how many live.
-- $1 holder text; $2 time to live, seconds.
with beaten as (
    update sync.process
    set expire_time = clock_timestamp() + make_interval(secs => $2)
    where holder = $1 and expire_time > clock_timestamp()
    returning holder
)
select
    exists (select from beaten) as unbroken,
    1 + (
        select count(*) from sync.process as other
        where other.holder <> $1 and other.expire_time > clock_timestamp()
    ) as processes;

-- name: enter_process
-- Begins a heartbeat, or begins anew after one that lapsed: what was held then is free.
-- $1 holder text; $2 time to live, seconds.
with freed as (
    update sync.lease set expire_time = '-infinity' where holder = $1
), gone as (
    delete from sync.process as dead
    where
        dead.expire_time < clock_timestamp() - interval '1 hour' and dead.holder <> $1
        and not exists (select from sync.lease as held where held.holder = dead.holder)
)
insert into sync.process as own (holder, expire_time)
values ($1, clock_timestamp() + make_interval(secs => $2))
on conflict (holder) do update set expire_time = excluded.expire_time;

-- name: acquire_leases
-- Takes up to $3 leases of $1 that are free; every new holding raises the fence.
-- Processes try in different orders, so that they seldom want the same ones.
-- $1 names text[]; $2 holder text; $3 leases at most.
with free as (
    select wanted.name
    from unnest($1::text []) as wanted (name)
    left join sync.lease as held on wanted.name = held.name
    left join sync.process as process on held.holder = process.holder
    where
        (
            held.name is null or held.holder = $2 or held.expire_time <= clock_timestamp()
            or process.expire_time <= clock_timestamp()
        )
        and exists (
            select from sync.process as own where own.holder = $2 and own.expire_time > clock_timestamp()
        )
    order by md5(wanted.name || $2)
    limit $3
)
insert into sync.lease as held (name, holder, fence, expire_time)
select free.name, $2, 1, 'infinity' from free
order by free.name
on conflict (name) do update
set holder = excluded.holder, fence = held.fence + 1, expire_time = excluded.expire_time
where
    held.holder = excluded.holder or held.expire_time <= clock_timestamp()
    or exists (
        select from sync.process as process
        where process.holder = held.holder and process.expire_time <= clock_timestamp() -- noqa: RF01
    )
returning held.name, held.fence;

-- name: release_leases
-- Lets go of leases, so that another process may take them at once; waits for transactions under their fence.
-- $1 holder text; $2 names text[].
update sync.lease set expire_time = '-infinity' where holder = $1 and name = any($2::text []);

-- name: leave_process
-- Ends the heartbeat and lets go of everything. $1 holder text.
with freed as (
    update sync.lease set expire_time = '-infinity' where holder = $1
)
delete from sync.process where holder = $1;

-- name: hold_fences
-- Locks leases for the transaction; answers those whose fence is still in force.
-- Arrays in name order: $1 name text[]; $2 fence bigint[].
select held.name
from unnest($1::text [], $2::bigint []) as wanted (name, fence)
inner join sync.lease as held on wanted.name = held.name and wanted.fence = held.fence
where
    held.expire_time > clock_timestamp()
    and not exists (
        select from sync.process as process
        where process.holder = held.holder and process.expire_time <= clock_timestamp()
    )
order by held.name
for share of held;
