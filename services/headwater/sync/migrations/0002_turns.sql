-- One turn of an actor's slot, in one round trip: what was tried is settled, what comes next is claimed.
-- The plans are fixed, and kept: statistics of a queue are always stale, so every statement is written for one plan
-- alone. A batch is looked up by its array of entities in one pass through the index, in the order of the entities,
-- and joined to its items by hash: rows are locked in that order, whatever the batch. Rows are changed by their key,
-- never at the place (ctid) where they were found: a row that another transaction changes meanwhile stands elsewhere
-- afterwards, unseen by the statement that waited for it. What is not set is null: it costs next to nothing.

create type sync.settlements as (
    entity_id uuid [],
    object text [],
    state smallint [],
    lane smallint [],
    version bigint [],
    crm_object text [],
    crm_id text [],
    known text [],
    failure_count integer [],
    try_count integer [],
    after_s double precision [],
    waits boolean [],
    lacks_reference boolean [],
    fresh boolean [],
    outcome text [],
    attempt_number integer [],
    event_key uuid [],
    start_time timestamptz [],
    dirty_time timestamptz [],
    trace_id text [],
    span_id text [],
    traceparent text [],
    error_class text [],
    error_code text [],
    error_message text [],
    http_status integer [],
    learned text [],
    action text [],
    changes text [],
    policy_version text [],
    verdict text [],
    audited boolean []
);
comment on type sync.settlements is
'How tries ended: an array a column, in order of the entities; one that is shorter is filled up with nulls; '
'of object, state, lane, outcome, attempt_number, start_time and policy_version, which are never null, one value alone '
'stands for all. Null elsewhere: crm_object, crm_id and known stay as they are; counts, pauses and texts are 0 or empty; '
'flags are false; action is `delivered`; dirty_time does not count for '
'the latency; learned and changes are not told to the audit. `learned`: the verdict on a write in doubt, then what '
'a look-up showed. `fresh`: the CRM may hold the record since this try. `traceparent`: of a try that did not deliver. Known, learned and changes are JSON. An empty outcome: nothing was tried. '
'`audited`: the entry of the audit is the record of the try too.';

create type sync.claimed as (
    head jsonb,
    entity_id uuid,
    lane smallint,
    due_time timestamptz,
    object text,
    in_doubt boolean,
    delivered_version bigint,
    crm_object text,
    crm_id text,
    known text,
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
    refs json,
    erred boolean
);
comment on type sync.claimed is
'The first row of a turn has a head (the account, seconds to the next due, lanes that wait) and, as its due time, '
'when it looked. The others come in no order.';

create function sync.fence_key(p_lease text) returns bigint
language sql immutable parallel safe
return hashtextextended(p_lease, 7521962890102);
comment on function sync.fence_key(text) is
'The advisory lock that a lease''s turns share and a take-over has alone: the take-over waits for turns under way, '
'and a turn that comes later sees the new fence. Nobody waits at the lease itself.';

create function sync.settle(p_tenant text, p_connector text, p_items sync.settlements) returns void
language plpgsql
as $$
declare
    v_now timestamptz := clock_timestamp();
    v_entities uuid [] := p_items.entity_id;
    v_object text := p_items.object[1];
    v_state smallint := p_items.state[1];
    v_lane smallint := p_items.lane[1];
    v_outcome text := p_items.outcome[1];
    v_number integer := p_items.attempt_number[1];
    v_start_time timestamptz := p_items.start_time[1];
    v_policy_version text := p_items.policy_version[1];
    v_ended uuid [];
    v_again uuid [];
    v_pending boolean [];
    v_fresh uuid [];
