-- Erasing a person: what is known of one, everywhere; orders to do it, CRM by CRM; and who is not to be taken in again.

create table sync.suppression_key (
    tenant_id text collate "C" primary key,
    key bytea not null check (octet_length(key) = 32)
);
comment on table sync.suppression_key is
'What identifiers are hashed with: by the hashes alone, without this, nobody can be looked for.';

create sequence sync.suppression_number as bigint;
create table sync.suppression (
    tenant_id text collate "C" not null,
    digest bytea not null check (octet_length(digest) = 16),
    kind text collate "C" not null check (kind in ('record', 'email', 'phone')),
    erasure_id uuid not null,
    number bigint not null default nextval('sync.suppression_number'),
    create_time timestamptz not null default clock_timestamp(),
    primary key (tenant_id, digest)
);
create index suppression_newest on sync.suppression (number);
create index suppression_of_erasure on sync.suppression (tenant_id, erasure_id);
comment on table sync.suppression is
'Identifiers, keyed hashes of them, of people who were erased: what is said of them is not taken in until that is lifted.';

create table sync.erasure (
    tenant_id text collate "C" not null,
    erasure_id uuid not null,
    state text collate "C" not null default 'draining' check (
        state in ('draining', 'destroying', 'propagating', 'done')
    ),
    actor text not null,
    reason text not null,
    entity_ids uuid [] not null,
    records json not null default '[]',
    texts text [] not null default '{}',
    steps json not null default '[]',
    drain_to xid8,
    request_time timestamptz not null default clock_timestamp(),
    deadline_time timestamptz not null,
    due_time timestamptz not null default clock_timestamp(),
    try_count integer not null default 0,
    finding text not null default '',
    end_time timestamptz,
    primary key (tenant_id, erasure_id),
    check ((state = 'done') = (end_time is not null))
);
create index erasure_due on sync.erasure (due_time) where state <> 'done';
comment on table sync.erasure is 'Orders to erase a person, and how far each is: whatever ends in between, it goes on.';
comment on column sync.erasure.records is 'Names of records, [object, source, external id, event key]: gone once it is done.';
comment on column sync.erasure.texts is 'Addresses and numbers that are looked for: gone once it is done.';
comment on column sync.erasure.steps is 'What was done, when, and how much: counts, no values.';
comment on column sync.erasure.drain_to is 'Transactions before it may have begun before the order was heard of.';
comment on column sync.erasure.due_time is 'When it is looked at again; whoever works on it puts it off, so that others do not.';

create table sync.erasure_target (
    tenant_id text collate "C" not null,
    erasure_id uuid not null,
    connector text collate "C" not null,
    crm_object text collate "C" not null,
    crm_id text collate "C" not null,
    entity_id uuid,
    state text collate "C" not null default 'open' check (state in ('open', 'sent', 'erased', 'confirmed')),
    method text not null default '',
    try_count integer not null default 0,
    finding text not null default '',
    due_time timestamptz not null default clock_timestamp(),
    erase_time timestamptz,
    verify_time timestamptz,
    primary key (tenant_id, erasure_id, connector, crm_object, crm_id)
);
create index erasure_target_due on sync.erasure_target (tenant_id, connector, due_time) where state in ('open', 'sent');
comment on table sync.erasure_target is
'Records of CRMs to be erased there. State: open; sent: the CRM said yes; erased: it was looked for and is not there; '
'confirmed: a person says that it is gone. Of those that are done only the hash of the id is kept.';

create function sync.subject_entities(p_tenant text, p_entities uuid []) returns setof uuid
language sql stable
as $$
    with recursive member as (
        select found.entity_id from unnest(p_entities) as found (entity_id)
        union
        select near.entity_id
        from member
        cross join lateral (
            select held.merged_into as entity_id from sync.entity as held
            where held.tenant_id = p_tenant and held.entity_id = member.entity_id and held.merged_into is not null
            union all
            select held.entity_id from sync.entity as held
            where held.tenant_id = p_tenant and held.merged_into = member.entity_id
        ) as near
    )
    select member.entity_id from member
    union
    select refers.from_entity_id
    from member
    inner join sync.entity_reference as refers
        on refers.tenant_id = p_tenant and refers.to_entity_id = member.entity_id and refers.field <> ''
    inner join sync.entity as activity
        on activity.tenant_id = p_tenant and activity.entity_id = refers.from_entity_id and activity.object = 'activity'
$$;
comment on function sync.subject_entities(text, uuid []) is
'Entities that are one person: merged ones, up and down, and the activities that name one of them.';

