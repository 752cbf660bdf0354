-- Records of CRMs that are to be read anew.

-- name: want_fetches
-- Has records read, in key order; not while the log is projected again: it was done then. Arrays: $1 tenant text[],
-- $2 connector text[], $3 CRM object text[], $4 CRM id text[].
insert into sync.record_fetch as held (tenant_id, connector, crm_object, crm_id)
select item.tenant_id, item.connector, item.crm_object, item.crm_id
from unnest($1::text [], $2::text [], $3::text [], $4::text []) as item (tenant_id, connector, crm_object, crm_id)
where not exists (select from sync.rebuild)
on conflict (tenant_id, connector, crm_object, crm_id) do update
set
    number = nextval('sync.record_fetch_number'), due_time = clock_timestamp(), want_time = clock_timestamp(), try_count = 0,
    finding = '';

-- name: notify_fetches
-- Wakes who reads once the transaction commits.
select pg_notify('headwater_fetch', '');

-- name: due_fetches
-- Records of some accounts that are due, those due first. Arrays: $1 tenant text[], $2 connector text[]; $3 rows of an
-- account.
select found.tenant_id, found.connector, found.crm_object, found.crm_id, found.number, found.try_count
from unnest($1::text [], $2::text []) as account (tenant_id, connector)
cross join lateral (
    select one.tenant_id, one.connector, one.crm_object, one.crm_id, one.number, one.try_count
    from sync.record_fetch as one
    where
        one.tenant_id = account.tenant_id and one.connector = account.connector
        and one.due_time <= clock_timestamp()
    order by one.due_time
    limit $3
) as found;

-- name: settle_fetches
-- Takes records away that were read, unless they were wanted again meanwhile. $1 tenant; $2 connector; $3 CRM object;
-- arrays: $4 CRM id text[], $5 number bigint[].
delete from sync.record_fetch as held
using unnest($4::text [], $5::bigint []) as item (crm_id, number)
where
    held.tenant_id = $1 and held.connector = $2 and held.crm_object = $3 and held.crm_id = item.crm_id
    and held.number = item.number;

-- name: put_off_fetches
-- Tries again later. $1 tenant; $2 connector; $3 CRM object; $4 CRM ids text[]; $5 seconds; $6 finding.
update sync.record_fetch set
    due_time = clock_timestamp() + make_interval(secs => $5), try_count = try_count + 1, finding = $6
where tenant_id = $1 and connector = $2 and crm_object = $3 and crm_id = any($4::text []);

-- name: known_alive
-- Those of some records that the projection holds as not deleted. $1 tenant; $2 object; $3 source; $4 external ids.
select external_id from sync.record
where tenant_id = $1 and object = $2 and source = $3 and external_id = any($4::text []) and not deleted;
