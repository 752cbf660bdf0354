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
'of object, state, lane, version, outcome, attempt_number, start_time and policy_version, which are never null, and of '
'audited, one value alone stands for all. Null elsewhere: crm_object, crm_id and known stay as they are; counts, pauses and texts are 0 or empty; '
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
-- A column is read by the number of its item: in a variable of its own, an array is taken apart once. An unnest of
-- all columns would write each of them to a store and read it back, in every statement.
as $$
declare
    v_now timestamptz := clock_timestamp();
    v_count integer := cardinality(p_items.entity_id);
    v_entities uuid [] := p_items.entity_id;
    v_objects text [] := p_items.object;
    v_states smallint [] := p_items.state;
    v_lanes smallint [] := p_items.lane;
    v_versions bigint [] := p_items.version;
    v_crm_objects text [] := p_items.crm_object;
    v_crm_ids text [] := p_items.crm_id;
    v_known text [] := p_items.known;
    v_failure_counts integer [] := p_items.failure_count;
    v_try_counts integer [] := p_items.try_count;
    v_pauses double precision [] := p_items.after_s;
    v_waits boolean [] := p_items.waits;
    v_lacking boolean [] := p_items.lacks_reference;
    v_outcomes text [] := p_items.outcome;
    v_numbers integer [] := p_items.attempt_number;
    v_keys uuid [] := p_items.event_key;
    v_start_times timestamptz [] := p_items.start_time;
    v_dirty_times timestamptz [] := p_items.dirty_time;
    v_trace_ids text [] := p_items.trace_id;
    v_span_ids text [] := p_items.span_id;
    v_traceparents text [] := p_items.traceparent;
    v_error_classes text [] := p_items.error_class;
    v_error_codes text [] := p_items.error_code;
    v_error_messages text [] := p_items.error_message;
    v_statuses integer [] := p_items.http_status;
    v_learned text [] := p_items.learned;
    v_actions text [] := p_items.action;
    v_changes text [] := p_items.changes;
    v_policy_versions text [] := p_items.policy_version;
    v_verdicts text [] := p_items.verdict;
    v_audited boolean [] := p_items.audited;
    v_object text := v_objects[1];
    v_state smallint := v_states[1];
    v_lane smallint := v_lanes[1];
    v_version bigint := v_versions[1];
    v_outcome text := v_outcomes[1];
    v_number integer := v_numbers[1];
    v_start_time timestamptz := v_start_times[1];
    v_policy_version text := v_policy_versions[1];
    v_all_audited boolean := coalesce(cardinality(v_audited) = 1 and v_audited[1], false);
    v_ended uuid [];
    v_again uuid [];
    v_pending boolean [];
    v_is_pending boolean;