create function sync.begin_erasure(
    p_tenant text, p_erasure uuid, p_actor text, p_reason text, p_deadline_s double precision, p_entities uuid [],
    p_records json, p_texts text [], p_digests bytea [], p_kinds text [], p_accounts text []
) returns boolean
language plpgsql
as $$
declare
    v_new bigint;
begin
    if not sync.sees(p_tenant) then
        raise exception 'the call is not for the tenant %', p_tenant using errcode = 'insufficient_privilege';
    end if;
    insert into sync.erasure (tenant_id, erasure_id, actor, reason, entity_ids, records, texts, deadline_time)
    values (
        p_tenant, p_erasure, p_actor, p_reason, p_entities, p_records, p_texts,
        clock_timestamp() + make_interval(secs => p_deadline_s)
    )
    on conflict (tenant_id, erasure_id) do nothing;
    get diagnostics v_new = row_count;
    if v_new = 0 then
        return false;
    end if;
    insert into sync.audit (tenant_id, action, actor, changes)
    values (
        p_tenant, 'erasure_ordered', p_actor,
        json_build_array(
            json_build_object('field', '#erasure', 'before', null, 'after', p_erasure, 'rule', 'erasure'),
            json_build_object('field', '#reason', 'before', null, 'after', p_reason, 'rule', 'erasure')
        )
    );
    perform sync.extend_erasure(p_tenant, p_erasure, p_entities, p_records, p_texts, p_digests, p_kinds, p_accounts);
    return true;
end
$$;
comment on function sync.begin_erasure is
'Orders an erasure: from the commit on nothing of the person is taken in or delivered. False: it was ordered before.';

create function sync.extend_erasure(
    p_tenant text, p_erasure uuid, p_entities uuid [], p_records json, p_texts text [], p_digests bytea [],
    p_kinds text [], p_accounts text []
) returns void
language plpgsql
as $$
begin
    if not sync.sees(p_tenant) then
        raise exception 'the call is not for the tenant %', p_tenant using errcode = 'insufficient_privilege';
    end if;
    insert into sync.suppression (tenant_id, digest, kind, erasure_id)
    select p_tenant, item.digest, item.kind, p_erasure
    from unnest(p_digests, p_kinds) as item (digest, kind)
    order by item.digest
    on conflict do nothing;
    insert into sync.held_delivery (tenant_id, connector, entity_id, merge_id)
    select held.tenant_id, held.connector, held.entity_id, p_erasure
    from sync.delivery as held
    where held.tenant_id = p_tenant and held.entity_id = any(p_entities) and held.connector <> ''
    order by held.connector, held.entity_id
    on conflict do nothing;
    insert into sync.erasure_target (tenant_id, erasure_id, connector, crm_object, crm_id, entity_id)
    select p_tenant, p_erasure, found.connector, found.crm_object, found.crm_id, min(found.entity_id::text)::uuid
    from (
        select held.connector, held.crm_object, held.crm_id, held.entity_id from sync.delivery as held
        where held.tenant_id = p_tenant and held.entity_id = any(p_entities) and held.connector <> '' and held.crm_id <> ''
        union all
        select held.connector, held.crm_object, held.crm_id, held.entity_id from sync.former_record as held
        where held.tenant_id = p_tenant and held.entity_id = any(p_entities)
        union all
        select account.item ->> 0, account.item ->> 1, account.item ->> 2, null
        from unnest(p_accounts) as text (value)
        cross join lateral (select text.value::json as item) as account
    ) as found
    group by found.connector, found.crm_object, found.crm_id
    order by found.connector, found.crm_object, found.crm_id
    on conflict do nothing;
    update sync.erasure as one
    set entity_ids = p_entities, records = p_records, texts = p_texts
    where one.tenant_id = p_tenant and one.erasure_id = p_erasure and one.state = 'draining';
end
$$;
comment on function sync.extend_erasure is
'Adds to an erasure what was found of the person: hashes that suppress, deliveries that stop, records of CRMs.';

create function sync.erase_state(
    p_tenant text, p_erasure uuid, p_entities uuid [], p_records json, p_actor text, p_reason text
) returns json
language plpgsql
as $$
declare
    v_entity uuid;
    v_rows bigint;
    v_audit bigint := 0;
    v_traces bigint := 0;
    v_records bigint := 0;
    v_touches bigint := 0;
    v_activities bigint := 0;
    v_cleared record;