begin
    with settled as (
        update sync.delivery as held
        set
            state = case
                when
                    coalesce(item.state, v_state) = 2
                    and (held.desired_version > item.version or (held.reference_came and item.lacks_reference))
                    then 1
                else coalesce(item.state, v_state)
            end,
            reference_came = false,
            delivered_version = case when coalesce(item.state, v_state) = 2 then item.version else held.delivered_version end,
            dirty_time = case when coalesce(item.state, v_state) = 2 then held.mark_time else held.dirty_time end,
            settle_time = case when coalesce(item.state, v_state) = 2 then v_now else held.settle_time end,
            crm_object = coalesce(item.crm_object, held.crm_object),
            crm_id = coalesce(item.crm_id, held.crm_id),
            known = coalesce(item.known::json, held.known),
            failure_count = coalesce(item.failure_count, 0), try_count = coalesce(item.try_count, 0),
            wait_since = case when item.waits then coalesce(held.wait_since, v_now) end,
            lacks_reference = coalesce(item.lacks_reference, false),
            last_error_class = coalesce(item.error_class, ''), last_error = coalesce(item.error_message, ''),
            last_traceparent = coalesce(item.traceparent, '')
        from unnest(
            p_items.entity_id, p_items.state, p_items.version, p_items.crm_object, p_items.crm_id,
            p_items.known, p_items.failure_count, p_items.try_count, p_items.waits,
            p_items.lacks_reference, p_items.traceparent, p_items.error_class,
            p_items.error_message
        ) as item (
            entity_id, state, version, crm_object, crm_id, known, failure_count, try_count, waits,
            lacks_reference, traceparent, error_class, error_message
        )
        where
            held.tenant_id = p_tenant and held.connector = p_connector and held.entity_id = any(v_entities)
            and held.entity_id = item.entity_id
        returning held.entity_id, held.state
    )
    select
        array_agg(settled.entity_id) filter (where settled.state in (2, 5, 6)),
        array_agg(settled.entity_id) filter (where settled.state in (1, 3, 4)),
        array_agg(settled.state = 1) filter (where settled.state in (1, 3, 4))
    into v_ended, v_again, v_pending
    from settled;
    insert into sync.attempt (
        tenant_id, connector, entity_id, object, attempt_number, version, event_key, start_time, end_time,
        outcome, error_class, error_code, error_message, http_status, latency_ms, trace_id, span_id, verdict
    )
    select
        p_tenant, p_connector, item.entity_id, coalesce(item.object, v_object),
        coalesce(item.attempt_number, v_number), item.version, item.event_key,
        least(coalesce(item.start_time, v_start_time), v_now), v_now, coalesce(item.outcome, v_outcome),
        coalesce(item.error_class, ''),
        coalesce(item.error_code, ''), coalesce(item.error_message, ''), coalesce(item.http_status, 0),
        extract(epoch from v_now - item.dirty_time)::float8 * 1000,
        coalesce(item.trace_id, ''), coalesce(item.span_id, ''), coalesce(item.verdict, '')
    from unnest(
        p_items.entity_id, p_items.object, p_items.version, p_items.outcome, p_items.attempt_number,
        p_items.event_key, p_items.start_time, p_items.dirty_time, p_items.trace_id, p_items.span_id,
        p_items.error_class, p_items.error_code, p_items.error_message, p_items.http_status,
        p_items.verdict, p_items.audited
    ) as item (
        entity_id, object, version, outcome, attempt_number, event_key, start_time, dirty_time,
        trace_id, span_id, error_class, error_code, error_message, http_status, verdict, audited
    )
    where coalesce(item.outcome, v_outcome) <> '' and not coalesce(item.audited, false);
    if cardinality(p_items.learned) > 0 then
        insert into sync.audit (
            tenant_id, audit_time, action, actor, entity_id, event_key, connector, changes, policy_version, trace_id
        )
        select
            p_tenant, v_now, case item.verdict when 'repeated' then 'sent_again' else 'looked_up' end, 'sync',
            item.entity_id, item.event_key, p_connector, item.learned::json, coalesce(item.policy_version, v_policy_version),
            coalesce(item.trace_id, '')
        from unnest(
            p_items.entity_id, p_items.event_key, p_items.trace_id, p_items.learned, p_items.policy_version,
            p_items.verdict
        ) as item (entity_id, event_key, trace_id, learned, policy_version, verdict)
        where item.learned is not null;
    end if;
    insert into sync.audit (
        tenant_id, audit_time, action, actor, entity_id, event_key, connector, changes, policy_version, trace_id
    )
    select
        p_tenant, v_now, coalesce(item.action, 'delivered'), 'sync', item.entity_id, item.event_key, p_connector,
        item.changes::json, coalesce(item.policy_version, v_policy_version), coalesce(item.trace_id, '')
    from unnest(
        p_items.entity_id, p_items.event_key, p_items.trace_id, p_items.action, p_items.changes,
        p_items.policy_version, p_items.audited
    ) as item (entity_id, event_key, trace_id, action, changes, policy_version, audited)
    where item.changes is not null and not coalesce(item.audited, false);
    insert into sync.audit (
        tenant_id, audit_time, action, actor, entity_id, event_key, connector, changes, policy_version, trace_id,
        object, attempt_number, version, start_time, outcome, latency_ms, span_id
    )
    select
        p_tenant, v_now, 'delivered', 'sync', item.entity_id, item.event_key, p_connector, item.changes::json,
        coalesce(item.policy_version, v_policy_version), coalesce(item.trace_id, ''),
        coalesce(item.object, v_object), coalesce(item.attempt_number, v_number), item.version,
        least(coalesce(item.start_time, v_start_time), v_now), coalesce(item.outcome, v_outcome),
        extract(epoch from v_now - item.dirty_time)::float8 * 1000, coalesce(item.span_id, '')
    from unnest(
        p_items.entity_id, p_items.event_key, p_items.trace_id, p_items.changes, p_items.policy_version,
        p_items.object, p_items.attempt_number, p_items.version, p_items.start_time, p_items.outcome,
        p_items.dirty_time, p_items.span_id, p_items.audited
    ) as item (
        entity_id, event_key, trace_id, changes, policy_version, object, attempt_number, version, start_time,
        outcome, dirty_time, span_id, audited
    )
    where item.audited;
    if v_again is not null then
        insert into sync.due as held (tenant_id, connector, lane, due_time, entity_id)
        select
            p_tenant, p_connector, coalesce(item.lane, v_lane), v_now + make_interval(secs => coalesce(item.after_s, 0)),
            again.entity_id
        from unnest(v_again, v_pending) as again (entity_id, pending)
        inner join unnest(p_items.entity_id, p_items.lane, p_items.after_s) as item (entity_id, lane, after_s)
            on again.entity_id = item.entity_id
        where again.pending
        on conflict (tenant_id, connector, entity_id) do update
        set due_time = excluded.due_time, lane = least(held.lane, excluded.lane);
        insert into sync.due as held (tenant_id, connector, lane, due_time, entity_id)
        select
            p_tenant, p_connector, coalesce(item.lane, v_lane), v_now + make_interval(secs => coalesce(item.after_s, 0)),
            again.entity_id
        from unnest(v_again, v_pending) as again (entity_id, pending)
        inner join unnest(p_items.entity_id, p_items.lane, p_items.after_s) as item (entity_id, lane, after_s)
            on again.entity_id = item.entity_id
        where not again.pending
        on conflict (tenant_id, connector, entity_id) do update
        set due_time = excluded.due_time, lane = excluded.lane;
    end if;
    delete from sync.due as held
    where held.tenant_id = p_tenant and held.connector = p_connector and held.entity_id = any(v_ended);
    if cardinality(p_items.fresh) > 0 then
        v_fresh := array(
            select item.entity_id from unnest(p_items.entity_id, p_items.fresh) as item (entity_id, fresh)
            where item.fresh
        );
        perform sync.wake_referrers(p_tenant, p_connector, v_fresh);
    end if;
