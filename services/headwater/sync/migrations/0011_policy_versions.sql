-- Versions of policies as they came into force, and the renewal of entities that look different under each.

create table sync.policy_version (
    tenant_id text collate "C" not null,
    event_key uuid not null,
    xid bigint not null,
    seq bigint not null,
    digest text collate "C" not null,
    document text not null,
    version text not null default '',
    actor text not null,
    record_time timestamptz not null,
    state smallint not null default 1 check (state between 1 and 6),
    place_entity_id uuid not null default '00000000-0000-0000-0000-000000000000',
    next_time timestamptz not null default clock_timestamp(),
    scanned_count bigint not null default 0,
    changed_count bigint not null default 0,
    restated_count bigint not null default 0,
    late_count bigint not null default 0,
    field_counts jsonb not null default '{}',
    delivery_counts jsonb not null default '{}',
    begin_time timestamptz,
    settle_time timestamptz,
    end_time timestamptz,
    reason text not null default '',
    primary key (tenant_id, event_key)
);
create index policy_version_by_place on sync.policy_version (tenant_id, xid, seq);
create index policy_version_due on sync.policy_version (next_time) where state in (1, 2, 3);
comment on table sync.policy_version is
'Each policy that the projector came by in the log, written with the cursor; any process renews the entities under the '
'newest one, page by page, under the row''s lock.';
comment on column sync.policy_version.state is
'1 waiting, 2 renewing, 3 settling, 4 done, 5 superseded by a newer one, 6 refused: as RenewalState on the wire.';
comment on column sync.policy_version.late_count is
'Entities that were renewed after the first pass: batches under way while the policy changed had read them by the former.';
comment on column sync.policy_version.settle_time is
'When the second look begins: by then no process projects under the former policy any more.';

create table sync.quality (
    tenant_id text collate "C" not null,
    day date not null,
    source text collate "C" not null,
    object text collate "C" not null,
    field text collate "C" not null,
    record_count bigint not null check (record_count >= 0),
    present_count bigint not null check (present_count >= 0),
    invalid_count bigint not null check (invalid_count >= 0),
    stale_count bigint not null check (stale_count >= 0),
    personal_mail_count bigint not null check (personal_mail_count >= 0),
    entity_count bigint not null default 0 check (entity_count >= 0),
    newest_time timestamptz,
    measure_time timestamptz not null default clock_timestamp(),
    primary key (tenant_id, day, source, object, field)
);
comment on table sync.quality is
'What was measured of a tenant''s records, by UTC day; the last measurement of a day stands. Without a field: whole '
'records; without a source: of all sources together.';
comment on column sync.quality.entity_count is
'Entities that the records are of; rows without a field only.';