begin
    if not sync.sees(p_tenant) then
        raise exception 'the call is not for the tenant %', p_tenant using errcode = 'insufficient_privilege';
    end if;
    update sync.drift as one set fields = '[]'
    from sync.erasure_target as target
    where
        target.tenant_id = p_tenant and target.erasure_id = p_erasure and one.tenant_id = p_tenant
        and one.connector = target.connector and one.crm_object = target.crm_object and one.crm_id = target.crm_id
        and one.fields::text <> '[]';
    get diagnostics v_traces = row_count;
    update sync.poll_refusal as one set message = ''
    from sync.erasure_target as target
    where
        target.tenant_id = p_tenant and target.erasure_id = p_erasure and one.tenant_id = p_tenant
        and one.connector = target.connector and one.crm_object = target.crm_object and one.crm_id = target.crm_id
        and one.message <> '';
    get diagnostics v_rows = row_count;
    v_traces := v_traces + v_rows;
    foreach v_entity in array p_entities loop
        if exists (
            select from sync.audit as entry
            where
                entry.tenant_id = p_tenant and entry.entity_id = v_entity and entry.action <> 'values_erased'
                and entry.changes::text <> sync.erased()::text
        ) then
            v_audit := v_audit + sync.erase_audit(p_tenant, v_entity, p_actor, p_reason);
        end if;
        select done.cleared into v_cleared from sync.erase_traces(p_tenant, v_entity) as done;
        v_traces := v_traces + v_cleared.cleared;
    end loop;

    perform set_config('headwater.audit_order', 'touch', true);
    update sync.touch as one set external_id = 'erased:' || one.event_key, detail = ''
    where
        one.tenant_id = p_tenant and one.external_id not like 'erased:%'
        and (one.object, one.source, one.external_id) in (
            select item ->> 0, item ->> 1, item ->> 2 from json_array_elements(p_records) as item
        );
    get diagnostics v_touches = row_count;
    perform set_config('headwater.audit_order', '', true);

    delete from sync.activity_thread as one
    using sync.activity as held
    where
        held.tenant_id = p_tenant and held.activity_id = any(p_entities) and one.tenant_id = p_tenant
        and one.message_id = held.message_id
        and not exists (
            select from sync.activity as other
            where
                other.tenant_id = p_tenant and other.message_id = held.message_id
                and not other.activity_id = any(p_entities)
        );
    delete from sync.activity as one where one.tenant_id = p_tenant and one.activity_id = any(p_entities);
    get diagnostics v_activities = row_count;
    delete from sync.activity_person as one where one.tenant_id = p_tenant and one.activity_id = any(p_entities);
    delete from sync.activity_domain as one where one.tenant_id = p_tenant and one.activity_id = any(p_entities);
    delete from sync.association as one
    where one.tenant_id = p_tenant and (one.activity_id = any(p_entities) or one.entity_id = any(p_entities));
    delete from sync.timeline_key as one where one.tenant_id = p_tenant and one.entity_id = any(p_entities);
    delete from sync.timeline_due as one where one.tenant_id = p_tenant and one.entity_id = any(p_entities);
    delete from sync.timeline_spread as one
    where one.tenant_id = p_tenant and one.kind = 'mailbox' and one.value in (
        select unnest(order_.texts) from sync.erasure as order_
        where order_.tenant_id = p_tenant and order_.erasure_id = p_erasure
    );
    delete from sync.entity_reference as one where one.tenant_id = p_tenant and one.from_entity_id = any(p_entities);
    delete from sync.record as one
    where
        one.tenant_id = p_tenant
        and (
            one.entity_id = any(p_entities)
            or (one.object, one.source, one.external_id) in (
                select item ->> 0, item ->> 1, item ->> 2 from json_array_elements(p_records) as item
            )
        );
    get diagnostics v_records = row_count;
    update sync.entity as one set state = 'deleted', merged_into = null, fields = '{}', change_time = clock_timestamp()
    where one.tenant_id = p_tenant and one.entity_id = any(p_entities);
    delete from sync.due as one where one.tenant_id = p_tenant and one.entity_id = any(p_entities);
    update sync.delivery as one
    set
        state = 6, discard_reason = 'erased', delivered_version = one.desired_version, crm_id = '', known = '{}',
        failure_count = 0, try_count = 0, wait_since = null, last_error_class = '', last_error = ''
    where one.tenant_id = p_tenant and one.entity_id = any(p_entities) and one.connector <> '';
    delete from sync.former_record as one where one.tenant_id = p_tenant and one.entity_id = any(p_entities);
    delete from sync.held_delivery as one where one.tenant_id = p_tenant and one.merge_id = p_erasure;
    return json_build_object(
        'records', v_records, 'entities', cardinality(p_entities), 'activities', v_activities, 'touches', v_touches,
        'audit_entries', v_audit, 'traces', v_traces
    );
end
$$;
comment on function sync.erase_state is
'Takes a person out of everything that sync keeps: what the log made, deliveries, the audit''s values, traces. Entities stay as '
'empty ones that have ended, so that what refers to them by id still finds that they have. Idempotent.';
