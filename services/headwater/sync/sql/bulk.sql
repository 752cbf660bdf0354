-- Bulk jobs of one connector account; written under the account's fence.

-- name: count_backlog
-- Due deliveries of the backfill lane, counted up to a number. $1 tenant; $2 connector; $3 number.
select count(*) from (
    select from sync.due as due
    where
        due.tenant_id = $1 and due.connector = $2 and due.lane = 3 and due.lane > 0
        and due.due_time <= clock_timestamp()
    limit $3 -- noqa: AM09
) as waiting;

-- name: set_aside
-- Takes claimed deliveries out of their lanes. $1 tenant; $2 connector; $3 entities uuid[].
update sync.due set lane = 0
where tenant_id = $1 and connector = $2 and entity_id = any($3::uuid []);

-- name: put_back
-- Puts deliveries that were set aside back in line; those that changed since their version was sent go first.
-- $1 tenant; $2 connector; $3 entities uuid[]; $4 versions bigint[].
with item as (
    select told.entity_id, told.version
    from unnest($3::uuid [], $4::bigint []) as told (entity_id, version)
), left_job as (
    delete from sync.bulk_member
    where tenant_id = $1 and connector = $2 and entity_id = any($3::uuid [])
)
update sync.due as held
set lane = case when delivery.desired_version > item.version then 2 else 3 end
from item
inner join sync.delivery as delivery
    on delivery.tenant_id = $1 and delivery.connector = $2 and item.entity_id = delivery.entity_id
where
    held.tenant_id = $1 and held.connector = $2 and held.entity_id = item.entity_id and held.lane = 0;

-- name: put_strays_back
-- Puts back in line what was set aside for a job that was never begun. $1 tenant; $2 connector.
update sync.due as held set lane = 3
where
    held.tenant_id = $1 and held.connector = $2 and held.lane = 0
    and not exists (
        select from sync.bulk_member as member
        where
            member.tenant_id = held.tenant_id and member.connector = held.connector
            and member.entity_id = held.entity_id
    );

-- name: begin_job
-- Keeps a job before anything of it is sent. $1 tenant; $2 connector; $3 job; $4 object; $5 CRM object; $6 external id
-- field; $7 policy version; $8 entities uuid[]; $9 versions bigint[].
with job as (
    insert into sync.bulk_job (
        tenant_id, connector, job_id, object, crm_object, external_id_field, policy_version, records
    )
    values ($1, $2, $3, $4, $5, $6, $7, cardinality($8::uuid []))
    returning job_id
)
insert into sync.bulk_member (tenant_id, connector, entity_id, job_id, version)
select $1, $2, item.entity_id, job.job_id, item.version
from unnest($8::uuid [], $9::bigint []) as item (entity_id, version), job;

-- name: note_job
-- Keeps the vendor's id of a job and how far it is. $1 tenant; $2 connector; $3 job; $4 vendor's id; $5 phase.
update sync.bulk_job set vendor_job = $4, phase = $5, change_time = clock_timestamp()
where tenant_id = $1 and connector = $2 and job_id = $3;

-- name: end_job
-- Forgets a job whose members are all back in line. $1 tenant; $2 connector; $3 job.
delete from sync.bulk_job where tenant_id = $1 and connector = $2 and job_id = $3;

-- name: open_jobs
-- Jobs that are not over, with their members. $1 tenant; $2 connector.
select
    job.job_id, job.object, job.crm_object, job.external_id_field, job.policy_version, job.vendor_job, job.phase,
    array_agg(member.entity_id) filter (where member.entity_id is not null) as entities,
    array_agg(member.version) filter (where member.entity_id is not null) as versions
from sync.bulk_job as job
left join sync.bulk_member as member
    on job.tenant_id = member.tenant_id and job.connector = member.connector and job.job_id = member.job_id
where job.tenant_id = $1 and job.connector = $2
group by job.tenant_id, job.connector, job.job_id
order by job.create_time;

-- name: doubt_members
-- Puts deliveries in doubt that a job may have written. $1 tenant; $2 connector; $3 entities uuid[].
update sync.delivery set state = 4
where tenant_id = $1 and connector = $2 and entity_id = any($3::uuid []) and state in (1, 3);

-- name: clear_bulk_journal
-- Empties the journal of what was gathered before: it is in a job, or put back in line. $1 tenant; $2 connector; $3 the
-- first slot.
update sync.inflight set entity_ids = '{}'
where tenant_id = $1 and connector = $2 and slot >= $3::smallint and entity_ids <> '{}';

-- name: journal_bulk
-- Journals what a job may be writing. $1 tenant; $2 connector; $3 slot; $4 fence; $5 entities uuid[].
insert into sync.inflight as held (tenant_id, connector, slot, fence, turn_number, entity_ids)
values ($1, $2, $3, $4, 0, $5)
on conflict (tenant_id, connector, slot) do update set fence = excluded.fence, entity_ids = excluded.entity_ids;