begin
    if cardinality(v_crm_ids) > 0 and (cardinality(v_outcomes) > 1 or v_outcome <> 'created') then
        insert into sync.former_record (tenant_id, connector, crm_object, crm_id, entity_id, end_time)
        select p_tenant, p_connector, held.crm_object, held.crm_id, v_entities[item.n], v_now
        from generate_series(1, cardinality(v_crm_ids)) as item (n)
        cross join lateral (
            select one.crm_object, one.crm_id from sync.delivery as one
            where
                one.tenant_id = p_tenant and one.connector = p_connector and one.entity_id = v_entities[item.n]
            offset 0
        ) as held
        where
            coalesce(v_outcomes[item.n], v_outcome) <> 'created'
            and held.crm_id <> '' and held.crm_id <> v_crm_ids[item.n]
        on conflict (tenant_id, connector, crm_object, crm_id) do update
        set entity_id = excluded.entity_id, end_time = excluded.end_time;
    end if;
    with settled as (
        update sync.delivery as held
        set
            state = case
                when
                    coalesce(v_states[item.n], v_state) = 2
                    and (
                        held.desired_version > coalesce(v_versions[item.n], v_version)
                        or (held.reference_came and v_lacking[item.n])
                    )
                    then 1
                when
                    coalesce(v_states[item.n], v_state) in (6, 7)
                    and (held.reference_came or held.desired_version > coalesce(v_versions[item.n], v_version))
                    then 1
                else coalesce(v_states[item.n], v_state)
            end,
            reference_came = false,
            delivered_version = case
                when coalesce(v_states[item.n], v_state) = 2 then coalesce(v_versions[item.n], v_version)
                else held.delivered_version
            end,
            dirty_time = case when coalesce(v_states[item.n], v_state) = 2 then held.mark_time else held.dirty_time end,
            settle_time = case when coalesce(v_states[item.n], v_state) = 2 then v_now else held.settle_time end,
            crm_object = coalesce(v_crm_objects[item.n], held.crm_object),
            crm_id = coalesce(v_crm_ids[item.n], held.crm_id),
            known = coalesce(v_known[item.n]::json, held.known),
            failure_count = coalesce(v_failure_counts[item.n], 0), try_count = coalesce(v_try_counts[item.n], 0),
            wait_since = case when v_waits[item.n] then coalesce(held.wait_since, v_now) end,
            lacks_reference = coalesce(v_lacking[item.n], false),
            last_error_class = coalesce(v_error_classes[item.n], ''),
            last_error = coalesce(v_error_messages[item.n], ''),
            last_traceparent = coalesce(v_traceparents[item.n], '')
        from (
            select every.entity_id, every.number::integer as n
            from unnest(v_entities) with ordinality as every (entity_id, number)
        ) as item
        where
            held.tenant_id = p_tenant and held.connector = p_connector and held.entity_id = any(v_entities)
            and held.entity_id = item.entity_id
        returning held.entity_id, held.state
    )
    select
        array_agg(settled.entity_id) filter (where settled.state in (2, 5, 6, 7)),
        array_agg(settled.entity_id) filter (where settled.state in (1, 3, 4)),
        array_agg(settled.state = 1) filter (where settled.state in (1, 3, 4))
    into v_ended, v_again, v_pending
    from settled;
    if not v_all_audited then
        insert into sync.attempt (
            tenant_id, connector, entity_id, object, attempt_number, version, event_key, start_time, end_time,
            outcome, error_class, error_code, error_message, http_status, latency_ms, trace_id, span_id, verdict
        )
        select
            p_tenant, p_connector, v_entities[n], coalesce(v_objects[n], v_object),
            coalesce(v_numbers[n], v_number), coalesce(v_versions[n], v_version), v_keys[n],
            least(coalesce(v_start_times[n], v_start_time), v_now), v_now, coalesce(v_outcomes[n], v_outcome),
            coalesce(v_error_classes[n], ''), coalesce(v_error_codes[n], ''), coalesce(v_error_messages[n], ''),
            coalesce(v_statuses[n], 0), extract(epoch from v_now - v_dirty_times[n])::float8 * 1000,
            coalesce(v_trace_ids[n], ''), coalesce(v_span_ids[n], ''), coalesce(v_verdicts[n], '')
        from generate_series(1, v_count) as item (n)
        where coalesce(v_outcomes[n], v_outcome) <> '' and not coalesce(v_audited[n], false);
        insert into sync.audit (
            tenant_id, audit_time, action, actor, entity_id, event_key, connector, changes, policy_version, trace_id
        )
        select
            p_tenant, v_now, case v_verdicts[n] when 'repeated' then 'sent_again' else 'looked_up' end, 'sync',
            v_entities[n], v_keys[n], p_connector, v_learned[n]::json,
            coalesce(v_policy_versions[n], v_policy_version), coalesce(v_trace_ids[n], '')
        from generate_series(1, cardinality(v_learned)) as item (n)
        where v_learned[n] is not null;
        insert into sync.audit (
            tenant_id, audit_time, action, actor, entity_id, event_key, connector, changes, policy_version, trace_id
        )
        select
            p_tenant, v_now, coalesce(v_actions[n], 'delivered'), 'sync', v_entities[n], v_keys[n], p_connector,
            v_changes[n]::json, coalesce(v_policy_versions[n], v_policy_version), coalesce(v_trace_ids[n], '')
        from generate_series(1, cardinality(v_changes)) as item (n)
        where v_changes[n] is not null and not coalesce(v_audited[n], false);
    end if;
    insert into sync.audit (
        tenant_id, audit_time, action, actor, entity_id, event_key, connector, changes, policy_version, trace_id,
        object, attempt_number, version, start_time, outcome, latency_ms, span_id
    )
    select
        p_tenant, v_now, 'delivered', 'sync', v_entities[n], v_keys[n], p_connector, v_changes[n]::json,
        coalesce(v_policy_versions[n], v_policy_version), coalesce(v_trace_ids[n], ''),
        coalesce(v_objects[n], v_object), coalesce(v_numbers[n], v_number), coalesce(v_versions[n], v_version),
        least(coalesce(v_start_times[n], v_start_time), v_now), coalesce(v_outcomes[n], v_outcome),
        extract(epoch from v_now - v_dirty_times[n])::float8 * 1000, coalesce(v_span_ids[n], '')
    from generate_series(1, v_count) as item (n)
    where v_all_audited or v_audited[n];
    if v_again is not null then
        for v_is_pending in select distinct one.pending from unnest(v_pending) as one (pending) loop
            insert into sync.due as held (tenant_id, connector, lane, due_time, entity_id)
            select
                p_tenant, p_connector, coalesce(v_lanes[item.n], v_lane),
                v_now + make_interval(secs => coalesce(v_pauses[item.n], 0)), again.entity_id
            from unnest(v_again, v_pending) as again (entity_id, pending)
            inner join (
                select every.entity_id, every.number::integer as n
                from unnest(v_entities) with ordinality as every (entity_id, number)
            ) as item on again.entity_id = item.entity_id
            where again.pending = v_is_pending
            on conflict (tenant_id, connector, entity_id) do update
            set
                due_time = excluded.due_time,
                lane = case when v_is_pending then least(held.lane, excluded.lane) else excluded.lane end;
        end loop;
    end if;
    delete from sync.due as held
    where held.tenant_id = p_tenant and held.connector = p_connector and held.entity_id = any(v_ended);
    if cardinality(p_items.fresh) > 0 then
        perform sync.wake_referrers(p_tenant, p_connector, array(
            select v_entities[item.n] from unnest(p_items.fresh) with ordinality as item (fresh, n) where item.fresh
        ));
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

