-- Backfills: stretches of time that are read again from CRMs, page by page, and how far each object of them is.

create table sync.backfill (
    tenant_id text collate "C" not null,
    backfill_id uuid not null,
    connector text collate "C" not null,
    since_time timestamptz,
    until_time timestamptz not null,
    share double precision not null check (share > 0 and share <= 1),
    dry_run boolean not null,
    state smallint not null default 1 check (state between 1 and 5),
    finding text not null default '',
    call_count bigint not null default 0,
    work_s double precision not null default 0,
    actor text not null,
    policy_version text not null,
    create_time timestamptz not null default clock_timestamp(),
    update_time timestamptz not null default clock_timestamp(),
    primary key (tenant_id, backfill_id),
    check (since_time is null or since_time <= until_time)
)
with (fillfactor = 50);
create index backfill_by_time on sync.backfill (tenant_id, create_time, backfill_id);
create index backfill_open on sync.backfill (tenant_id, connector, create_time) where state = 1;
comment on table sync.backfill is
'Worked off by the process that holds the account''s lease; a crash repeats at most a page, whose events are known then.';
comment on column sync.backfill.state is '1 running, 2 paused, 3 done, 4 cancelled, 5 failed: as BackfillState on the wire.';
comment on column sync.backfill.share is 'Part of the account''s limits that its calls may use.';
comment on column sync.backfill.finding is 'What it waits for, or what ended it.';

create table sync.backfill_part (
    tenant_id text collate "C" not null,
    backfill_id uuid not null,
    crm_object text collate "C" not null,
    object text collate "C" not null,
    cursor text,
    done boolean not null default false,
    expected_count bigint,
    page_records integer not null default 0,
    read_count bigint not null default 0,
    deleted_count bigint not null default 0,
    accepted_count bigint not null default 0,
    duplicate_count bigint not null default 0,
    quarantined_count bigint not null default 0,
    refused_count bigint not null default 0,
    primary key (tenant_id, backfill_id, crm_object),
    foreign key (tenant_id, backfill_id) references sync.backfill
)
with (fillfactor = 50);
comment on table sync.backfill_part is 'One object of a backfill: everything before the cursor is recorded or refused.';
comment on column sync.backfill_part.cursor is 'The vendor''s own text; null until the first page.';
comment on column sync.backfill_part.expected_count is 'Records that the CRM counted; null until it was asked.';
