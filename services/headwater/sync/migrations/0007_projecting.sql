-- One batch of the projector, in two round trips: everything it works on is locked and loaded, and everything that
-- it has changed is written. The plans are fixed, and kept, as those of `turn`: look-ups by key, one by one.

create table sync.ruling (
    tenant_id text collate "C" not null,
    event_key uuid not null,
    entity_id uuid not null,
    kept text [] not null,
    rule text collate "C" not null,
    primary key (tenant_id, event_key)
);
comment on table sync.ruling is
'What was decided about each event that shows a CRM record of ours: whose record it is, and which canonical fields '
'count; when none does, the rule that ended the event. It was decided by what deliveries knew then, so no rebuild can decide it '
'again: this is the log of it, kept as long as the log is.';

create table sync.rebuild (
    shard smallint primary key,
    xid bigint not null,
    seq bigint not null
);
comment on table sync.rebuild is
'The log is projected again: up to where each shard was projected before. A shard''s row goes when it is reached; until '
'the last one goes, nothing is written to a CRM.';

create function sync.held_back() returns interval
language sql immutable parallel safe
return interval '10 years';
comment on function sync.held_back() is 'By how much later deliveries are due while the log is projected again.';

create function sync.begin_rebuild(p_actor text) returns bigint
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
    return v_events;
end
$$;
comment on function sync.begin_rebuild(text) is
'Empties what is made from the log, to have it made again; returns how many events that takes. What CRMs hold is not in '
'the log: deliveries stay as they stand, save for their versions, which are counted anew.';

create function sync.end_rebuild() returns void
language plpgsql
as $$
begin
    delete from sync.rebuild;
    update sync.due set due_time = due_time - sync.held_back()
    where due_time > clock_timestamp() + sync.held_back() / 2;
    perform pg_notify('headwater_delivery', '');
end
$$;
comment on function sync.end_rebuild() is
'Lets deliveries go that were held back. Called when the last shard is through; by hand where one cannot be, because '
'the end of its log is dropped.';

create type sync.loaded as (
    kind smallint,
    tenant_id text,
    entity_id uuid,
    object text,
    source text,
    external_id text,
    state text,
    merged_into uuid,
    version bigint,
    fields json,
    policy_version text,
    facts jsonb,
    deleted boolean,
    delete_time timestamptz,
    home_seq bigint,
    state_seq bigint
);
comment on type sync.loaded is
'What a batch works on. By kind: 0 a lease that is lost (its name is the object), 1 an entity, locked, 2 a record of '
'one, 3 a record that was moved, while it was looked for, to an entity that is not locked.';

create function sync.load_batch(
    p_leases text [], p_fences bigint [], p_tenants text [], p_objects text [], p_sources text [],
    p_ids text [], p_homes uuid [], p_more_tenants text [], p_more_entities uuid [], p_more_objects text []
) returns setof sync.loaded
language plpgsql
set plan_cache_mode = force_generic_plan
set enable_hashjoin = off
set enable_mergejoin = off
set enable_seqscan = off
set enable_bitmapscan = off
set enable_memoize = off
as $$
declare
    v_held text [];
    v_homes uuid [];
    v_tenants text [];
    v_entities uuid [];
    v_objects text [];
    v_locked bigint;
    v_made bigint;
