-- Activities by whom they concern, and touches of leads. Filled behind the projection, a page at a time; only for tenants
-- whose policy has the sections.

create sequence sync.timeline_number as bigint;
comment on sequence sync.timeline_number is 'Order in which changed entities are looked at again.';

create table sync.timeline_due (
    tenant_id text collate "C" not null,
    number bigint not null default nextval('sync.timeline_number'),
    entity_id uuid not null,
    object text collate "C" not null,
    event_key uuid not null,
    primary key (tenant_id, number)
);
create index timeline_due_in_line on sync.timeline_due (number);
comment on table sync.timeline_due is
'Entities that the projector has changed: activities to associate, and those that activities may be associated with. Only '
'added to and taken from, so that the projector never waits.';

create table sync.timeline_spread (
    tenant_id text collate "C" not null,
    kind text collate "C" not null check (kind in ('all', 'mailbox', 'domain', 'concerns')),
    value text collate "C" not null,
    event_key uuid not null,
    place uuid not null default '00000000-0000-0000-0000-000000000000',
    primary key (tenant_id, kind, value)
);
comment on table sync.timeline_spread is
'Activities that have to be looked at again because of what they have in common with a changed entity, and how far that '
'is: those behind the place are still to come. Of kind all: every entity, because the policy has changed.';

create table sync.timeline_policy (
    tenant_id text collate "C" primary key,
    digest text collate "C" not null
);
comment on table sync.timeline_policy is 'By which words of the policy a tenant''s activities were associated last.';

create table sync.activity (
    tenant_id text collate "C" not null,
    activity_id uuid not null,
    kind text collate "C" not null,
    source text collate "C" not null,
    occur_time timestamptz not null,
    subject text not null,
    message_id text collate "C" not null check (message_id <> ''),
    actor text not null,
    status text collate "C" not null default '',
    people json not null,
    primary key (tenant_id, activity_id)
);
create index activity_by_message on sync.activity (tenant_id, message_id);
comment on column sync.activity.message_id is
'What threads know it by: the message''s id, or a meeting''s; its own where the source gives none.';
comment on column sync.activity.people is 'List of [role, address, name, contact].';

create table sync.activity_person (
    tenant_id text collate "C" not null,
    mailbox text collate "C" not null,
    activity_id uuid not null,
    placed boolean not null,
    primary key (tenant_id, mailbox, activity_id)
);
create index activity_person_by_activity on sync.activity_person (tenant_id, activity_id);
create index activity_person_unplaced on sync.activity_person (tenant_id, mailbox) where not placed;
comment on column sync.activity_person.placed is 'Whether the source''s own record of the address is in a contact.';

create table sync.activity_domain (
    tenant_id text collate "C" not null,
    domain text collate "C" not null,
    activity_id uuid not null,
    primary key (tenant_id, domain, activity_id)
);
create index activity_domain_by_activity on sync.activity_domain (tenant_id, activity_id);
comment on table sync.activity_domain is 'Domains by which companies of participants may be known: their own and those above.';

create table sync.activity_thread (
    tenant_id text collate "C" not null,
    message_id text collate "C" not null,
    thread_id text collate "C" not null,
    primary key (tenant_id, message_id)
);
create index activity_thread_members on sync.activity_thread (tenant_id, thread_id, message_id);
comment on table sync.activity_thread is
'Ids of messages, those that were only named among them, and the thread each is in: the smallest id of all that name each '
'other.';

create table sync.association (
    tenant_id text collate "C" not null,
    activity_id uuid not null,
    entity_id uuid not null,
    object text collate "C" not null,
    reason text collate "C" not null,
    confidence double precision not null check (confidence >= 0 and confidence <= 1),
    occur_time timestamptz not null,
    primary key (tenant_id, activity_id, entity_id)
);
create index association_in_time on sync.association (tenant_id, entity_id, occur_time, activity_id);
create index association_by_entity on sync.association (tenant_id, entity_id, activity_id);
comment on table sync.association is 'Whom activities concern, why, and how sure that is.';

create table sync.timeline_key (
    tenant_id text collate "C" not null,
    kind text collate "C" not null check (
        kind in ('mailbox', 'company', 'employer', 'domain', 'name', 'account', 'contact')
    ),
    value text collate "C" not null,
    entity_id uuid not null,
    primary key (tenant_id, kind, value, entity_id)
);
create index timeline_key_by_entity on sync.timeline_key (tenant_id, entity_id);
comment on table sync.timeline_key is
'What living contacts, accounts and deals are looked up by: a contact by mailbox, by the name of its company and by the '
'account that it refers to (employer), an account by domain and name, a deal by the account and contact that it refers to; '
'merges followed.';

create table sync.reassociation (
    tenant_id text collate "C" not null,
    event_key uuid not null,
    number bigint not null,
    change text collate "C" not null check (change in ('merged', 'split')),
    object text collate "C" not null,
    winner_id uuid not null,
    loser_id uuid not null,
    merge_id uuid not null,
    state smallint not null default 1 check (state in (1, 2)),
    place uuid not null default '00000000-0000-0000-0000-000000000000',
    examined_count bigint not null default 0,
    moved_count bigint not null default 0,
    create_time timestamptz not null default clock_timestamp(),
    end_time timestamptz,
    primary key (tenant_id, event_key)
);
create index reassociation_open on sync.reassociation (tenant_id, number) where state = 1;
comment on table sync.reassociation is
'Merges and splits that activities follow, a page in a transaction; activities behind the place are still to come. State: '
'1 open, 2 done.';

create table sync.touch (
    tenant_id text collate "C" not null,
    event_key uuid not null,
    object text collate "C" not null,
    source text collate "C" not null,
    external_id text collate "C" not null,
    touch_time timestamptz not null,
    channel text not null,
    detail text not null,
    policy_version text not null,
    primary key (tenant_id, event_key)
);
create index touch_by_record on sync.touch (tenant_id, object, source, external_id);
comment on table sync.touch is
'What events said of leads and contacts by the policy of the time: kept as long as the log, never written again.';
create trigger touch_is_immutable before update or delete or truncate on sync.touch
for each statement execute function sync.refuse_change();

create or replace function sync.begin_rebuild(p_actor text) returns bigint
language plpgsql
as $$
declare
    v_events bigint;
begin
    if exists (select from sync.process where expire_time > clock_timestamp()) then
        raise exception 'sync is running: stop every process before the projection is emptied'
        using errcode = 'object_in_use';
    end if;
    insert into sync.rebuild as held (shard, xid, seq)
    select shard, xid, seq from sync.shard_cursor where (xid, seq) > (0, 0)
    on conflict (shard) do update set xid = excluded.xid, seq = excluded.seq
    where (held.xid, held.seq) < (excluded.xid, excluded.seq);
    select count(*) into v_events from sync.projection;
    insert into sync.audit (tenant_id, action, actor)
    select distinct tenant_id, 'rebuild_began', p_actor from sync.entity;
    update sync.delivery set desired_version = 0, delivered_version = 0;
    update sync.due set due_time = due_time + sync.held_back()
    where due_time < clock_timestamp() + sync.held_back() / 2;
    truncate sync.record, sync.entity, sync.entity_reference, sync.projection, sync.shard_cursor;
    truncate
        sync.timeline_due, sync.timeline_spread, sync.activity, sync.activity_person, sync.activity_domain,
        sync.activity_thread, sync.association, sync.timeline_key, sync.reassociation;
    return v_events;
end
$$;
