-- The projection of the event log, and the standing orders to the CRMs.
-- Every key begins with tenant_id, save the leases and cursors of the engine itself, which hold no
-- tenant's data.

create table sync.lease (
    name text primary key,
    holder text not null,
    fence bigint not null check (fence > 0),
    expire_time timestamptz not null
);
comment on table sync.lease is
'Who may work on a shard or a connector account; a higher fence makes every lower one void.';
comment on column sync.lease.expire_time is
'A lease is in force until then, as long as its holder''s heartbeat lasts; -infinity once it is let go.';

create table sync.process (
    holder text primary key,
    expire_time timestamptz not null
)
with (fillfactor = 50);
comment on table sync.process is
'The heartbeat of each sync process: one row prolongs every lease that it holds, and tells how many live.';

create table sync.shard_cursor (
    shard smallint primary key,
    xid bigint not null,
    seq bigint not null,
    update_time timestamptz not null default clock_timestamp()
);
comment on table sync.shard_cursor is 'Position up to which each shard of the log is projected.';

create table sync.projection (
    tenant_id text collate "C" not null,
    event_key uuid not null,
    rule text not null,
    superseded boolean not null,
    poisoned boolean not null default false,
    error text not null default '',
    entity_ids uuid [] not null,
    versions bigint [] not null,
    xid bigint not null,
    seq bigint not null,
    trace_id text not null default '',
    project_time timestamptz not null default clock_timestamp(),
    primary key (tenant_id, event_key),
    check (not (superseded and poisoned)),
    check (cardinality(entity_ids) = cardinality(versions))
);
comment on table sync.projection is 'How the projector ended each event of the log: one row an event.';

create table sync.record (
    tenant_id text collate "C" not null,
    object text collate "C" not null,
    source text collate "C" not null,
    external_id text collate "C" not null,
    entity_id uuid not null,
    fields jsonb not null,
    deleted boolean not null,
    delete_time timestamptz,
    home_seq bigint not null default 0,
    primary key (tenant_id, object, source, external_id)
);
comment on column sync.record.home_seq is
'The merge or split, by identity''s count, as of which the record is in its entity: earlier ones that come later move '
'it no more.';
create index record_by_entity on sync.record (tenant_id, entity_id);
comment on column sync.record.fields is
'Field to [value, field time in microseconds since 1970, event key], and what the source said where the value is in '
'another spelling.';

create table sync.entity (
    tenant_id text collate "C" not null,
    entity_id uuid not null,
    object text collate "C" not null,
    state text collate "C" not null check (state in ('active', 'merged', 'deleted')),
    merged_into uuid check ((state = 'merged') = (merged_into is not null)),
    version bigint not null check (version >= 0),
    fields json not null,
    policy_version text not null default '',
    change_time timestamptz not null default clock_timestamp(),
    state_seq bigint not null default 0,
    primary key (tenant_id, entity_id)
);
comment on column sync.entity.state_seq is 'The merge or split, by identity''s count, that ended or restored it last.';
comment on column sync.entity.fields is
'Field to [value, rule, source, event key, field time in microseconds since 1970]. Read whole or not at all, so kept '
'as text: each delivery reads it, and from jsonb the text would be made anew each time.';

create table sync.entity_reference (
    tenant_id text collate "C" not null,
    from_entity_id uuid not null,
    field text collate "C" not null,
    to_entity_id uuid not null,
    primary key (tenant_id, from_entity_id, field, to_entity_id)
);
create index entity_reference_back on sync.entity_reference (tenant_id, to_entity_id) where field <> '';
comment on index sync.entity_reference_back is
'Its condition is always true; only a query that states it can use the index. So a plan made before the table was '
'filled cannot take it for look-ups of the other direction.';