begin
    select coalesce(array_agg(held.name), '{}') into v_held
    from unnest(p_leases, p_fences) as wanted (name, fence)
    cross join lateral (
        select lease.name from sync.lease as lease
        where
            lease.name = wanted.name and lease.fence = wanted.fence and lease.expire_time > clock_timestamp()
            and not exists (
                select from sync.process as process
                where process.holder = lease.holder and process.expire_time <= clock_timestamp()
            )
        for share of lease
    ) as held;
    if cardinality(v_held) < cardinality(p_leases) then
        return query
        select
            0::smallint, null::text, null::uuid, wanted.name, null::text, null::text, null::text, null::uuid,
            null::bigint, null::json, null::text, null::jsonb, null::boolean, null::timestamptz, null::bigint,
            null::bigint
        from unnest(p_leases) as wanted (name)
        where wanted.name <> all(v_held);
        return;
    end if;
    select coalesce(array_agg(coalesce(held.entity_id, wanted.home) order by wanted.number), '{}') into v_homes
    from unnest(p_tenants, p_objects, p_sources, p_ids, p_homes)
        with ordinality as wanted (tenant_id, object, source, external_id, home, number)
    left join lateral (
        select record.entity_id from sync.record as record
        where
            record.tenant_id = wanted.tenant_id and record.object = wanted.object
            and record.source = wanted.source and record.external_id = wanted.external_id
        offset 0
    ) as held on true;
    select
        coalesce(array_agg(one.tenant_id), '{}'), coalesce(array_agg(one.entity_id), '{}'),
        coalesce(array_agg(one.object), '{}')
    into v_tenants, v_entities, v_objects
    from (
        select distinct on (every.tenant_id collate "C", every.entity_id)
            every.tenant_id, every.entity_id, every.object
        from (
            select * from unnest(p_tenants, v_homes, p_objects)
            union all
            select * from unnest(p_more_tenants, p_more_entities, p_more_objects)
        ) as every (tenant_id, entity_id, object)
        where every.entity_id is not null
        order by every.tenant_id collate "C", every.entity_id
    ) as one;
    loop
        perform from unnest(v_tenants, v_entities) as wanted (tenant_id, entity_id)
        cross join lateral (
            select from sync.entity as entity
            where entity.tenant_id = wanted.tenant_id and entity.entity_id = wanted.entity_id
            for update
        ) as locked;
        get diagnostics v_locked = row_count;
        exit when v_locked = cardinality(v_entities);
        insert into sync.entity (tenant_id, entity_id, object, state, version, fields)
        select wanted.tenant_id, wanted.entity_id, wanted.object, 'active', 0, '{}'
        from unnest(v_tenants, v_entities, v_objects) as wanted (tenant_id, entity_id, object)
        on conflict do nothing;
        get diagnostics v_made = row_count;
        exit when v_locked + v_made = cardinality(v_entities);
    end loop;
    return query
    select
        1::smallint, held.tenant_id, held.entity_id, held.object, null::text, null::text, held.state,
        held.merged_into, held.version, held.fields, held.policy_version, null::jsonb, null::boolean,
        null::timestamptz, null::bigint, held.state_seq
    from unnest(v_tenants, v_entities) as wanted (tenant_id, entity_id)
    cross join lateral (
        select entity.* from sync.entity as entity
        where entity.tenant_id = wanted.tenant_id and entity.entity_id = wanted.entity_id
        offset 0
    ) as held;
    return query
    select
        2::smallint, held.tenant_id, held.entity_id, held.object, held.source, held.external_id, null::text,
        null::uuid, null::bigint, null::json, null::text, held.fields, held.deleted, held.delete_time,
        held.home_seq, null::bigint
    from unnest(v_tenants, v_entities) as wanted (tenant_id, entity_id)
    cross join lateral (
        select record.* from sync.record as record
        where record.tenant_id = wanted.tenant_id and record.entity_id = wanted.entity_id
        offset 0
    ) as held;
    return query
    select
        3::smallint, held.tenant_id, held.entity_id, held.object, held.source, held.external_id, null::text,
        null::uuid, null::bigint, null::json, null::text, null::jsonb, null::boolean, null::timestamptz,
        null::bigint, null::bigint
    from unnest(p_tenants, p_objects, p_sources, p_ids, v_homes)
        as wanted (tenant_id, object, source, external_id, home)
    cross join lateral (
        select record.* from sync.record as record
        where
            record.tenant_id = wanted.tenant_id and record.object = wanted.object
            and record.source = wanted.source and record.external_id = wanted.external_id
        offset 0
    ) as held
    where held.entity_id is distinct from wanted.home;
end
$$;
comment on function sync.load_batch(
    text [], bigint [], text [], text [], text [], text [], uuid [], text [], uuid [], text []
) is
'Holds the fences, locks the entities of records (where each is, else where it is to go) and further ones in key '
'order, making room for new ones, and returns them with all their records. Leases in name order.';

