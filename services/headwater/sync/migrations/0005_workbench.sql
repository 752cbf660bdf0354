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
'One row a cause of failed tries; it is open while `error_member` has rows of it, and kept for a while after.';

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
    discard_reason text not null default '',
    create_time timestamptz not null default clock_timestamp(),
    update_time timestamptz not null default clock_timestamp(),
    primary key (tenant_id, replay_id)
);
create index replay_by_time on sync.replay (tenant_id, create_time, replay_id);
create index replay_running on sync.replay (next_time) where state = 1;
comment on table sync.replay is
'Dead deliveries to make due again or to end, so many a second; any process works it off, under the row''s lock.';
comment on column sync.replay.state is '1 running, 2 paused, 3 done, 4 cancelled: as ReplayState on the wire.';
comment on column sync.replay.discard_reason is 'Why the deliveries are ended; empty: they are made due.';
comment on column sync.replay.next_time is 'When the next delivery may be made due: keeps the rate over restarts.';
comment on column sync.replay.place_entity_id is 'With place_connector: everything up to here was seen.';

create function sync.note_errors(
    p_tenant text, p_connector text,
    p_groups uuid [], p_endpoints text [], p_classes text [], p_codes text [], p_messages text [],
    p_words text [], p_failures bigint [],
    p_entities uuid [], p_members uuid [], p_in_doubt boolean [], p_recovered uuid []
) returns void
language plpgsql
as $$
begin
    if cardinality(p_recovered) > 0 then
        delete from sync.error_member
        where tenant_id = p_tenant and connector = p_connector and entity_id = any(p_recovered);
    end if;
    if cardinality(p_groups) = 0 then
        return;
    end if;
    insert into sync.error_member (tenant_id, connector, entity_id, group_id, in_doubt)
    select p_tenant, p_connector, item.entity_id, item.group_id, item.in_doubt
    from unnest(p_entities, p_members, p_in_doubt) as item (entity_id, group_id, in_doubt)
    order by item.entity_id
    on conflict (tenant_id, connector, entity_id) do update
    set group_id = excluded.group_id, in_doubt = excluded.in_doubt, fail_time = clock_timestamp();
    insert into sync.error_group as held (
        tenant_id, group_id, connector, endpoint, error_class, error_code, message, last_message,
        failure_count, sample_entity_ids
    )
    select
        p_tenant, cause.group_id, p_connector, cause.endpoint, cause.error_class, cause.error_code,
        cause.message, cause.last_message, cause.failures,
        array(
            select item.entity_id from unnest(p_entities, p_members) as item (entity_id, group_id)
            where item.group_id = cause.group_id limit 10
        )
    from unnest(p_groups, p_endpoints, p_classes, p_codes, p_messages, p_words, p_failures) as cause (
        group_id, endpoint, error_class, error_code, message, last_message, failures
    )
    order by cause.group_id
    on conflict (tenant_id, group_id) do update
    set
        failure_count = held.failure_count + excluded.failure_count,
        last_message = excluded.last_message, last_seen_time = clock_timestamp(),
        sample_entity_ids = case
            when cardinality(held.sample_entity_ids) >= 10 then held.sample_entity_ids
            else array(
                select distinct sample.entity_id
                from unnest(held.sample_entity_ids || excluded.sample_entity_ids) as sample (entity_id)
                limit 10
            )
        end;
end
$$;
comment on function sync.note_errors(
    text, text, uuid [], text [], text [], text [], text [], text [], bigint [], uuid [], uuid [], boolean [],
    uuid []
) is
'Counts failed tries by cause, notes which deliveries stand in which group, and takes those out that recovered. '
'Last in its transaction: the rows of groups are shared by the slots of an account.';

create function sync.turn_noting_errors(
    p_tenant text, p_connector text, p_lease text, p_fence bigint, p_slot smallint, p_number bigint,
    p_items sync.settlements, p_rows integer [], p_after_times timestamptz [], p_after_ids uuid [],
    p_excluding uuid [], p_keeps boolean,
    p_groups uuid [], p_endpoints text [], p_classes text [], p_codes text [], p_messages text [],
    p_words text [], p_failures bigint [],
    p_entities uuid [], p_members uuid [], p_in_doubt boolean [], p_recovered uuid []
) returns setof sync.claimed
language plpgsql
as $$
declare
    v_last bigint;
begin
    perform pg_advisory_xact_lock_shared(sync.fence_key(p_lease));
    select held.turn_number into v_last from sync.inflight as held
    where held.tenant_id = p_tenant and held.connector = p_connector and held.slot = p_slot
    for update;
    return query select * from sync.turn(
        p_tenant, p_connector, p_lease, p_fence, p_slot, p_number, p_items, p_rows, p_after_times,
        p_after_ids, p_excluding, p_keeps
    );
    if found and coalesce(v_last, 0) < p_number then
        perform sync.note_errors(
            p_tenant, p_connector, p_groups, p_endpoints, p_classes, p_codes, p_messages, p_words,
            p_failures, p_entities, p_members, p_in_doubt, p_recovered
        );
    end if;
end
$$;
comment on function sync.turn_noting_errors(
    text, text, text, bigint, smallint, bigint, sync.settlements, integer [], timestamptz [], uuid [], uuid [], boolean,
    uuid [], text [], text [], text [], text [], text [], bigint [], uuid [], uuid [], boolean [], uuid []
) is
'A turn in which some try failed, or did not fail again: a turn that is sent twice counts once.';
