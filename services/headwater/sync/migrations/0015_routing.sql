-- Who was given which lead, whose turn is next, and the timers of what was promised.

create sequence sync.routing_mark_id;

create table sync.routing_mark (
    tenant_id text collate "C" not null,
    mark_id bigint not null default nextval('sync.routing_mark_id'),
    entity_id uuid not null,
    object text collate "C" not null,
    record_time timestamptz not null,
    xid bigint not null,
    seq bigint not null,
    primary key (tenant_id, mark_id)
);
comment on table sync.routing_mark is
'Entities that routing has to look at, written with the projection of what changed them; taken away once they were. '
'Rows are only added by the projector, so that it never waits for who takes them.';

create table sync.routing_tenant (
    tenant_id text collate "C" primary key,
    digest text collate "C" not null default '',
    sweep_place uuid
);
comment on table sync.routing_tenant is
'Held by whoever routes a tenant''s leads, one process at a time.';
comment on column sync.routing_tenant.digest is
'Of what the policy says about routing. Once it says something else, every lead is looked at again, page by page: '
'sweep_place is the last one, null when through.';

create table sync.routing_turn (
    tenant_id text collate "C" not null,
    pool text collate "C" not null,
    person text collate "C" not null,
    primary key (tenant_id, pool)
);
comment on table sync.routing_turn is 'The member of each pool who had the last turn.';

create table sync.assignment (
    tenant_id text collate "C" not null,
    entity_id uuid not null,
    home_id uuid not null,
    object text collate "C" not null,
    source text collate "C" not null default '',
    state smallint not null check (state between 1 and 6),
    number integer not null default 0 check (number >= 0),
    move_count integer not null default 0 check (move_count >= 0),
    person text collate "C" not null default '',
    role text collate "C" not null default '',
    rule text collate "C" not null default '',
    pool text collate "C" not null default '',
    lane text collate "C" not null default 'normal' check (lane in ('fast', 'normal')),
    reason text not null default '',
    policy_version text not null default '',
    lead_time timestamptz not null,
    assign_time timestamptz,
    touch_time timestamptz,
    check_time timestamptz,
    event_key uuid,
    primary key (tenant_id, entity_id)
);
create index assignment_by_home on sync.assignment (tenant_id, home_id);
create index assignment_by_person on sync.assignment (tenant_id, person) where state in (2, 3);
create index assignment_due on sync.assignment (tenant_id, check_time) where check_time is not null;
comment on table sync.assignment is
'Who has which lead, by which rule: one row for each entity that routing has looked at.';
comment on column sync.assignment.home_id is
'The entity that stands for it now: another one after a merge. One row of a home stands, the others have ended.';
comment on column sync.assignment.state is
'1 waiting for somebody, 2 assigned, 3 kept by an owner from elsewhere, 4 suppressed, 5 done, 6 ended by a merge or a deletion.';
comment on column sync.assignment.number is 'Which assignment of the lead it is, from 1.';
comment on column sync.assignment.check_time is 'When it is looked at again by itself; null: when it changes.';
comment on column sync.assignment.event_key is 'The event that tells of it in the log; null until ingest has taken it.';

create table sync.sla_timer (
    tenant_id text collate "C" not null,
    entity_id uuid not null,
    number integer not null,
    kind smallint not null check (kind between 1 and 3),
    state smallint not null check (state between 1 and 4),
    target text collate "C" not null,
    rule text collate "C" not null,
    person text collate "C" not null default '',
    escalate_to text collate "C" not null,
    start_time timestamptz not null,
    due_time timestamptz not null,
    end_time timestamptz,
    elapsed_s double precision,
    primary key (tenant_id, entity_id, number, kind)
);
create index sla_timer_due on sync.sla_timer (tenant_id, due_time) where state = 1;
create index sla_timer_ended on sync.sla_timer (tenant_id, end_time) where end_time is not null;
create index sla_timer_breached on sync.sla_timer (tenant_id, due_time) where state = 3;
comment on table sync.sla_timer is 'What was promised to a lead, and what became of it.';
comment on column sync.sla_timer.kind is '1 assignment, 2 first touch, 3 first reply.';
comment on column sync.sla_timer.state is '1 open, 2 met, 3 breached, 4 dropped: the lead moved on or ended.';
comment on column sync.sla_timer.elapsed_s is 'Working time from start to end; null until it ended.';

create table sync.routing_event (
    tenant_id text collate "C" not null,
    request_id text collate "C" not null,
    event_number bigint not null default nextval('sync.routing_mark_id'),
    entity_id uuid not null,
    number integer not null,
    body jsonb not null,
    primary key (tenant_id, request_id)
);
create index routing_event_in_order on sync.routing_event (tenant_id, event_number);
comment on table sync.routing_event is
'What the log is still to be told, in order; gone once ingest has taken it. Telling it twice changes nothing: the request id is its key.';