create function sync.mark_deliveries(
    p_tenants text [], p_connectors text [], p_entities uuid [], p_objects text [], p_versions bigint [],
    p_keys uuid [], p_traceparents text [], p_tracestates text [], p_record_times timestamptz [],
    p_lanes smallint []
) returns void
language plpgsql
as $$
begin
    with marked as (
        insert into sync.delivery as held (
            tenant_id, connector, entity_id, object, state, desired_version, event_key, traceparent,
            tracestate, dirty_time
        )
        select
            item.tenant_id, item.connector, item.entity_id, item.object, 1, item.version, item.event_key,
            item.traceparent, item.tracestate, item.record_time
        from unnest(
            p_tenants, p_connectors, p_entities, p_objects, p_versions, p_keys,
            p_traceparents, p_tracestates, p_record_times
        ) as item (
            tenant_id, connector, entity_id, object, version, event_key, traceparent, tracestate, record_time
        )
        on conflict (tenant_id, connector, entity_id) do update
        set
            desired_version = greatest(held.desired_version, excluded.desired_version),
            event_key = excluded.event_key, traceparent = excluded.traceparent,
            tracestate = excluded.tracestate, mark_time = clock_timestamp(),
            dirty_time = case when held.state = 2 then excluded.dirty_time else held.dirty_time end,
            failure_count = case when held.state in (2, 5, 6) then 0 else held.failure_count end,
            revived_key = case when held.state in (5, 6) then excluded.event_key else held.revived_key end,
            state = case
                when held.state in (5, 6) and exists (
                    select from sync.error_member as member
                    where
                        member.tenant_id = held.tenant_id and member.connector = held.connector
                        and member.entity_id = held.entity_id and member.in_doubt
                ) then 4
                when held.state in (2, 5, 6, 7) then 1
                else held.state
            end
        returning
            held.tenant_id, held.connector, held.entity_id, held.event_key, held.traceparent,
            held.revived_key = held.event_key as is_revived
    )
    insert into sync.audit (tenant_id, action, actor, entity_id, event_key, connector, changes, trace_id)
    select
        marked.tenant_id, 'revived', 'sync', marked.entity_id, marked.event_key, marked.connector,
        jsonb_build_array(
            jsonb_build_object('field', 'failure_count', 'before', null, 'after', 0, 'rule', 'new_mark')
        ),
        substr(marked.traceparent, 4, 32)
    from marked
    where marked.is_revived;
    insert into sync.due as held (tenant_id, connector, lane, due_time, entity_id)
    select item.tenant_id, item.connector, item.lane, clock_timestamp(), item.entity_id
    from unnest(p_tenants, p_connectors, p_entities, p_lanes)
        as item (tenant_id, connector, entity_id, lane)
    on conflict (tenant_id, connector, entity_id) do update
    set lane = excluded.lane, due_time = greatest(held.due_time, excluded.due_time)
    where held.lane > excluded.lane;
end
$$;
comment on function sync.mark_deliveries is
'Makes deliveries due, in key order. A mark of a more urgent lane lifts what waits in a slower one, to where it is '
'looked for. One that was given up begins with all its retries again, which the audit tells; its tries are '
'counted on. A part of `write_batch`: planned under its settings.';

create function sync.mark_again(
    p_tenants text [], p_connectors text [], p_entities uuid [], p_objects text [], p_versions bigint [],
    p_keys uuid [], p_traceparents text [], p_tracestates text [], p_record_times timestamptz [],
    p_lanes smallint []
) returns void
language plpgsql
as $$
begin
    insert into sync.delivery as held (
        tenant_id, connector, entity_id, object, state, desired_version, event_key, traceparent,
        tracestate, dirty_time
    )
    select
        item.tenant_id, item.connector, item.entity_id, item.object, 1, item.version, item.event_key,
        item.traceparent, item.tracestate, item.record_time
    from unnest(
        p_tenants, p_connectors, p_entities, p_objects, p_versions, p_keys,
        p_traceparents, p_tracestates, p_record_times
    ) as item (
        tenant_id, connector, entity_id, object, version, event_key, traceparent, tracestate, record_time
    )
    on conflict (tenant_id, connector, entity_id) do update
    set
        desired_version = greatest(held.desired_version, excluded.desired_version),
        delivered_version = case
            when held.state = 2 then greatest(held.desired_version, excluded.desired_version)
            else held.delivered_version
        end;
    insert into sync.due (tenant_id, connector, lane, due_time, entity_id)
    select item.tenant_id, item.connector, item.lane, clock_timestamp(), item.entity_id
    from unnest(p_tenants, p_connectors, p_entities, p_lanes)
        as item (tenant_id, connector, entity_id, lane)
    cross join lateral (
        select from sync.delivery as held
        where
            held.tenant_id = item.tenant_id and held.connector = item.connector
            and held.entity_id = item.entity_id and held.state in (1, 3, 4)
        offset 0
    ) as waiting
    on conflict do nothing;