create function sync.standing_of(p_tenant text, p_entity uuid)
returns uuid
language plpgsql stable
as $$
declare
    v_passed uuid [] := '{}';
    v_entity uuid := p_entity;
    v_into uuid;
begin
    loop
        select held.merged_into into v_into from sync.entity as held
        where held.tenant_id = p_tenant and held.entity_id = v_entity;
        exit when v_into is null or v_into = any(v_passed);
        v_passed := v_passed || v_entity;
        v_entity := v_into;
    end loop;
    return v_entity;
end
$$;
comment on function sync.standing_of(text, uuid) is
'The entity that has the records of another one now, merges followed to their end.';

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
            and one.entity_id = case
                when referred.merged_into is null then held.to_entity_id
                else sync.standing_of(p_tenant, referred.merged_into)
            end
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
    p_excluding uuid [], p_keeps boolean
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
    p_excluding := p_excluding || array(
        select held.entity_id from sync.held_delivery as held
        where held.tenant_id = p_tenant and held.connector = p_connector
    );
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
    if p_keeps then
        v_flying := array(
            select flying.id from unnest(v_flying) as flying (id)
            where flying.id not in (select item.id from unnest(p_items.entity_id) as item (id))
        );
    else
        v_flying := v_entities;
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
    text, text, text, bigint, smallint, bigint, sync.settlements, integer [], timestamptz [], uuid [], uuid [], boolean
) is
'Settles, claims and journals the claim under the fence; no row when the fence is lost. Arrays of four are by '
'lane: rows wanted, and the place in the queue behind which to look. Claiming writes the journal alone: afterwards it '
'names what the turn has claimed; where p_keeps, what it named before and is not settled now, so that a batch can be '
'settled in parts.';
