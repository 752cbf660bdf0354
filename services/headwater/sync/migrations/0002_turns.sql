-- One turn of an actor's slot, in one round trip: what was tried is settled, what comes next is claimed.
-- The plans are fixed, and kept: look-ups by key, one by one, and the queue in its order. Statistics of a queue are
-- always stale, so every statement is written for one plan alone: `offset 0` keeps the planner from turning a
-- look-up around. Rows are changed by their key, never at the place (ctid) where they were found: a row that another
-- transaction changes meanwhile stands elsewhere afterwards, unseen by the statement that waited for it.

create type sync.settlement as (
    entity_id uuid,
    state smallint,
    lane smallint,
    version bigint,
    crm_object text,
    crm_id text,
    known json,
    failure_count integer,
    try_count integer,
    after_s double precision,
    waits boolean,
    lacks_reference boolean,
    fresh boolean,
    outcome text,
    attempt_number integer,
    event_key uuid,
    start_time timestamptz,
    dirty_time timestamptz,
    traceparent text,
    error_class text,
    error_code text,
    error_message text,
    http_status integer,
    learned jsonb,
    action text,
    changes jsonb,
    policy_version text,
    verdict text
);
comment on type sync.settlement is
'How one try ended. Null: known stays as it is; dirty_time does not count for the latency; learned and changes are '
'not told to the audit. `learned`: the verdict on a write in doubt, then what a look-up showed. `fresh`: the CRM may hold the record since this try.';

create type sync.claimed as (
    head jsonb,
    entity_id uuid,
    lane smallint,
    due_time timestamptz,
    object text,
    delivery_state smallint,
    delivered_version bigint,
    crm_object text,
    crm_id text,
    known json,
    failure_count integer,
    try_count integer,
    waited_s double precision,
    event_key uuid,
    mark_time timestamptz,
    dirty_time timestamptz,
    traceparent text,
    tracestate text,
    last_traceparent text,
    state text,
    merged_into uuid,
    version bigint,
    fields text,
    refs jsonb,
    erred boolean
);
comment on type sync.claimed is
'The first row of a turn has a head (the account, seconds to the next due, lanes that wait) and, as its due time, '
'when it looked.';

create function sync.settle(p_tenant text, p_connector text, p_items sync.settlement []) returns void
language plpgsql
as $$
declare
    v_now timestamptz := clock_timestamp();
    v_fresh uuid [];
    v_ended uuid [];
begin
    with settled as (
        update sync.delivery as held
        set
            state = case
                when
                    item.state = 2
                    and (held.desired_version > item.version or (held.reference_came and item.lacks_reference))
                    then 1
                else item.state
            end,
            reference_came = false,
            delivered_version = case when item.state = 2 then item.version else held.delivered_version end,
            dirty_time = case when item.state = 2 then held.mark_time else held.dirty_time end,
            settle_time = case when item.state = 2 then v_now else held.settle_time end,
            crm_object = item.crm_object, crm_id = item.crm_id, known = coalesce(item.known, held.known),
            failure_count = item.failure_count, try_count = item.try_count,
            wait_since = case when item.waits then coalesce(held.wait_since, v_now) end,
            lacks_reference = item.lacks_reference,
            last_error_class = item.error_class, last_error = item.error_message,
            last_traceparent = case when item.state = 2 then '' else item.traceparent end
        from unnest(p_items) as item
        where
            held.tenant_id = p_tenant and held.connector = p_connector and held.entity_id = item.entity_id
        returning
            item.entity_id, held.object, held.state as state_now, item.state, item.lane, item.version,
            item.after_s, item.fresh, item.outcome, item.attempt_number, item.event_key, item.start_time,
            item.dirty_time, item.traceparent, item.error_class, item.error_code, item.error_message,
            item.http_status, item.learned, item.action, item.changes, item.policy_version, item.verdict
    ), tried as (
        insert into sync.attempt (
            tenant_id, connector, entity_id, object, attempt_number, version, event_key, start_time, end_time,
            outcome, error_class, error_code, error_message, http_status, latency_ms, trace_id, span_id,
            verdict
        )
        select
            p_tenant, p_connector, item.entity_id, item.object, item.attempt_number, item.version,
            item.event_key, least(item.start_time, v_now), v_now, item.outcome, item.error_class,
            item.error_code, item.error_message, item.http_status,
            extract(epoch from v_now - item.dirty_time)::float8 * 1000,
            substr(item.traceparent, 4, 32), substr(item.traceparent, 37, 16),
            item.verdict
        from settled as item
        where item.outcome <> ''
    ), told as (
        insert into sync.audit (
            tenant_id, audit_time, action, actor, entity_id, event_key, connector, changes, policy_version,
            trace_id
        )
        select
            p_tenant, v_now, note.action, 'sync', item.entity_id, item.event_key, p_connector, note.changes,
            item.policy_version, substr(item.traceparent, 4, 32)
        from settled as item
        cross join lateral (
            values
            (case item.verdict when 'repeated' then 'sent_again' else 'looked_up' end, item.learned),
            (item.action, item.changes)
        ) as note (action, changes)
        where note.changes is not null
    ), again as (
        insert into sync.due as held (tenant_id, connector, lane, due_time, entity_id)
        select p_tenant, p_connector, item.lane, v_now + make_interval(secs => item.after_s), item.entity_id
        from settled as item
        where item.state_now = 1
        on conflict (tenant_id, connector, entity_id) do update
        set due_time = excluded.due_time, lane = least(held.lane, excluded.lane)
    ), failed as (
        insert into sync.due as held (tenant_id, connector, lane, due_time, entity_id)
        select p_tenant, p_connector, item.lane, v_now + make_interval(secs => item.after_s), item.entity_id
        from settled as item
        where item.state_now in (3, 4)
        on conflict (tenant_id, connector, entity_id) do update
        set due_time = excluded.due_time, lane = excluded.lane
    )
    select
        array_agg(item.entity_id) filter (where item.fresh),
        array_agg(item.entity_id) filter (where item.state_now in (2, 5, 6))
    into v_fresh, v_ended
    from settled as item;
    delete from sync.due as held
    where held.tenant_id = p_tenant and held.connector = p_connector and held.entity_id = any(v_ended);
    if v_fresh is not null then
        perform sync.wake_referrers(p_tenant, p_connector, v_fresh);
    end if;
