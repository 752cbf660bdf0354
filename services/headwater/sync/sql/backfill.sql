-- Backfills: begun and steered by operators, worked off under the lease of their account.

-- name: start_backfill
-- Begins a backfill; no row when it was begun before. $1 tenant; $2 backfill; $3 connector; $4 since or null;
-- $5 until; $6 share; $7 dry run; $8 actor; $9 policy version; $10 whether absent records are looked for.
insert into sync.backfill (
    tenant_id, backfill_id, connector, since_time, until_time, share, dry_run, actor, policy_version, absences
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
on conflict do nothing
returning backfill_id;

-- name: start_parts
-- The objects of a backfill. $1 tenant; $2 backfill; arrays: $3 CRM object text[], $4 object text[].
insert into sync.backfill_part (tenant_id, backfill_id, crm_object, object)
select $1, $2, part.crm_object, part.object from unnest($3::text [], $4::text []) as part (crm_object, object);

-- name: read_backfill
-- One backfill. $1 tenant; $2 backfill.
select
    tenant_id, backfill_id, connector, since_time, until_time, share, dry_run, absences, state, finding, call_count, work_s,
    actor, policy_version, create_time, update_time
from sync.backfill
where tenant_id = $1 and backfill_id = $2;

-- name: list_backfills
-- The newest backfills. $1 tenant; $2 rows.
select
    tenant_id, backfill_id, connector, since_time, until_time, share, dry_run, absences, state, finding, call_count, work_s,
    actor, policy_version, create_time, update_time
from sync.backfill
where tenant_id = $1
order by create_time desc, backfill_id desc
limit $2;

-- name: read_parts
-- The objects of backfills. $1 tenant; $2 backfills uuid[].
select
    backfill_id, crm_object, object, cursor, done, expected_count, page_records, read_count, deleted_count,
    accepted_count, duplicate_count, quarantined_count, refused_count, absent_count
from sync.backfill_part
where tenant_id = $1 and backfill_id = any($2::uuid [])
order by backfill_id, crm_object;

-- name: open_backfills
-- The running backfill that was begun first of each account. Arrays: $1 tenant text[], $2 connector text[].
select
    found.tenant_id, found.backfill_id, found.connector, found.since_time, found.until_time, found.share,
    found.dry_run, found.absences, found.state, found.finding, found.call_count, found.work_s, found.actor, found.policy_version,
    found.create_time, found.update_time
from unnest($1::text [], $2::text []) as account (tenant_id, connector)
cross join lateral (
    select
        one.tenant_id, one.backfill_id, one.connector, one.since_time, one.until_time, one.share, one.dry_run,
        one.absences, one.state, one.finding, one.call_count, one.work_s, one.actor, one.policy_version, one.create_time,
        one.update_time
    from sync.backfill as one
    where one.tenant_id = account.tenant_id and one.connector = account.connector and one.state = 1
    order by one.create_time
    limit 1
) as found;

-- name: steer_backfill
-- Puts a backfill into another state, and its share to another where one is given; no row when it has ended or stands
-- so already. $1 tenant; $2 backfill; $3 state; $4 states from which that may be, smallint[]; $5 share, or 0.
update sync.backfill
set
    state = $3, share = case when $5::double precision > 0 then $5::double precision else share end, finding = '', update_time = clock_timestamp()
where tenant_id = $1 and backfill_id = $2 and state = any($4::smallint [])
returning connector;

-- name: note_counted
-- Keeps what a CRM counted of an object. $1 tenant; $2 backfill; $3 CRM object; $4 records; $5 records of a page.
update sync.backfill_part set expected_count = $4, page_records = $5
where tenant_id = $1 and backfill_id = $2 and crm_object = $3;

-- name: move_part
-- Moves an object of a backfill from where it was read; answers nothing when another did. $1 tenant; $2 backfill;
-- $3 CRM object; $4 from, or null; $5 to; $6 done; $7 read; $8 deleted; $9 accepted; $10 duplicates; $11 quarantined;
-- $12 refused.
update sync.backfill_part
set
    cursor = $5, done = $6, read_count = read_count + $7, deleted_count = deleted_count + $8,
    accepted_count = accepted_count + $9, duplicate_count = duplicate_count + $10,
    quarantined_count = quarantined_count + $11, refused_count = refused_count + $12
where
    tenant_id = $1 and backfill_id = $2 and crm_object = $3 and cursor is not distinct from $4 and not done
returning crm_object;

-- name: move_backfill
-- Notes that a backfill is at work, and answers whether it may go on. $1 tenant; $2 backfill; $3 calls; $4 seconds.
update sync.backfill
set
    call_count = call_count + $3, work_s = work_s + $4, update_time = clock_timestamp(),
    finding = case when state = 1 then '' else finding end
where tenant_id = $1 and backfill_id = $2
returning state = 1 as runs;

-- name: find_backfill
-- Says what a running backfill waits for. $1 tenant; $2 backfill; $3 finding.
update sync.backfill set finding = $3, update_time = clock_timestamp()
where tenant_id = $1 and backfill_id = $2 and state = 1;

-- name: end_backfill
-- Ends a running backfill. $1 tenant; $2 backfill; $3 state; $4 finding.
update sync.backfill set state = $3, finding = $4, update_time = clock_timestamp()
where tenant_id = $1 and backfill_id = $2 and state = 1
returning connector, actor, policy_version;

-- name: note_listed
-- Keeps what a page listed. $1 tenant; $2 backfill; $3 CRM object; $4 CRM ids text[].
insert into sync.backfill_listed (tenant_id, backfill_id, crm_object, crm_id)
select $1, $2, $3, item.crm_id from unnest($4::text []) as item (crm_id)
on conflict do nothing;

-- name: count_absent
-- Records that the projection holds of an object, and those of them that were not listed. $1 tenant; $2 backfill; $3 CRM
-- object; $4 object; $5 source.
select
    count(*) as held,
    count(*) filter (
        where not exists (
            select from sync.backfill_listed as item
            where
                item.tenant_id = $1 and item.backfill_id = $2 and item.crm_object = $3
                and item.crm_id = known.external_id
        )
    ) as absent
from sync.record as known
where known.tenant_id = $1 and known.object = $4 and known.source = $5 and not known.deleted;

-- name: fetch_absent
-- Has the records read directly that were not listed. $1 tenant; $2 backfill; $3 CRM object; $4 object; $5 source;
-- $6 connector.
insert into sync.record_fetch as held (tenant_id, connector, crm_object, crm_id)
select $1, $6, $3, known.external_id
from sync.record as known
where
    known.tenant_id = $1 and known.object = $4 and known.source = $5 and not known.deleted
    and not exists (
        select from sync.backfill_listed as item
        where
            item.tenant_id = $1 and item.backfill_id = $2 and item.crm_object = $3
            and item.crm_id = known.external_id
    )
on conflict (tenant_id, connector, crm_object, crm_id) do update
set number = nextval('sync.record_fetch_number'), due_time = clock_timestamp(), try_count = 0;

-- name: note_absent
-- How many records were not listed. $1 tenant; $2 backfill; $3 CRM object; $4 records.
update sync.backfill_part set absent_count = $4 where tenant_id = $1 and backfill_id = $2 and crm_object = $3;

-- name: forget_listed
-- Forgets what was listed. $1 tenant; $2 backfill.
delete from sync.backfill_listed where tenant_id = $1 and backfill_id = $2;

-- name: unprojected
-- How many of these events are not projected yet. $1 tenant; $2 events uuid[].
select count(*) as waiting
from unnest($2::uuid []) as wanted (event_key)
where not exists (
    select from sync.projection as done where done.tenant_id = $1 and done.event_key = wanted.event_key -- noqa: RF01
);

-- name: note_backfill
-- Puts an order about a backfill, or its end, into the audit. $1 tenant; $2 connector; $3 actor; $4 policy version;
-- $5 action; $6 changes.
insert into sync.audit (tenant_id, connector, actor, policy_version, action, changes)
values ($1, $2, $3, $4, $5, $6);

-- name: notify_backfills
-- Wakes who works off backfills once the transaction commits.
select pg_notify('headwater_backfill', '');
