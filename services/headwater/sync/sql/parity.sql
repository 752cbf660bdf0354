-- How the CRMs are compared with what they should hold.

-- name: read_ranges
-- The ranges of an object, by id. $1 tenant; $2 connector; $3 CRM object.
select low, high, crm_count, newest_time, ours_hash, crm_hash, plan_hash, clean, read_time, run_id
from sync.parity_range
where tenant_id = $1 and connector = $2 and crm_object = $3
order by length(low), low;

-- name: ours_hashes
-- A hash of what we hold of each range: its deliveries, and its records where they are read. $1 tenant; $2 connector;
-- $3 CRM object; $4 object, empty where it is not read; $5 source. Arrays, by part of a range: $6 its low end,
-- $7 shortest and $8 longest id, $9 behind and $10 up to which id.
select
    part.low,
    concat_ws('.', sum(held.rows), bit_xor(held.hash), sum(told.rows), bit_xor(told.hash)) as hash
from unnest($6::text [], $7::int [], $8::int [], $9::text [], $10::text [])
    as part (low, shortest, longest, after, upto)
cross join lateral (
    select
        count(*) as rows,
        coalesce(bit_xor(hashtextextended(
            concat_ws('|', one.crm_id, one.known::text, one.state, one.desired_version, one.delivered_version), 0
        )), 0) as hash
    from sync.delivery as one
    where
        one.tenant_id = $1 and one.connector = $2 and one.crm_object = $3 and one.crm_id <> ''
        and one.crm_id > part.after and one.crm_id <= part.upto
        and length(one.crm_id) between part.shortest and part.longest
) as held
cross join lateral (
    select
        count(*) as rows,
        coalesce(bit_xor(hashtextextended(
            concat_ws('|', one.external_id, one.fields::text, one.deleted), 0
        )), 0) as hash
    from sync.record as one
    where
        one.tenant_id = $1 and one.object = $4 and one.source = $5 and one.external_id > part.after
        and one.external_id <= part.upto and length(one.external_id) between part.shortest and part.longest
) as told
group by part.low;

-- name: our_ids
-- CRM ids that we hold within a range; of records that are read, those that are not deleted. $1 tenant; $2 connector;
-- $3 CRM object; $4 object, empty where it is not read; $5 source. Arrays, by part of the range: $6 shortest and
-- $7 longest id, $8 behind and $9 up to which id.
select held.crm_id
from unnest($6::int [], $7::int [], $8::text [], $9::text []) as part (shortest, longest, after, upto)
cross join lateral (
    select one.crm_id from sync.delivery as one
    where
        one.tenant_id = $1 and one.connector = $2 and one.crm_object = $3 and one.crm_id <> ''
        and one.crm_id > part.after and one.crm_id <= part.upto
        and length(one.crm_id) between part.shortest and part.longest
    union
    select one.external_id from sync.record as one
    where
        one.tenant_id = $1 and one.object = $4 and one.source = $5 and one.external_id > part.after
        and one.external_id <= part.upto and length(one.external_id) between part.shortest and part.longest
        and not one.deleted
) as held;

-- name: bound_records
-- Deliveries that hold these CRM records, with their entities. $1 tenant; $2 connector; $3 CRM object; $4 ids text[].
select
    held.crm_id, held.entity_id, held.object, held.state, held.known, held.delivered_version as version,
    held.settle_time, entity.state as entity_state, coalesce(entity.merged_into::text, '') as heir, entity.fields
from unnest($4::text []) as wanted (crm_id)
cross join lateral (
    select one.* from sync.delivery as one
    where
        one.tenant_id = $1 and one.connector = $2 and one.crm_object = $3 and one.crm_id <> ''
        and one.crm_id = wanted.crm_id
    offset 0 -- noqa: AM09
) as held
inner join sync.entity as entity on entity.tenant_id = $1 and held.entity_id = entity.entity_id;

-- name: told_records
-- Records as their source told them. $1 tenant; $2 object; $3 source; $4 ids text[].
select held.external_id, held.entity_id, held.fields, held.deleted
from unnest($4::text []) as wanted (external_id)
cross join lateral (
    select one.* from sync.record as one
    where one.tenant_id = $1 and one.object = $2 and one.source = $3 and one.external_id = wanted.external_id
    offset 0 -- noqa: AM09
) as held;

-- name: former_records
-- Those of some CRM records that deliveries had to give up. $1 tenant; $2 connector; $3 CRM object; $4 ids text[].
select crm_id from sync.former_record
where tenant_id = $1 and connector = $2 and crm_object = $3 and crm_id = any($4::text []);

