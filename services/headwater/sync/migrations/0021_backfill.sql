-- Backfills: stretches of time that are read again from CRMs, page by page, and how far each object of them is.

create table sync.backfill (
    tenant_id text collate "C" not null,
    backfill_id uuid not null,
    connector text collate "C" not null,
    since_time timestamptz,
    until_time timestamptz not null,
    share double precision not null check (share > 0 and share <= 1),
    dry_run boolean not null,
    absences boolean not null default false,
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
    absent_count bigint not null default 0,
    primary key (tenant_id, backfill_id, crm_object),
    foreign key (tenant_id, backfill_id) references sync.backfill
)
with (fillfactor = 50);
comment on table sync.backfill_part is 'One object of a backfill: everything before the cursor is recorded or refused.';
comment on column sync.backfill_part.cursor is 'The vendor''s own text; null until the first page.';
comment on column sync.backfill_part.expected_count is 'Records that the CRM counted; null until it was asked.';

create table sync.backfill_listed (
    tenant_id text collate "C" not null,
    backfill_id uuid not null,
    crm_object text collate "C" not null,
    crm_id text collate "C" not null,
    primary key (tenant_id, backfill_id, crm_object, crm_id)
);
comment on table sync.backfill_listed is
'Records that a CRM listed, while a backfill looks for those that it does not; gone with its end.';

-- Rebuilds: of one tenant as well, and with what came after they were first made.

create table sync.rebuild_scope (
    tenant_id text collate "C" primary key
);
comment on table sync.rebuild_scope is
'The tenants whose events are projected again; none while a rebuild goes on: all. Events of others are passed over, up to '
'where their shard was.';

drop function sync.begin_rebuild(text);
create function sync.begin_rebuild(
    p_actor text, p_tenant text default '', p_policies text default 'recorded'
) returns bigint
language plpgsql
as $$
declare
    v_events bigint;
    v_table text;
begin
    if p_policies not in ('recorded', 'newest') then
        raise exception 'policies are recorded (of each moment) or newest, not %', quote_literal(p_policies)
        using errcode = 'invalid_parameter_value';
    end if;
    if exists (select from sync.process where expire_time > clock_timestamp()) then
        raise exception 'sync is running: stop every process before the projection is emptied'
        using errcode = 'object_in_use';
    end if;
    if exists (select from sync.rebuild) and (
        p_tenant = '' or not exists (select from sync.rebuild_scope where tenant_id = p_tenant)
    ) then
        if exists (select from sync.rebuild_scope) or p_tenant <> '' then
            raise exception 'another rebuild goes on: start sync and let it come to its end first'
            using errcode = 'object_in_use';
        end if;
    end if;
    if exists (select from sync.rebuild where by_newest <> (p_policies = 'newest')) then
        raise exception 'a rebuild by other policies goes on: start sync and let it come to its end first'
        using errcode = 'object_in_use';
    end if;
    if p_tenant <> '' then
        insert into sync.rebuild_scope (tenant_id) values (p_tenant) on conflict do nothing;
    end if;
    insert into sync.rebuild as held (shard, xid, seq, by_newest)
    select shard, xid, seq, p_policies = 'newest' from sync.shard_cursor where (xid, seq) > (0, 0)
    on conflict (shard) do update set xid = excluded.xid, seq = excluded.seq
    where (held.xid, held.seq) < (excluded.xid, excluded.seq);
    select count(*) into v_events from sync.projection where p_tenant in ('', tenant_id);
    insert into sync.audit (tenant_id, action, actor)
    select distinct tenant_id, 'rebuild_began', p_actor from sync.entity where p_tenant in ('', tenant_id);
    update sync.delivery set desired_version = 0, delivered_version = 0 where p_tenant in ('', tenant_id);
    update sync.due set due_time = due_time + sync.held_back()
    where due_time < clock_timestamp() + sync.held_back() / 2 and p_tenant in ('', tenant_id);
    update sync.enrichment set wanted_version = 0, seen_version = 0 where p_tenant in ('', tenant_id);
    foreach v_table in array array[
        'record', 'entity', 'entity_reference', 'projection', 'routing_mark', 'timeline_due', 'timeline_spread', 'activity',
        'activity_person', 'activity_domain', 'activity_thread', 'association', 'timeline_key', 'reassociation'
    ] loop
        if p_tenant = '' then
            execute format('truncate sync.%I', v_table);
        else
            execute format('delete from sync.%I where tenant_id = $1', v_table) using p_tenant;
        end if;
    end loop;
    truncate sync.shard_cursor;
    return v_events;
end
$$;
comment on function sync.begin_rebuild(text, text, text) is
'Empties what is made from the log, of one tenant or of all, to have it made again; returns how many events that takes. '
'recorded: each event is read by the policy that was in force at its place in the log, and what entities show is decided by '
'the one in force now, as it was when they were renewed. newest: as if the policy in force had been the first. What is not '
'in the log stays. Deliveries and enrichment keep what CRMs and providers told; their versions are counted anew, as '
'those of entities are: an old number that an entity comes by again would look like nothing new. Marks of routing go, since '
'every lead is marked again. Assignments, turns, timers and what the log is still to be told stay: they were decided by what '
'people and the time were then. Approvals stay, since people gave them, and go by content. Answers of providers, what they '
'cost and their breakers stay.';

create or replace function sync.end_rebuild() returns void
language plpgsql
as $$
begin
    delete from sync.rebuild;
    delete from sync.rebuild_scope;
    update sync.due set due_time = due_time - sync.held_back()
    where due_time > clock_timestamp() + sync.held_back() / 2;
    perform pg_notify('headwater_delivery', '');
end
$$;

-- Records of CRMs that are to be read anew: what webhooks point at.

create sequence sync.record_fetch_number;

create table sync.record_fetch (
    tenant_id text collate "C" not null,
    connector text collate "C" not null,
    crm_object text collate "C" not null,
    crm_id text collate "C" not null,
    number bigint not null default nextval('sync.record_fetch_number'),
    want_time timestamptz not null default clock_timestamp(),
    due_time timestamptz not null default clock_timestamp(),
    try_count integer not null default 0,
    finding text not null default '',
    primary key (tenant_id, connector, crm_object, crm_id)
)
with (fillfactor = 70);
create index record_fetch_due on sync.record_fetch (tenant_id, connector, due_time);
comment on table sync.record_fetch is
'Written with the projection of what points at them; gone once what the CRM said of them is in the log.';
comment on column sync.record_fetch.number is 'Changes when it is wanted again: what was read before does not settle it then.';