end
$$;
comment on function sync.settle(text, text, sync.settlement []) is
'Records how tries ended, with attempts and audit. A delivery that was changed meanwhile is due again at once, in '
'its lane; one that failed stands in the lane of its settlement. A part of `turn`: planned under its settings.';

create function sync.wake_referrers(p_tenant text, p_connector text, p_entities uuid []) returns void
language plpgsql
as $$
begin
    update sync.delivery as held
    set reference_came = true
    from (
        select distinct reference.from_entity_id as entity_id
        from unnest(p_entities) as fresh (entity_id)
        inner join sync.entity_reference as reference
            on reference.tenant_id = p_tenant and fresh.entity_id = reference.to_entity_id
        order by reference.from_entity_id
    ) as referrer
    where
        held.tenant_id = p_tenant and held.connector = p_connector and held.entity_id = referrer.entity_id
        and held.state in (1, 3, 4) and not held.reference_came;
    with referrer as (
        select distinct reference.from_entity_id as entity_id
        from unnest(p_entities) as fresh (entity_id)
        cross join lateral (
            select held.from_entity_id from sync.entity_reference as held
            where held.tenant_id = p_tenant and held.to_entity_id = fresh.entity_id and held.field <> ''
            offset 0
        ) as reference
        order by reference.from_entity_id
    ), woken as (
        update sync.delivery as held
        set state = 1
        from referrer
        where
            held.tenant_id = p_tenant and held.connector = p_connector and held.entity_id = referrer.entity_id
            and (
                (held.lacks_reference and held.state = 2)
                or (held.wait_since is not null and held.state = 1)
            )
        returning held.entity_id
    )
    insert into sync.due as held (tenant_id, connector, lane, due_time, entity_id)
    select p_tenant, p_connector, 1, clock_timestamp(), woken.entity_id from woken
    on conflict (tenant_id, connector, entity_id) do update set due_time = excluded.due_time;
end
$$;
comment on function sync.wake_referrers(text, text, uuid []) is
'Makes deliveries due that waited for these entities, or went without them; those under way are told when they '
'settle.';

create function sync.turn(
    p_tenant text, p_connector text, p_lease text, p_fence bigint, p_slot smallint, p_number bigint,
    p_items sync.settlement [], p_rows integer [], p_after_times timestamptz [], p_after_ids uuid [],
    p_excluding uuid []
) returns setof sync.claimed
language plpgsql
set plan_cache_mode = force_generic_plan
set enable_hashjoin = off
set enable_mergejoin = off
set enable_seqscan = off
set enable_bitmapscan = off
set enable_memoize = off
set enable_sort = off
as $$
declare
    v_now timestamptz;
    v_last bigint;
    v_flying uuid [];
    v_next double precision;
    v_found record;
    v_entities uuid [] := '{}';
    v_lanes smallint [] := '{}';
    v_times timestamptz [] := '{}';
    v_waiting integer [] := '{}';
    v_head sync.claimed;