-- name: refused_records
-- Those of some CRM records that ingest refused. $1 tenant; $2 connector; $3 CRM object; $4 ids text[].
select crm_id from sync.poll_refusal
where tenant_id = $1 and connector = $2 and crm_object = $3 and crm_id = any($4::text []);

-- name: entity_homes
-- The CRM records of entities, empty while there is none. $1 tenant; $2 connector; $3 entities uuid[].
select entity_id, crm_id from sync.delivery
where tenant_id = $1 and connector = $2 and entity_id = any($3::uuid []);

-- name: drop_ranges
-- Forgets ranges that were read anew. $1 tenant; $2 connector; $3 CRM object; $4 low ends text[].
delete from sync.parity_range
where tenant_id = $1 and connector = $2 and crm_object = $3 and low = any($4::text []);

-- name: keep_range
-- Keeps a range as it was read. $1 tenant; $2 connector; $3 CRM object; $4 low; $5 high; $6 count; $7 newest time;
-- $8 our hash; $9 the CRM's; $10 the plan's; $11 clean; $12 read time; $13 run.
insert into sync.parity_range (
    tenant_id, connector, crm_object, low, high, crm_count, newest_time, ours_hash, crm_hash, plan_hash, clean,
    read_time, run_id
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
on conflict (tenant_id, connector, crm_object, low) do update
set
    high = excluded.high, crm_count = excluded.crm_count, newest_time = excluded.newest_time,
    ours_hash = excluded.ours_hash, crm_hash = excluded.crm_hash, plan_hash = excluded.plan_hash,
    clean = excluded.clean, read_time = excluded.read_time, run_id = excluded.run_id;

-- name: prove_ranges
-- Notes that ranges were proven unchanged by a run. $1 tenant; $2 connector; $3 CRM object; $4 low ends text[]; $5 run.
update sync.parity_range set run_id = $5
where tenant_id = $1 and connector = $2 and crm_object = $3 and low = any($4::text []);

-- name: note_drift
-- Notes drift that was found; what healed before begins anew, and what was accepted stays so while it looks the same.
-- $1 tenant; $2 connector; $3 CRM object; $4 run; $5 now.
-- Arrays: $6 CRM id, $7 kind, $8 object, $9 entity, $10 fields json, $11 version, $12 drift time.
insert into sync.drift as held (
    tenant_id, connector, crm_object, crm_id, kind, object, entity_id, fields, version, state, drift_time,
    detect_time, run_id
)
select
    $1, $2, $3, item.crm_id, item.kind, item.object, item.entity_id, item.fields, item.version, 'open',
    item.drift_time, $5, $4
from unnest($6::text [], $7::text [], $8::text [], $9::uuid [], $10::json [], $11::bigint [], $12::timestamptz [])
    as item (crm_id, kind, object, entity_id, fields, version, drift_time)
on conflict (tenant_id, connector, crm_object, crm_id, kind) do update
set
    object = excluded.object, entity_id = excluded.entity_id, fields = excluded.fields,
    version = excluded.version, run_id = excluded.run_id,
    state = case
        when held.state = 'healed' then 'open'
        when held.state = 'accepted' and held.fields::text <> excluded.fields::text then 'open'
        else held.state
    end,
    repair = case when held.state in ('healed', 'accepted') then '' else held.repair end,
    repair_count = case when held.state in ('healed', 'accepted') then 0 else held.repair_count end,
    ordered_by = case when held.state in ('healed', 'accepted') then '' else held.ordered_by end,
    drift_time = case when held.state in ('healed', 'accepted') then excluded.drift_time else held.drift_time end,
    detect_time = case when held.state in ('healed', 'accepted') then excluded.detect_time else held.detect_time end,
    heal_time = case when held.state in ('healed', 'accepted') then null else held.heal_time end
returning held.crm_id, held.kind, held.state;

-- name: open_drift
-- Drift that something can be done about, the oldest first. $1 tenant; $2 connector; behind $3 CRM object, $4 CRM id and
-- $5 kind; $6 rows; $7 states text[].
select
    crm_object, crm_id, kind, object, entity_id, fields, version, state, repair, repair_count, ordered_by,
    drift_time, detect_time, repair_time, heal_time, run_id
from sync.drift
where
    tenant_id = $1 and connector = $2 and state = any($7::text [])
    and (crm_object, crm_id, kind) > ($3, $4, $5)
order by crm_object, crm_id, kind
limit $6;

-- name: gone_records
-- By CRM object: records that are gone and were not given up, and records that the CRM has. $1 tenant; $2 connector.
select held.crm_object, count(*) as gone, coalesce(max(size.records), 0)::bigint as records
from sync.drift as held
left join lateral (
    select sum(one.crm_count) as records from sync.parity_range as one
    where one.tenant_id = $1 and one.connector = $2 and one.crm_object = held.crm_object
) as size on true
where
    held.tenant_id = $1 and held.connector = $2 and held.kind in ('missing', 'ended')
    and held.state in ('open', 'repairing', 'asked')
group by held.crm_object;

-- name: settle_drift
-- Notes what became of drift. $1 tenant; $2 connector; $3 now. Arrays: $4 CRM object, $5 CRM id, $6 kind, $7 state,
-- $8 repair.
update sync.drift as held
set
    state = item.state, repair = item.repair,
    repair_count = held.repair_count + (item.state = 'repairing')::int,
    repair_time = case when item.state = 'repairing' then $3 else held.repair_time end,
    heal_time = case when item.state = 'healed' then $3 else held.heal_time end
from unnest($4::text [], $5::text [], $6::text [], $7::text [], $8::text [])
    as item (crm_object, crm_id, kind, state, repair)
where
    held.tenant_id = $1 and held.connector = $2 and held.crm_object = item.crm_object
    and held.crm_id = item.crm_id and held.kind = item.kind;

-- name: redeliver
-- Makes deliveries due that hold other values in the CRM than they should, each noted in the audit: what was seen is
-- what the CRM is known to hold from now on. Those that have moved on meanwhile are left alone.
-- $1 tenant; $2 connector; $3 policy version; $4 actor. Arrays: $5 entity uuid[], $6 CRM id text[], $7 version bigint[],
-- $8 fields seen jsonb[].
with seen as (
    select item.entity_id, item.crm_id, item.version, item.fields
    from unnest($5::uuid [], $6::text [], $7::bigint [], $8::jsonb []) as item (entity_id, crm_id, version, fields)
), marked as (
    update sync.delivery as held
    set
        state = 1, known = jsonb_strip_nulls(held.known::jsonb || seen.fields)::json, failure_count = 0,
        wait_since = null, dirty_time = clock_timestamp()
    from seen
    where
        held.tenant_id = $1 and held.connector = $2 and held.entity_id = seen.entity_id
        and held.crm_id = seen.crm_id and held.state = 2 and held.delivered_version = seen.version
    returning held.entity_id, held.event_key, seen.fields
), lined_up as (
    insert into sync.due as held (tenant_id, connector, lane, due_time, entity_id)
    select $1, $2, 4, clock_timestamp(), entity_id from marked
    order by entity_id
    on conflict (tenant_id, connector, entity_id) do update set due_time = excluded.due_time
), noted as (
    insert into sync.audit (tenant_id, connector, actor, policy_version, action, entity_id, event_key, changes)
    select
        $1, $2, $4, $3, 'drift_redelivered', marked.entity_id, marked.event_key,
        (
            select json_agg(json_build_object('field', shown.key, 'before', null, 'after', shown.value, 'rule', 'reconcile'))
            from jsonb_each(marked.fields) as shown (key, value)
        )
    from marked
    order by marked.entity_id
)
select entity_id from marked;

-- name: recreate
-- Makes deliveries due whose CRM records are gone, to be written anew, each noted in the audit.
-- $1 tenant; $2 connector; $3 policy version; $4 actor. Arrays: $5 entity uuid[], $6 CRM id text[].
with gone as (
    select item.entity_id, item.crm_id
    from unnest($5::uuid [], $6::text []) as item (entity_id, crm_id)
), former as (
    insert into sync.former_record (tenant_id, connector, crm_object, crm_id, entity_id, end_time)
    select held.tenant_id, held.connector, held.crm_object, held.crm_id, held.entity_id, clock_timestamp()
    from gone
    inner join sync.delivery as held
        on
            held.tenant_id = $1 and held.connector = $2 and gone.entity_id = held.entity_id
            and gone.crm_id = held.crm_id and held.state = 2
    on conflict (tenant_id, connector, crm_object, crm_id) do update set end_time = excluded.end_time
), marked as (
    update sync.delivery as held
    set
        state = 1, crm_id = '', known = '{}', failure_count = 0, wait_since = null, dirty_time = clock_timestamp()
    from gone
    where
        held.tenant_id = $1 and held.connector = $2 and held.entity_id = gone.entity_id
        and held.crm_id = gone.crm_id and held.state = 2
    returning held.entity_id, held.event_key, gone.crm_id
), lined_up as (
    insert into sync.due as held (tenant_id, connector, lane, due_time, entity_id)
    select $1, $2, 4, clock_timestamp(), entity_id from marked
    order by entity_id
    on conflict (tenant_id, connector, entity_id) do update set due_time = excluded.due_time
), noted as (
    insert into sync.audit (tenant_id, connector, actor, policy_version, action, entity_id, event_key, changes)
    select
        $1, $2, $4, $3, 'drift_recreated', entity_id, event_key,
        json_build_array(json_build_object('field', 'crm_id', 'before', crm_id, 'after', null, 'rule', 'reconcile'))
    from marked
    order by entity_id
)
select entity_id from marked;

-- name: add_parity_calls
-- Counts calls of a day, and returns them all. $1 tenant; $2 connector; $3 day; $4 calls.
insert into sync.parity_usage as held (tenant_id, connector, day, calls) values ($1, $2, $3, $4)
on conflict (tenant_id, connector, day) do update set calls = held.calls + excluded.calls
returning calls;

-- name: take_parity_order
-- Takes an operator's order for the next run. $1 tenant; $2 connector; $3 job.
delete from sync.parity_order where tenant_id = $1 and connector = $2 and job = $3
returning dry, whole, actor;

-- name: unfinished_run
-- The run that goes on. $1 tenant; $2 connector; $3 job; begun after $4.
select run_id, begin_time, dry, report from sync.parity_run
where tenant_id = $1 and connector = $2 and job = $3 and end_time is null and begin_time > $4
order by begin_time desc
limit 1;

-- name: write_run
-- Keeps a run as it stands. $1 tenant; $2 run; $3 connector; $4 job; $5 dry; $6 begin; $7 end; $8 detail; $9 report json.
insert into sync.parity_run (tenant_id, run_id, connector, job, dry, begin_time, end_time, detail, report)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
on conflict (tenant_id, run_id) do update
set end_time = excluded.end_time, detail = excluded.detail, report = excluded.report;

-- name: prune_runs
-- Forgets what is older than a year: runs, drift that healed, usage. $1 tenant; $2 connector.
with runs as (
    delete from sync.parity_run
    where tenant_id = $1 and connector = $2 and begin_time < clock_timestamp() - interval '1 year'
), calls as (
    delete from sync.parity_usage
    where tenant_id = $1 and connector = $2 and day < current_date - 400
)
delete from sync.drift
where
    tenant_id = $1 and connector = $2 and state = 'healed' and heal_time < clock_timestamp() - interval '1 year';

-- name: last_report
-- The report of the last run that ended and kept what it found. $1 tenant; $2 connector; $3 job.
select report from sync.parity_run
where tenant_id = $1 and connector = $2 and job = $3 and not dry and end_time is not null
order by begin_time desc
limit 1;

-- name: lost_activities
-- Activities that are in no timeline and that nobody is about to place. $1 tenant; $2 rows.
select entity.entity_id
from sync.entity as entity
where
    entity.tenant_id = $1 and entity.object = 'activity' and entity.state = 'active' and entity.version > 0
    and not exists (
        select from sync.activity as held
        where held.tenant_id = $1 and held.activity_id = entity.entity_id
    )
    and not exists (
        select from sync.timeline_due as due
        where due.tenant_id = $1 and due.entity_id = entity.entity_id
    )
order by entity.entity_id
limit $2;

-- name: look_again
-- Has activities placed, once the transaction commits. $1 tenant; $2 activities uuid[].
with due as (
    insert into sync.timeline_due (tenant_id, entity_id, object, event_key)
    select $1, item.entity_id, 'activity', '00000000-0000-0000-0000-000000000000'::uuid
    from unnest($2::uuid []) as item (entity_id)
)
select pg_notify('headwater_timeline', '');

-- name: astray_associations
-- Activities that concern entities which stand no more, while no merge or split is being followed. $1 tenant; $2 rows.
select distinct held.activity_id
from sync.association as held
inner join sync.entity as entity
    on entity.tenant_id = $1 and held.entity_id = entity.entity_id and entity.state = 'merged'
where
    held.tenant_id = $1
    and not exists (select from sync.timeline_due as due where due.tenant_id = $1)
    and not exists (select from sync.reassociation as move where move.tenant_id = $1 and move.state = 1)
order by held.activity_id
limit $2;