end
$$;
comment on function sync.mark_again is
'Marks of events that were projected before: the CRM holds what it held, so only versions are counted anew, and what '
'had no delivery gets one. A part of `write_batch`: planned under its settings.';

create function sync.write_batch(
    p_record_tenants text [], p_record_objects text [], p_sources text [], p_ids text [], p_homes uuid [],
    p_facts jsonb [], p_deleted boolean [], p_delete_times timestamptz [], p_home_seqs bigint [],
    p_fresh boolean [],
    p_entity_tenants text [], p_entities uuid [], p_states text [], p_merged uuid [], p_versions bigint [],
    p_fields json [], p_policy_versions text [], p_state_seqs bigint [],
    p_end_tenants text [], p_end_keys uuid [], p_rules text [], p_superseded boolean [], p_poisoned boolean [],
    p_errors text [], p_end_entities text [], p_end_versions text [], p_xids bigint [], p_seqs bigint [],
    p_end_traces text [],
    p_note_tenants text [], p_actions text [], p_actors text [], p_note_entities uuid [], p_note_keys uuid [],
    p_changes text [], p_note_policies text [], p_note_traces text [],
    p_mark_tenants text [], p_connectors text [], p_mark_entities uuid [], p_mark_objects text [],
    p_mark_versions bigint [], p_mark_keys uuid [], p_traceparents text [], p_tracestates text [],
    p_record_times timestamptz [], p_lanes smallint [], p_accounts text,
    p_shards smallint [], p_shard_xids bigint [], p_shard_seqs bigint []
) returns void
language plpgsql
set plan_cache_mode = force_generic_plan
set enable_hashjoin = off
set enable_mergejoin = off
set enable_seqscan = off
set enable_bitmapscan = off
set enable_memoize = off
as $$
declare
    v_rebuilding boolean := exists (select from sync.rebuild);
    v_again boolean := false;
    v_made bigint;
