-- Periodic jobs, what the pollers have reached, and what of an account ends by itself.
-- tenant_id is empty for jobs of the engine itself.

create table sync.schedule (
    tenant_id text collate "C" not null,
    name text collate "C" not null,
    kind text collate "C" not null check (kind in ('poll', 'expiry', 'maintenance')),
    connector text collate "C" not null default '',
    every_s double precision not null check (every_s > 0),
    plan_time timestamptz not null,
    next_time timestamptz not null,
    paused boolean not null default false,
    asked boolean not null default false,
    run_count bigint not null default 0,
    failure_count integer not null default 0,
    missed_count bigint not null default 0,
    begin_time timestamptz,
    end_time timestamptz,
    outcome text not null default '' check (outcome in ('', 'ok', 'failed', 'skipped')),
    detail text not null default '',
    primary key (tenant_id, name)
);
comment on table sync.schedule is 'Periodic jobs with the time of their next run; runs are leased, not the rows.';
comment on column sync.schedule.plan_time is 'The next time on the grid of every_s; next_time adds the jitter.';
comment on column sync.schedule.asked is 'An operator wants a run now, also of a paused job.';
comment on column sync.schedule.failure_count is 'Failures in a row.';
comment on column sync.schedule.missed_count is 'Runs that fell together with a later one.';
comment on column sync.schedule.begin_time is 'Start of the last run; later than end_time while it runs or was cut off.';

create table sync.poll_cursor (
    tenant_id text collate "C" not null,
    connector text collate "C" not null,
    crm_object text collate "C" not null,
    cursor text not null,
    record_count bigint not null default 0,
    move_time timestamptz not null default clock_timestamp(),
    primary key (tenant_id, connector, crm_object)
);
comment on table sync.poll_cursor is
'How far each object of an account is read: everything before the cursor is recorded in the event log.';

create table sync.poll_refusal (
    tenant_id text collate "C" not null,
    connector text collate "C" not null,
    crm_object text collate "C" not null,
    crm_id text collate "C" not null,
    reason text not null,
    message text not null,
    modify_time timestamptz not null,
    refuse_time timestamptz not null default clock_timestamp(),
    primary key (tenant_id, connector, crm_object, crm_id)
);
comment on table sync.poll_refusal is
'Polled records that ingest refused: the last refusal of each, until the record is accepted.';

create table sync.expiry (
    tenant_id text collate "C" not null,
    connector text collate "C" not null,
    kind text collate "C" not null check (kind in ('token', 'subscription', 'watch')),
    subject text collate "C" not null,
    expire_time timestamptz not null,
    renewable boolean not null,
    warned_days smallint,
    warn_time timestamptz,
    finding text not null default '',
    check_time timestamptz not null,
    primary key (tenant_id, connector, kind, subject)
);
comment on table sync.expiry is 'What of an account ends by itself, and the last warning of it: 7, 1 or 0 days ahead.';

create index projection_by_time on sync.projection using brin (project_time) with (pages_per_range = 32);
comment on index sync.projection_by_time is 'For the retention of old projections.';
