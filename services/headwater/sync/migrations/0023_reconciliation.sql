-- How the CRMs were compared with what they should hold: ranges of ids, runs, and the drift that was found.

alter table sync.schedule drop constraint schedule_kind_check;
alter table sync.schedule add constraint schedule_kind_check check (kind ~ '^[a-z_]{1,32}$');

create table sync.parity_range (
    tenant_id text collate "C" not null,
    connector text collate "C" not null,
    crm_object text collate "C" not null,
    low text collate "C" not null,
    high text collate "C" not null,
    crm_count bigint not null,
    newest_time timestamptz,
    ours_hash text not null,
    crm_hash text not null,
    plan_hash text not null,
    clean boolean not null,
    read_time timestamptz not null,
    run_id uuid not null,
    primary key (tenant_id, connector, crm_object, low)
);
comment on table sync.parity_range is
'The leaves of the tree by which an object of a CRM is compared: ids behind low up to high, none where high is empty.';
comment on column sync.parity_range.crm_count is 'Records of the range in the CRM when it was read last.';
comment on column sync.parity_range.newest_time is 'The latest change of one of them, by the CRM''s clock.';
comment on column sync.parity_range.ours_hash is 'Of what we held of the range''s records then.';
comment on column sync.parity_range.crm_hash is 'Of what the CRM showed of them then.';
comment on column sync.parity_range.plan_hash is 'Of what was compared, by the policy of then.';
comment on column sync.parity_range.clean is
'Whether every record of it could be compared: else it is read again, whatever the counts say.';

create table sync.parity_run (
    tenant_id text collate "C" not null,
    run_id uuid not null,
    connector text collate "C" not null,
    job text collate "C" not null check (job in ('daily', 'weekly', 'monthly')),
    dry boolean not null,
    begin_time timestamptz not null,
    end_time timestamptz,
    detail text not null default '',
    report json not null default '{}',
    primary key (tenant_id, run_id)
);
create index parity_run_by_time on sync.parity_run (tenant_id, connector, job, begin_time desc);
comment on table sync.parity_run is 'Runs of reconciliation with their reports; without an end one goes on where it was.';

create table sync.parity_order (
    tenant_id text collate "C" not null,
    connector text collate "C" not null,
    job text collate "C" not null check (job in ('daily', 'weekly', 'monthly')),
    dry boolean not null,
    whole boolean not null,
    actor text not null,
    order_time timestamptz not null default clock_timestamp(),
    primary key (tenant_id, connector, job)
);
comment on table sync.parity_order is 'How the next run is to be, by an operator''s order; taken by that run.';

create table sync.parity_usage (
    tenant_id text collate "C" not null,
    connector text collate "C" not null,
    day date not null,
    calls bigint not null,
    primary key (tenant_id, connector, day)
);
comment on table sync.parity_usage is 'Calls that reconciliation made on a day of the vendor''s.';

create table sync.drift (
    tenant_id text collate "C" not null,
    connector text collate "C" not null,
    crm_object text collate "C" not null,
    crm_id text collate "C" not null,
    kind text collate "C" not null check (
        kind in ('field', 'stale', 'contested', 'missing', 'ended', 'unrecorded', 'double')
    ),
    object text collate "C" not null default '',
    entity_id uuid,
    fields json not null default '[]',
    version bigint not null default 0,
    state text collate "C" not null check (state in ('open', 'repairing', 'asked', 'healed', 'accepted')),
    repair text collate "C" not null default '' check (repair in ('', 'redeliver', 'refetch', 'recreate', 'ask')),
    repair_count integer not null default 0,
    ordered_by text not null default '',
    drift_time timestamptz,
    detect_time timestamptz not null,
    repair_time timestamptz,
    heal_time timestamptz,
    run_id uuid not null,
    primary key (tenant_id, connector, crm_object, crm_id, kind)
);
create index drift_open on sync.drift (tenant_id, connector, detect_time) where state in ('open', 'repairing', 'asked');
create index drift_by_time on sync.drift (tenant_id, connector, detect_time);
comment on table sync.drift is 'What was found to differ between a CRM and Headwater, and what became of it.';
comment on column sync.drift.version is 'Of the delivery that it was compared with; 0 for none.';
comment on column sync.drift.fields is 'Of each field that differs its name, what it should be, and what it was.';
comment on column sync.drift.drift_time is 'When it came about, by the CRM''s clock; null where the CRM does not say.';
comment on column sync.drift.ordered_by is 'Who ordered the repair, empty where the policy did.';