begin
    if v_rebuilding then
        perform pg_advisory_xact_lock(7521962890102);  -- the last shard to come through has to know that it is
        v_again := not exists (
            select from unnest(p_shards, p_shard_xids, p_shard_seqs) as place (shard, xid, seq)
            where not exists (
                select from sync.rebuild as held
                where held.shard = place.shard and (held.xid, held.seq) >= (place.xid, place.seq)
            )
        );
    end if;
    if cardinality(p_note_keys) > 0 and not v_again then
        insert into sync.audit (
            tenant_id, action, actor, entity_id, event_key, changes, policy_version, trace_id
        )
        select
            note.tenant_id, note.action, note.actor, note.entity_id, note.event_key, note.changes::json,
            note.policy_version, note.trace_id
        from unnest(
            p_note_tenants, p_actions, p_actors, p_note_entities, p_note_keys, p_changes, p_note_policies,
            p_note_traces
        ) as note (tenant_id, action, actor, entity_id, event_key, changes, policy_version, trace_id);
    end if;
    if cardinality(p_mark_keys) > 0 then
        if v_again then
            perform sync.mark_again(
                p_mark_tenants, p_connectors, p_mark_entities, p_mark_objects, p_mark_versions, p_mark_keys,
                p_traceparents, p_tracestates, p_record_times, p_lanes
            );
        else
            perform sync.mark_deliveries(
                p_mark_tenants, p_connectors, p_mark_entities, p_mark_objects, p_mark_versions, p_mark_keys,
                p_traceparents, p_tracestates, p_record_times, p_lanes
            );
        end if;
        if v_rebuilding then
            update sync.due as held set due_time = held.due_time + sync.held_back()
            from unnest(p_mark_tenants, p_connectors, p_mark_entities) as item (tenant_id, connector, entity_id)
            where
                held.tenant_id = item.tenant_id and held.connector = item.connector
                and held.entity_id = item.entity_id
                and held.due_time < clock_timestamp() + sync.held_back() / 2;
        end if;
        perform pg_notify('headwater_delivery', p_accounts);
    end if;
    if true = any(p_fresh) then
        insert into sync.record (
            tenant_id, object, source, external_id, entity_id, fields, deleted, delete_time, home_seq
        )
        select
            item.tenant_id, item.object, item.source, item.external_id, item.entity_id, item.fields, item.deleted,
            item.delete_time, item.home_seq
        from unnest(
            p_record_tenants, p_record_objects, p_sources, p_ids, p_homes, p_facts, p_deleted, p_delete_times,
            p_home_seqs, p_fresh
        ) as item (
            tenant_id, object, source, external_id, entity_id, fields, deleted, delete_time, home_seq, fresh
        )
        where item.fresh
        on conflict do nothing;
        get diagnostics v_made = row_count;
        if v_made < cardinality(array_positions(p_fresh, true)) then
            raise serialization_failure using message = 'another batch has placed a record meanwhile';
        end if;
    end if;
    if false = any(p_fresh) then
        insert into sync.record (
            tenant_id, object, source, external_id, entity_id, fields, deleted, delete_time, home_seq
        )
        select
            item.tenant_id, item.object, item.source, item.external_id, item.entity_id, item.fields, item.deleted,
            item.delete_time, item.home_seq
        from unnest(
            p_record_tenants, p_record_objects, p_sources, p_ids, p_homes, p_facts, p_deleted, p_delete_times,
            p_home_seqs, p_fresh
        ) as item (
            tenant_id, object, source, external_id, entity_id, fields, deleted, delete_time, home_seq, fresh
        )
        where not item.fresh
        on conflict (tenant_id, object, source, external_id) do update
        set
            entity_id = excluded.entity_id, fields = excluded.fields, deleted = excluded.deleted,
            delete_time = excluded.delete_time, home_seq = excluded.home_seq;
    end if;
    if cardinality(p_entities) > 0 then
        update sync.entity as held
        set
            state = item.state, merged_into = item.merged_into, version = item.version, fields = item.fields,
            policy_version = item.policy_version, change_time = clock_timestamp(), state_seq = item.state_seq
        from unnest(
            p_entity_tenants, p_entities, p_states, p_merged, p_versions, p_fields, p_policy_versions,
            p_state_seqs
        ) as item (tenant_id, entity_id, state, merged_into, version, fields, policy_version, state_seq)
        cross join lateral (
            select entity.ctid as place from sync.entity as entity
            where entity.tenant_id = item.tenant_id and entity.entity_id = item.entity_id
            offset 0
            for no key update
        ) as found
        where held.ctid = found.place;
    end if;
    insert into sync.projection (
        tenant_id, event_key, rule, superseded, poisoned, error, entity_ids, versions, xid, seq, trace_id
    )
    select
        item.tenant_id, item.event_key, item.rule, item.superseded, item.poisoned, item.error,
        item.entity_ids::uuid [], item.versions::bigint [], item.xid, item.seq, item.trace_id
    from unnest(
        p_end_tenants, p_end_keys, p_rules, p_superseded, p_poisoned, p_errors, p_end_entities,
        p_end_versions, p_xids, p_seqs, p_end_traces
    ) as item (
        tenant_id, event_key, rule, superseded, poisoned, error, entity_ids, versions, xid, seq, trace_id
    );
    insert into sync.shard_cursor as held (shard, xid, seq)
    select place.shard, place.xid, place.seq
    from unnest(p_shards, p_shard_xids, p_shard_seqs) as place (shard, xid, seq)
    on conflict (shard) do update
    set xid = excluded.xid, seq = excluded.seq, update_time = clock_timestamp()
    where (held.xid, held.seq) < (excluded.xid, excluded.seq);
    if v_rebuilding then
        delete from sync.rebuild as held
        using unnest(p_shards, p_shard_xids, p_shard_seqs) as place (shard, xid, seq)
        where held.shard = place.shard and (held.xid, held.seq) <= (place.xid, place.seq);
        if not exists (select from sync.rebuild) then
            perform sync.end_rebuild();
        end if;
    end if;
end
$$;
comment on function sync.write_batch is
'Writes what a batch has changed: audit, marks with the notification of their accounts, source records, locked '
'entities, how events ended, positions of shards. Marks, records and shards come in key order.';
