-- Rollouts: a policy change or a bulk re-delivery that reaches an account's records stage by stage.

create table sync.policy_change (
    tenant_id text collate "C" not null,
    change_id uuid not null,
    former_text text not null,
    former_digest text not null,
    new_text text not null,
    new_digest text not null,
    actor text not null,
    create_time timestamptz not null,
    begin_time timestamptz,
    apply_time timestamptz,
    end_time timestamptz,
    replaced boolean not null default false,
    primary key (tenant_id, change_id)
);
comment on table sync.policy_change is
'A policy that comes into force with a rollout, and the one before it: what an abort puts back.';
comment on column sync.policy_change.begin_time is 'The new policy may be in the log since then; null: it is not.';
comment on column sync.policy_change.apply_time is 'The new policy is in the log.';
comment on column sync.policy_change.end_time is
'An abort is through with the policy: the former one is in force, or (replaced) a third one, which is left alone.';

create table sync.rollout (
    tenant_id text collate "C" not null,
    rollout_id uuid not null,
    connector text collate "C" not null,
    kind smallint not null check (kind between 1 and 2),
    change_id uuid,
    object text collate "C" not null,
    conditions jsonb not null,
    look_up boolean not null,
    terms jsonb not null,
    state smallint not null check (state between 1 and 7),
    planned boolean not null,
    place_entity_id uuid not null,
    scanned_count bigint not null,
    total_count bigint not null,
    stage smallint not null,
    soak_time timestamptz,
    next_time timestamptz not null,
    rate_time timestamptz not null,
    reason text not null,
    actor text not null,
    policy_version text not null,
    create_time timestamptz not null default clock_timestamp(),
    update_time timestamptz not null default clock_timestamp(),
    primary key (tenant_id, rollout_id),
    check ((kind = 1) = (change_id is not null)),
    foreign key (tenant_id, change_id) references sync.policy_change (tenant_id, change_id)
);
create unique index rollout_open on sync.rollout (tenant_id, connector) where state in (1, 2, 3, 4, 6);
comment on index sync.rollout_open is 'One rollout of an account at a time.';
create index rollout_due on sync.rollout (next_time) where state in (1, 2, 3, 4, 6);
create index rollout_by_time on sync.rollout (tenant_id, create_time, rollout_id);
create index rollout_of_change on sync.rollout (tenant_id, change_id) where change_id is not null;
comment on table sync.rollout is
'Any process works a rollout off, under the row''s lock; the delivery actors know nothing of it.';
comment on column sync.rollout.state is
'1 planning, 2 running, 3 soaking, 4 held, 5 done, 6 rolling back, 7 aborted: as RolloutState on the wire.';

create table sync.rollout_stage (
    tenant_id text collate "C" not null,
    rollout_id uuid not null,
    stage smallint not null,
    size bigint not null,
    open_count bigint not null,
    delivered_count bigint not null,
    failing_count bigint not null,
    failed_count bigint not null,
    left_count bigint not null,
    begin_time timestamptz,
    settle_time timestamptz,
    primary key (tenant_id, rollout_id, stage)
);
comment on column sync.rollout_stage.stage is 'From 0; 99 takes back what an aborted policy has written.';

create table sync.rollout_member (
    tenant_id text collate "C" not null,
    rollout_id uuid not null,
    entity_id uuid not null,
    draw bigint not null,
    fate smallint not null default 0 check (fate between 0 and 5),
    stage smallint,
    return_count smallint not null default 0,
    admit_time timestamptz,
    primary key (tenant_id, rollout_id, entity_id)
)
with (fillfactor = 80);
create index rollout_member_next on sync.rollout_member (tenant_id, rollout_id, draw, entity_id) where fate = 0;
create index rollout_member_open on sync.rollout_member (tenant_id, rollout_id, entity_id) where fate in (1, 3);
comment on table sync.rollout_member is
'Records of a rollout, in the order of their draw, which is a hash: a restart goes on with the same set.';
comment on column sync.rollout_member.fate is
'0 planned, 1 under way, 2 delivered, 3 under way and failing, 4 failed, 5 left out.';