create table sync.delivery (
    tenant_id text collate "C" not null,
    connector text collate "C" not null,
    entity_id uuid not null,
    object text collate "C" not null,
    state smallint not null check (state between 1 and 7),
    stopped boolean not null generated always as (state in (5, 6, 7)) stored,
    desired_version bigint not null,
    delivered_version bigint not null default 0,
    crm_object text not null default '',
    crm_id text not null default '',
    known json not null default '{}',
    failure_count integer not null default 0,
    try_count integer not null default 0,
    wait_since timestamptz,
    lacks_reference boolean not null default false,
    reference_came boolean not null default false,
    last_error_class text not null default '',
    last_error text not null default '',
    discard_reason text not null default '',
    event_key uuid not null,
    revived_key uuid,
    traceparent text not null default '',
    tracestate text not null default '',
    last_traceparent text not null default '',
    mark_time timestamptz not null default clock_timestamp(),
    dirty_time timestamptz not null,
    settle_time timestamptz,
    primary key (tenant_id, connector, entity_id),
    check (desired_version >= delivered_version)
)
with (
    fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05,
    autovacuum_vacuum_cost_delay = 0
);
create index delivery_by_entity on sync.delivery (tenant_id, entity_id) where connector <> '';
comment on index sync.delivery_by_entity is
'Its condition is always true; only a query that states it can use the index. So look-ups of one account''s delivery '
'cannot read those of all accounts by it.';
create unique index delivery_by_crm_record on sync.delivery (tenant_id, connector, crm_object, crm_id)
where crm_id <> '';
comment on index sync.delivery_by_crm_record is 'Two entities never write to one CRM record.';
create index delivery_stopped on sync.delivery (tenant_id, connector, entity_id) where stopped;
comment on index sync.delivery_stopped is
'The few deliveries that stand still, for the operators'' lists; the many others are not in it.';
comment on table sync.delivery is
'One standing order per connector account and entity: bring the CRM to the desired version. No index holds what '
'a mark or the settling of a known record changes: neither writes to an index.';
comment on column sync.delivery.state is
'1 pending, 2 delivered, 3 retrying, 4 in doubt, 5 dead, 6 discarded, 7 held by the policy: as DeliveryState on the '
'wire.';
comment on column sync.delivery.stopped is
'The state as the index may see it: it stays as it is while a delivery comes and goes.';
comment on column sync.delivery.try_count is
'Tries since the last success, all of them; failure_count holds those that count towards the end.';
comment on column sync.delivery.revived_key is
'The event that made it due again after it was dead or discarded, last.';
comment on column sync.delivery.reference_came is
'What it waits for came since it was settled last, a record that it refers to or a decision: one under way that '
'lacked it is due again.';
comment on column sync.delivery.known is
'What the CRM is known to hold. Never looked into by a statement, so kept as text: writing it is half the work.';
comment on column sync.delivery.dirty_time is
'Record time of the oldest event that the CRM does not hold yet: the start of the latency.';

create table sync.former_record (
    tenant_id text collate "C" not null,
    connector text collate "C" not null,
    crm_object text collate "C" not null,
    crm_id text collate "C" not null,
    entity_id uuid not null,
    end_time timestamptz not null,
    primary key (tenant_id, connector, crm_object, crm_id)
);
comment on table sync.former_record is
'CRM records that deliveries held until they were gone from the CRM, or until others took their place. CRMs tell of '
'them late and again: what they say of the time before says only what we had written. One that a delivery holds again '
'is the delivery''s, whatever is written here.';

create table sync.due (
    tenant_id text collate "C" not null,
    connector text collate "C" not null,
    lane smallint not null check (lane between 1 and 4),
    due_time timestamptz not null,
    entity_id uuid not null,
    primary key (tenant_id, connector, entity_id)
)
with (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 200000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 100000,
    autovacuum_vacuum_cost_delay = 0
);
create index due_in_line on sync.due (tenant_id, connector, lane, due_time, entity_id) where lane > 0;
comment on index sync.due_in_line is
'Its condition is always true; only a query that states it can use the index. So a plan made before the queue was '
'filled cannot take it for look-ups by entity.';
comment on table sync.due is
'The queue: a row exists exactly while its delivery is in state 1, 3 or 4. Claiming writes nothing here.';
comment on column sync.due.lane is '1 live, 2 retry, 3 backfill, 4 reconcile.';

create table sync.inflight (
    tenant_id text collate "C" not null,
    connector text collate "C" not null,
    slot smallint not null check (slot >= 0),
    fence bigint not null,
    turn_number bigint not null,
    entity_ids uuid [] not null,
    primary key (tenant_id, connector, slot)
)
with (
    fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
    toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 5000
);
alter table sync.inflight alter column entity_ids set storage external;
comment on table sync.inflight is
'Journal of what the slots of an actor have in flight, one row a slot, written as they claim. What an actor '
'leaves in it is in doubt.';
comment on column sync.inflight.turn_number is
'Of the slot''s last committed turn: a turn sent again, because its answer was lost, settles nothing twice.';

create sequence sync.history_id as bigint;
comment on sequence sync.history_id is 'Of attempts and audit entries alike: one order of all that was done.';

create table sync.attempt (
    tenant_id text collate "C" not null,
    attempt_id bigint not null default nextval('sync.history_id'),
    connector text collate "C" not null,
    entity_id uuid not null,
    object text collate "C" not null,
    attempt_number integer not null check (attempt_number > 0),
    version bigint not null,
    event_key uuid not null,
    start_time timestamptz not null,
    end_time timestamptz not null,
    outcome text not null check (
        outcome in ('created', 'updated', 'unchanged', 'looked_up', 'failed', 'in_doubt', 'superseded')
    ),
    error_class text not null default '',
    error_code text not null default '',
    error_message text not null default '',
    http_status integer not null default 0,
    latency_ms double precision,
    trace_id text not null default '',
    span_id text not null default '',
    primary key (tenant_id, entity_id, attempt_id, end_time)
) partition by range (end_time);
comment on table sync.attempt is
'Every try that the audit does not hold, by the UTC day of its end: a day is dropped as a whole. All are in sync.try.';
comment on column sync.attempt.latency_ms is
'From record time to the settling, of first attempts that delivered; null for others.';

create table sync.attempt_other partition of sync.attempt default;
comment on table sync.attempt_other is 'Tries of days that nobody opened in time; opening the day moves them.';

create function sync.attempt_leaf(p_day date) returns text
language sql immutable parallel safe
return 'attempt_' || to_char(p_day, 'YYYYMMDD');