begin
    perform from sync.lease as lease
    where lease.name = p_lease and lease.fence = p_fence and lease.expire_time > clock_timestamp()
    for share;
    if not found then
        return;
    end if;
    insert into sync.inflight as held (tenant_id, connector, slot, fence, turn_number, entity_ids)
    values (p_tenant, p_connector, p_slot, p_fence, 0, '{}')
    on conflict do nothing;
    select held.turn_number, held.entity_ids into v_last, v_flying from sync.inflight as held
    where held.tenant_id = p_tenant and held.connector = p_connector and held.slot = p_slot
    for update;
    if v_last < p_number and cardinality(p_items) > 0 then
        perform sync.settle(p_tenant, p_connector, p_items);
    end if;
    v_now := clock_timestamp();
    for v_lane in 1..4 loop
        select array_agg(line.entity_id) as entities, array_agg(line.due_time) as times into v_found
        from (
            select held.entity_id, held.due_time
            from sync.due as held
            where
                held.tenant_id = p_tenant and held.connector = p_connector and held.lane = v_lane
                and held.lane > 0
                and (held.due_time, held.entity_id) > (p_after_times[v_lane], p_after_ids[v_lane])
                and held.due_time <= v_now
                and held.entity_id not in (select excluded.id from unnest(p_excluding) as excluded (id))
            order by held.due_time, held.entity_id
            limit p_rows[v_lane] + 1
        ) as line;
        if cardinality(v_found.entities) > p_rows[v_lane] then
            v_waiting := v_waiting || v_lane;
        end if;
        v_entities := v_entities || v_found.entities[1:p_rows[v_lane]];
        v_times := v_times || v_found.times[1:p_rows[v_lane]];
        v_lanes := v_lanes || array_fill(v_lane::smallint, array[cardinality(v_entities) - cardinality(v_lanes)]);
    end loop;
    if 0 < any(p_rows) then
        v_flying := v_entities;
    else
        v_flying := array(
            select flying.id from unnest(v_flying) as flying (id)
            where flying.id not in (select item.entity_id from unnest(p_items) as item)
        );
    end if;
    update sync.inflight as held set fence = p_fence, turn_number = p_number, entity_ids = v_flying
    where held.tenant_id = p_tenant and held.connector = p_connector and held.slot = p_slot;
    if cardinality(v_waiting) > 0 then
        v_next := 0;
    else
        select extract(epoch from min(soonest.due_time) - v_now) into v_next
        from unnest('{1,2,3,4}'::smallint []) as queue (lane)
        cross join lateral (
            select held.due_time from sync.due as held
            where
                held.tenant_id = p_tenant and held.connector = p_connector and held.lane = queue.lane
                and held.lane > 0 and held.due_time > v_now
            order by held.due_time, held.entity_id
            limit 1
        ) as soonest;
    end if;
    select jsonb_build_object('account', to_jsonb(account), 'next_due_s', v_next, 'waiting', v_waiting)
    into v_head.head
    from (select) as always
    left join sync.connector_state as account
        on account.tenant_id = p_tenant and account.connector = p_connector;
    v_head.due_time := v_now;
    return next v_head;
    return query
    select
        null::jsonb, line.entity_id, line.lane, line.due_time, held.object,
        case when held.last_error_class in ('in_doubt', 'partial') then 4::smallint else held.state end,
        held.delivered_version,
        held.crm_object, held.crm_id, held.known, held.failure_count, held.try_count,
        coalesce(extract(epoch from v_now - held.wait_since), 0)::float8, held.event_key, held.mark_time,
        held.dirty_time, held.traceparent, held.tracestate, held.last_traceparent, entity.state,
        entity.merged_into, entity.version, entity.fields::text,
        (
            select jsonb_agg(jsonb_build_array(
                reference.field, reference.to_entity_id, coalesce(target.crm_id, ''),
                coalesce(target.state in (1, 3, 4), false)
            ))
            from sync.entity_reference as reference
            left join lateral (
                select one.merged_into from sync.entity as one
                where one.tenant_id = p_tenant and one.entity_id = reference.to_entity_id
                offset 0
            ) as referred on true
            left join lateral (
                select one.crm_id, one.state from sync.delivery as one
                where
                    one.tenant_id = p_tenant and one.connector = p_connector
                    and one.entity_id = coalesce(referred.merged_into, reference.to_entity_id)
                offset 0
            ) as target on true
            where reference.tenant_id = p_tenant and reference.from_entity_id = line.entity_id
        ),
        held.last_error_class <> ''
    from unnest(v_entities, v_lanes, v_times) as line (entity_id, lane, due_time)
    cross join lateral (
        select one.* from sync.delivery as one
        where one.tenant_id = p_tenant and one.connector = p_connector and one.entity_id = line.entity_id
        offset 0
    ) as held
    cross join lateral (
        select one.* from sync.entity as one
        where one.tenant_id = p_tenant and one.entity_id = line.entity_id
        offset 0
    ) as entity;
end
$$;
comment on function sync.turn(
    text, text, text, bigint, smallint, bigint, sync.settlement [], integer [], timestamptz [], uuid [], uuid []
) is
'Settles, claims and journals the claim under the fence; no row when the fence is lost. Arrays of four are by '
'lane: rows wanted, and the place in the queue behind which to look. Claiming writes the journal alone; a turn that '
'wants no rows takes out of it what it settles, so that rows of a batch can be settled one by one.';
