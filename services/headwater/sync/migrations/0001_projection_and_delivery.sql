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
    primary key (tenant_id, object, source, external_id)
);
create index record_by_entity on sync.record (tenant_id, entity_id);
comment on column sync.record.fields is
'Field to [value, field time in microseconds since 1970, event key].';

create table sync.entity (
    tenant_id text collate "C" not null,
    entity_id uuid not null,
    object text collate "C" not null,
    state text collate "C" not null check (state in ('active', 'merged', 'deleted')),
    merged_into uuid check ((state = 'merged') = (merged_into is not null)),
    version bigint not null check (version >= 0),
    fields jsonb not null,
    policy_version text not null default '',
    change_time timestamptz not null default clock_timestamp(),
    primary key (tenant_id, entity_id)
);
comment on column sync.entity.fields is
'Field to [value, rule, source, event key, field time in microseconds since 1970].';

create table sync.entity_reference (
    tenant_id text collate "C" not null,
    from_entity_id uuid not null,
    field text collate "C" not null,
    to_entity_id uuid not null,
    primary key (tenant_id, from_entity_id, field, to_entity_id)
);
create index entity_reference_back on sync.entity_reference (tenant_id, to_entity_id);

create table sync.delivery (
    tenant_id text collate "C" not null,
    connector text collate "C" not null,
    entity_id uuid not null,
    object text collate "C" not null,
    state smallint not null check (state between 1 and 6),
    desired_version bigint not null,
    delivered_version bigint not null default 0,
    crm_object text not null default '',
    crm_id text not null default '',
    known jsonb not null default '{}',
    failure_count integer not null default 0,
    try_count integer not null default 0,
    due_time timestamptz not null default clock_timestamp(),
    wait_since timestamptz,
    lacks_reference boolean not null default false,
    last_error_class text not null default '',
    last_error text not null default '',
    discard_reason text not null default '',
    event_key uuid not null,
    traceparent text not null default '',
    tracestate text not null default '',
    last_traceparent text not null default '',
    mark_time timestamptz not null default clock_timestamp(),
    dirty_time timestamptz not null,
    settle_time timestamptz,
    inflight_fence bigint,
    primary key (tenant_id, connector, entity_id),
    check (desired_version >= delivered_version)
)
with (fillfactor = 70);
create index delivery_due on sync.delivery (tenant_id, connector, due_time)
where state in (1, 3, 4);
create index delivery_by_entity on sync.delivery (tenant_id, entity_id);
create unique index delivery_by_crm_record on sync.delivery (tenant_id, connector, crm_object, crm_id)
where crm_id <> '';
comment on index sync.delivery_by_crm_record is 'Two entities never write to one CRM record.';
comment on table sync.delivery is
'One standing order per connector account and entity: bring the CRM to the desired version.';
comment on column sync.delivery.state is
'1 pending, 2 delivered, 3 retrying, 4 in doubt, 5 dead, 6 discarded: as DeliveryState on the wire.';
comment on column sync.delivery.try_count is
'Tries since the last success, all of them; failure_count holds those that count towards the end.';
comment on column sync.delivery.dirty_time is
'Record time of the oldest event that the CRM does not hold yet: the start of the latency.';
comment on column sync.delivery.inflight_fence is
'Fence of the actor that has a call under way; a lower one than the actor''s own means in doubt.';

create table sync.attempt (
    tenant_id text collate "C" not null,
    attempt_id bigint generated always as identity,
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
    primary key (tenant_id, attempt_id)
);
create index attempt_by_entity on sync.attempt (tenant_id, entity_id, attempt_id);
comment on column sync.attempt.latency_ms is
'From record time to the settling commit, of first attempts that delivered; null for others.';

create table sync.audit (
    tenant_id text collate "C" not null,
    audit_id bigint generated always as identity,
    audit_time timestamptz not null default clock_timestamp(),
    action text not null,
    actor text not null,
    entity_id uuid,
    event_key uuid,
    connector text not null default '',
    changes jsonb not null default '[]',
    policy_version text not null default '',
    trace_id text not null default '',
    primary key (tenant_id, audit_id)
);
create index audit_by_entity on sync.audit (tenant_id, entity_id, audit_id);
create index audit_by_event on sync.audit (tenant_id, event_key) where event_key is not null;

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
