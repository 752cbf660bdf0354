-- The watcher's side of the queue: which accounts have something due.

-- name: due_accounts
-- Accounts that have deliveries waiting, with the seconds until the earliest is due: one look into the key for
-- each account that has none, one into the queue for each lane of the others.
-- An account with a bulk job that is not over has something due at once.
-- Arrays: $1 tenant text[]; $2 connector text[].
select wanted.tenant_id, wanted.connector, 0::float8 as due_s
from unnest($1::text [], $2::text []) as wanted (tenant_id, connector)
where exists (
    select from sync.bulk_job as job
    where job.tenant_id = wanted.tenant_id and job.connector = wanted.connector
)
union all
select
    wanted.tenant_id, wanted.connector,
    extract(epoch from min(head.due_time) - clock_timestamp())::float8 as due_s
from unnest($1::text [], $2::text []) as wanted (tenant_id, connector)
cross join lateral (
    select waits.lane from sync.due as waits
    where waits.tenant_id = wanted.tenant_id and waits.connector = wanted.connector
    limit 1 -- noqa: AM09
) as waiting
cross join lateral (
    select first.due_time
    from generate_series(1, 4) as lane (number)
    cross join lateral (
        select item.due_time from sync.due as item
        where
            item.tenant_id = wanted.tenant_id and item.connector = wanted.connector
            and item.lane = lane.number
        order by item.due_time
        limit 1
    ) as first
) as head
group by wanted.tenant_id, wanted.connector;

-- name: notify_accounts
-- Wakes the delivery accounts that are named, once the transaction commits. $1 JSON list of [tenant, connector].
select pg_notify('headwater_delivery', $1);