end
$$;
comment on function sync.settle(text, text, sync.settlements) is
'Records how tries ended, with attempts and audit. A delivery that was changed meanwhile is due again at once, in '
'its lane; one that failed stands in the lane of its settlement. A part of `turn`: planned under its settings.';

create function sync.wake_referrers(p_tenant text, p_connector text, p_entities uuid []) returns void
language plpgsql
-- Look-ups one by one: most batches have no referrer at all, the others few.
set enable_hashjoin = off
set enable_nestloop = on
as $$
declare
    v_referrers uuid [];
begin
    select array_agg(distinct reference.from_entity_id) into v_referrers
    from unnest(p_entities) as fresh (entity_id)
    cross join lateral (
        select held.from_entity_id from sync.entity_reference as held
        where held.tenant_id = p_tenant and held.to_entity_id = fresh.entity_id and held.field <> ''
        offset 0
    ) as reference;
    if v_referrers is null then
        return;
    end if;
    update sync.delivery as held
    set reference_came = true
    where
        held.tenant_id = p_tenant and held.connector = p_connector and held.entity_id = any(v_referrers)
        and held.state in (1, 3, 4) and not held.reference_came;
    with woken as (
        update sync.delivery as held
        set state = 1
        where
            held.tenant_id = p_tenant and held.connector = p_connector and held.entity_id = any(v_referrers)
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

create function sync.references_of(p_tenant text, p_connector text, p_entities uuid [])
returns table (entity_id uuid, refs json)
language plpgsql
set enable_hashjoin = off
set enable_nestloop = on
as $$
begin
    return query
    select
        held.from_entity_id,
        json_agg(json_build_array(
            held.field, held.to_entity_id, coalesce(target.crm_id, ''), coalesce(target.state in (1, 3, 4), false)
        ))
    from sync.entity_reference as held
    left join lateral (
        select one.merged_into from sync.entity as one
        where one.tenant_id = p_tenant and one.entity_id = held.to_entity_id
        offset 0
    ) as referred on true
    left join lateral (
        select one.crm_id, one.state from sync.delivery as one
        where
            one.tenant_id = p_tenant and one.connector = p_connector
            and one.entity_id = coalesce(referred.merged_into, held.to_entity_id)
        offset 0
    ) as target on true
    where held.tenant_id = p_tenant and held.from_entity_id = any(p_entities)
    group by held.from_entity_id;
end
$$;
comment on function sync.references_of(text, text, uuid []) is
'What entities refer to, as an account has it: lists of field, entity, CRM id, and whether it is coming.';

create function sync.turn(
    p_tenant text, p_connector text, p_lease text, p_fence bigint, p_slot smallint, p_number bigint,
    p_items sync.settlements, p_rows integer [], p_after_times timestamptz [], p_after_ids uuid [],
    p_excluding uuid []
) returns setof sync.claimed
language plpgsql
set plan_cache_mode = force_generic_plan
set enable_nestloop = off
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
    perform pg_advisory_xact_lock_shared(sync.fence_key(p_lease));
    perform from sync.lease as lease
    where lease.name = p_lease and lease.fence = p_fence and lease.expire_time > clock_timestamp();
    if not found then
        return;
    end if;
    insert into sync.inflight as held (tenant_id, connector, slot, fence, turn_number, entity_ids)
    values (p_tenant, p_connector, p_slot, p_fence, 0, '{}')
    on conflict do nothing;
    select held.turn_number, held.entity_ids into v_last, v_flying from sync.inflight as held
    where held.tenant_id = p_tenant and held.connector = p_connector and held.slot = p_slot
    for update;
    if v_last < p_number and cardinality(p_items.entity_id) > 0 then
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
            where flying.id not in (select item.id from unnest(p_items.entity_id) as item (id))
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
    if cardinality(v_entities) = 0 then
        return;
    end if;
    return query
    select
        null::jsonb, line.entity_id, line.lane, line.due_time, held.object,
        nullif(held.state = 4 or held.last_error_class in ('in_doubt', 'partial'), false),
        held.delivered_version, held.crm_object, held.crm_id, held.known::text,
        nullif(held.failure_count, 0), nullif(held.try_count, 0),
        extract(epoch from v_now - held.wait_since)::float8, held.event_key, held.mark_time, held.dirty_time,
        held.traceparent, nullif(held.tracestate, ''), nullif(held.last_traceparent, ''),
        nullif(entity.state, 'active'), entity.merged_into, entity.version, entity.fields::text, reference.refs,
        nullif(held.last_error_class <> '', false)
    from unnest(v_entities, v_lanes, v_times) as line (entity_id, lane, due_time)
    inner join sync.delivery as held
        on
            held.tenant_id = p_tenant and held.connector = p_connector and held.entity_id = any(v_entities)
            and line.entity_id = held.entity_id
    inner join sync.entity as entity
        on
            entity.tenant_id = p_tenant and entity.entity_id = any(v_entities)
            and line.entity_id = entity.entity_id
    left join (
        select found.entity_id, found.refs
        from sync.references_of(p_tenant, p_connector, v_entities) as found (entity_id, refs)
    ) as reference on line.entity_id = reference.entity_id;
end
$$;
comment on function sync.turn(
    text, text, text, bigint, smallint, bigint, sync.settlements, integer [], timestamptz [], uuid [], uuid []
) is
'Settles, claims and journals the claim under the fence; no row when the fence is lost. Arrays of four are by '
'lane: rows wanted, and the place in the queue behind which to look. Claiming writes the journal alone; a turn that '
'wants no rows takes out of it what it settles, so that rows of a batch can be settled one by one.';