create function sync.open_attempt_days(p_first date, p_last date) returns integer
language plpgsql
-- Settling waits behind it: better a day opened late than an engine that stands still.
set lock_timeout = '2s'
set timezone = 'UTC'
as $$
declare
    v_day date;
    v_leaf text;
    v_opened integer := 0;
begin
    perform pg_advisory_xact_lock(7521962890101);  -- one opener at a time
    for v_day in select day::date from generate_series(p_first, p_last, interval '1 day') as day loop
        v_leaf := sync.attempt_leaf(v_day);
        continue when to_regclass(format('sync.%I', v_leaf)) is not null;
        execute format('create table sync.%I (like sync.attempt including defaults including constraints)', v_leaf);
        lock table sync.attempt_other in access exclusive mode;
        execute format(
            'with late as (delete from sync.attempt_other where end_time >= %2$L and end_time < %3$L returning *)'
            ' insert into sync.%1$I select * from late', v_leaf, v_day::timestamptz, (v_day + 1)::timestamptz
        );
        execute format(
            'alter table sync.attempt attach partition sync.%1$I for values from (%2$L) to (%3$L)',
            v_leaf, v_day::timestamptz, (v_day + 1)::timestamptz
        );
        v_opened := v_opened + 1;
    end loop;
    return v_opened;
end
$$;
comment on function sync.open_attempt_days(date, date) is
'Makes room for the attempts of these UTC days; returns how many days were new. Idempotent.';

create function sync.drop_attempt_days(p_before date) returns integer
language plpgsql
set lock_timeout = '2s'
as $$
declare
    v_leaf text;
    v_dropped integer := 0;
begin
    for v_leaf in
        select leaf.relname
        from pg_inherits as held
        inner join pg_class as leaf on held.inhrelid = leaf.oid
        where
            held.inhparent = 'sync.attempt'::regclass and leaf.relname ~ '^attempt_[0-9]{8}$'
            and to_date(substr(leaf.relname, 9), 'YYYYMMDD') < p_before
        order by leaf.relname
    loop
        execute format('drop table sync.%I', v_leaf);
        v_dropped := v_dropped + 1;
    end loop;
    return v_dropped;
end
$$;
comment on function sync.drop_attempt_days(date) is
'Drops the attempts of the UTC days before this one; returns how many days. Idempotent.';

select sync.open_attempt_days((now() at time zone 'UTC')::date, (now() at time zone 'UTC')::date + 7);

create table sync.audit (
    tenant_id text collate "C" not null,
    xid xid8 not null default pg_current_xact_id(),
    audit_id bigint not null default nextval('sync.history_id'),
    audit_time timestamptz not null default clock_timestamp(),
    action text not null,
    actor text not null,
    entity_id uuid,
    event_key uuid,
    connector text not null default '',
    changes json not null default '[]',
    policy_version text not null default '',
    trace_id text not null default '',
    object text,
    attempt_number integer,
    version bigint,
    start_time timestamptz,
    outcome text check (outcome in ('created', 'updated', 'unchanged', 'looked_up')),
    latency_ms double precision,
    span_id text,
    primary key (tenant_id, xid, audit_id),
    check (
        outcome is null
        or num_nulls(entity_id, event_key, object, attempt_number, version, start_time, span_id) = 0
    )
);
comment on column sync.audit.outcome is
'Of a write that the CRM took: the entry is the record of the try too, with the columns around this one. Else null.';
comment on column sync.audit.xid is
'Transaction that wrote the entry: below the oldest one still running no entry can appear any more, so entries are '
'numbered in the order (xid, audit_id).';
create index audit_by_entity on sync.audit (tenant_id, entity_id, audit_id);
create index audit_by_event on sync.audit (tenant_id, event_key) where event_key is not null and connector = '';
comment on index sync.audit_by_event is
'What an event changed here. What was written to CRMs because of it is found by the entities that it changed: '
'deliveries are the most part of the audit, and pay for one index less.';

create function sync.refuse_change() returns trigger
language plpgsql as $$
begin
    raise exception 'sync.audit is append-only' using errcode = 'insufficient_privilege';
end
$$;
create trigger audit_is_immutable before update or delete or truncate on sync.audit
for each statement execute function sync.refuse_change();

create table sync.connector_state (
    tenant_id text collate "C" not null,
    connector text collate "C" not null,
    paused boolean not null default false,
    breaker jsonb not null default '{}',
    breaker_generation bigint not null default 0,
    finding text not null default '',
    update_time timestamptz not null default clock_timestamp(),
    primary key (tenant_id, connector)
);
comment on column sync.connector_state.breaker_generation is
'Raised by an operator''s reset, so that the actor takes the reset over its own memory.';

create table sync.quota (
    tenant_id text collate "C" not null,
    connector text collate "C" not null,
    day date not null,
    calls bigint not null check (calls >= 0),
    vendor_used bigint,
    vendor_limit bigint,
    update_time timestamptz not null default clock_timestamp(),
    primary key (tenant_id, connector, day)
);
comment on table sync.quota is 'Calls per connector account and UTC day, ours and as the vendor says.';
