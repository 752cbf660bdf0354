-- The operators' workbench: why deliveries fail, grouped by cause, and replays that are worked off at a rate.

create table sync.error_group (
    tenant_id text collate "C" not null,
    group_id uuid not null,
    connector text collate "C" not null,
    endpoint text not null,
    error_class text not null,
    error_code text not null,
    message text not null,
    last_message text not null,
    failure_count bigint not null check (failure_count > 0),
    first_seen_time timestamptz not null default clock_timestamp(),
    last_seen_time timestamptz not null default clock_timestamp(),
    sample_entity_ids uuid [] not null,
    primary key (tenant_id, group_id)
);
create index error_group_by_time on sync.error_group (tenant_id, last_seen_time, group_id);
comment on table sync.error_group is
'One row a cause of failed tries, for ever; it is open while `error_member` has rows of it.';

create table sync.error_member (
    tenant_id text collate "C" not null,
    connector text collate "C" not null,
    entity_id uuid not null,
    group_id uuid,
    in_doubt boolean not null,
    fail_time timestamptz not null default clock_timestamp(),
    primary key (tenant_id, connector, entity_id)
);
create index error_member_by_group on sync.error_member (tenant_id, group_id, entity_id)
where group_id is not null;
comment on table sync.error_member is
'Deliveries whose last try failed, and for which cause; the row goes when the CRM holds the record.';
comment on column sync.error_member.group_id is 'Null once the delivery was discarded.';
comment on column sync.error_member.in_doubt is
'Nobody knows whether the try was applied: a replay looks it up before anything else.';

create table sync.replay (
    tenant_id text collate "C" not null,
    replay_id uuid not null,
    connector text collate "C" not null,
    group_id uuid,
    entity_ids uuid [] not null,
    rate_per_s double precision not null check (rate_per_s between 0.01 and 1000),
    state smallint not null default 1 check (state between 1 and 4),
    total_count bigint not null check (total_count >= 0),
    replayed_count bigint not null default 0 check (replayed_count >= 0),
    next_time timestamptz not null,
    place_connector text collate "C" not null default '',
    place_entity_id uuid not null default '00000000-0000-0000-0000-000000000000',
    actor text not null,
    policy_version text not null,
    create_time timestamptz not null default clock_timestamp(),
    update_time timestamptz not null default clock_timestamp(),
    primary key (tenant_id, replay_id)
);
create index replay_by_time on sync.replay (tenant_id, create_time, replay_id);
create index replay_running on sync.replay (next_time) where state = 1;
comment on table sync.replay is
'Dead deliveries to make due again, so many a second; any process works it off, under the row''s lock.';
comment on column sync.replay.state is '1 running, 2 paused, 3 done, 4 cancelled: as ReplayState on the wire.';
comment on column sync.replay.next_time is 'When the next delivery may be made due: keeps the rate over restarts.';
comment on column sync.replay.place_entity_id is 'With place_connector: everything up to here was seen.';
