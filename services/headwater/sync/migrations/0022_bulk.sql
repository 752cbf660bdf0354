-- Deliveries that a vendor takes as one job: which they are, and how far the job is, so that a successor goes on.

alter table sync.due drop constraint due_lane_check;
alter table sync.due add constraint due_lane_check check (lane between 0 and 4);
comment on column sync.due.lane is
'0 set aside, 1 live, 2 retry, 3 backfill, 4 reconcile. What is set aside is gathered for a bulk job, or part of one: no '
'turn claims it, and no mark lifts it into another lane, as every lane is above 0.';

create index due_aside on sync.due (tenant_id, connector) where lane = 0;
comment on index sync.due_aside is 'What is set aside: empty but while bulk jobs gather or run.';

create table sync.bulk_job (
    tenant_id text collate "C" not null,
    connector text collate "C" not null,
    job_id uuid not null,
    object text collate "C" not null,
    crm_object text collate "C" not null,
    external_id_field text collate "C" not null,
    policy_version text collate "C" not null,
    vendor_job text collate "C" not null default '',
    phase smallint not null default 1 check (phase in (1, 2)),
    records integer not null check (records > 0),
    create_time timestamptz not null default clock_timestamp(),
    change_time timestamptz not null default clock_timestamp(),
    primary key (tenant_id, connector, job_id)
);
comment on table sync.bulk_job is
'Jobs at vendors that are not over, or whose results are not settled. Phase 1: the vendor processes nothing of it yet, '
'whatever was uploaded. Phase 2: it was asked, or is about to be asked, to process it.';
comment on column sync.bulk_job.vendor_job is 'The vendor''s id, empty before it is known; nothing is uploaded before.';

create table sync.bulk_member (
    tenant_id text collate "C" not null,
    connector text collate "C" not null,
    entity_id uuid not null,
    job_id uuid not null,
    version bigint not null,
    primary key (tenant_id, connector, entity_id),
    foreign key (tenant_id, connector, job_id) references sync.bulk_job (tenant_id, connector, job_id)
);
create index bulk_member_job on sync.bulk_member (tenant_id, connector, job_id);
comment on table sync.bulk_member is
'Deliveries of open jobs, with the version that the job brings about; an entity is in one job of an account at most.';
