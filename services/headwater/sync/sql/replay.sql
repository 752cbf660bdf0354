-- Replays: dead deliveries made due again, or ended, at a rate.

-- name: make_due
-- Makes dead or discarded deliveries due now, each noted in the audit: the one statement by which
-- operators do. The count of tries stays, so attempts are numbered on; what counts towards the dead
-- letter begins anew, which the audit says. A write that nobody knows the end of is looked up first.
-- $1 tenant; arrays: $2 connector text[], $3 entity uuid[]; $4 actor; $5 policy version; $6 replay.
with chosen as (
    select
        held.connector, held.entity_id, held.state, held.failure_count,
        coalesce(member.in_doubt, false) as in_doubt
    from unnest($2::text [], $3::uuid []) as wanted (connector, entity_id)
    inner join sync.delivery as held
        on
            held.tenant_id = $1 and wanted.connector = held.connector
            and wanted.entity_id = held.entity_id and held.stopped
    left join sync.error_member as member
        on
            member.tenant_id = $1 and held.connector = member.connector
            and held.entity_id = member.entity_id
    order by held.connector, held.entity_id
    for update of held
), replayed as (
    update sync.delivery as held
    set
        state = case when chosen.in_doubt then 4 else 1 end, failure_count = 0, wait_since = null,
        discard_reason = ''
    from chosen
    where
        held.tenant_id = $1 and held.connector = chosen.connector and held.entity_id = chosen.entity_id
    returning
        held.connector, held.entity_id, held.event_key, held.state, chosen.state as former_state,
        chosen.failure_count as former_failures
), lined_up as (
    insert into sync.due as held (tenant_id, connector, lane, due_time, entity_id)
    select $1, connector, 2, clock_timestamp(), entity_id from replayed
    order by connector, entity_id
    on conflict (tenant_id, connector, entity_id) do update set due_time = excluded.due_time
), noted as (
    insert into sync.audit (
        tenant_id, connector, actor, policy_version, action, entity_id, event_key, changes
    )
    select
        $1, connector, $4, $5, 'deliveries_replayed', entity_id, event_key,
        jsonb_build_array(
            jsonb_build_object(
                'field', 'state', 'before',
                case former_state when 5 then 'dead' when 6 then 'discarded' else 'held' end,
                'after', case state when 4 then 'in_doubt' else 'pending' end, 'rule', 'operator'
            ),
            jsonb_build_object(
                'field', 'failure_count', 'before', former_failures, 'after', 0,
                'rule', 'replay ' || $6::uuid::text
            )
        )
    from replayed
    order by connector, entity_id
)
select count(*) as deliveries from replayed;

-- name: discard
-- Ends dead deliveries with a reason, each noted in the audit; where nobody knows the end of the last write, the
-- note says so: nobody will look it up now. $1 tenant; arrays: $2 connector text[], $3 entity uuid[]; $4 actor; $5 policy version; $6 replay; $7 reason.
with chosen as (
    select held.connector, held.entity_id, coalesce(member.in_doubt, false) as in_doubt
    from unnest($2::text [], $3::uuid []) as wanted (connector, entity_id)
    inner join sync.delivery as held
        on
            held.tenant_id = $1 and wanted.connector = held.connector
            and wanted.entity_id = held.entity_id and held.stopped and held.state = 5
    left join sync.error_member as member
        on
            member.tenant_id = $1 and held.connector = member.connector
            and held.entity_id = member.entity_id
    order by held.connector, held.entity_id
    for update of held
), discarded as (
    update sync.delivery as held
    set state = 6, discard_reason = $7
    from chosen
    where
        held.tenant_id = $1 and held.connector = chosen.connector and held.entity_id = chosen.entity_id
    returning held.connector, held.entity_id, held.event_key, chosen.in_doubt
), left_group as (
    update sync.error_member as member
    set group_id = null
    from discarded
    where
        member.tenant_id = $1 and member.connector = discarded.connector
        and member.entity_id = discarded.entity_id
), noted as (
    insert into sync.audit (
        tenant_id, connector, actor, policy_version, action, entity_id, event_key, changes
    )
    select
        $1, connector, $4, $5, 'deliveries_discarded', entity_id, event_key,
        jsonb_build_array(
            jsonb_build_object(
                'field', 'state', 'before', 'dead', 'after', 'discarded', 'rule', 'operator'
            ),
            jsonb_build_object(
                'field', 'discard_reason', 'before', null, 'after', $7::text,
                'rule', 'replay ' || $6::uuid::text
            )
        ) || case
            when in_doubt then jsonb_build_array(
                jsonb_build_object('field', '', 'before', null, 'after', 'in_doubt', 'rule', 'operator')
            )
            else '[]'
        end
    from discarded
    order by connector, entity_id
)
select count(*) as deliveries from discarded;

-- name: count_account_dead
-- Dead deliveries from one connector to another one, both included. $1 tenant; $2 first; $3 last connector.
select count(*) as deliveries from sync.delivery
where tenant_id = $1 and connector between $2 and $3 and stopped and state = 5;

-- name: count_group_dead
-- Dead deliveries of a group. $1 tenant; $2 group.
select count(*) as deliveries
from sync.error_member as member
inner join sync.delivery as held using (tenant_id, connector, entity_id)
where member.tenant_id = $1 and member.group_id = $2 and held.state = 5;

-- name: start_replay
-- Begins a replay; no row when it was begun before. $1 tenant; $2 replay; $3 connector; $4 group or null;
-- $5 entities uuid[]; $6 rate; $7 deliveries; $8 now; $9 actor; $10 policy version; $11 reason to discard, or empty.
insert into sync.replay (
    tenant_id, replay_id, connector, group_id, entity_ids, rate_per_s, total_count, next_time, actor,
    policy_version, discard_reason
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
on conflict do nothing
returning replay_id;

-- name: read_replay
-- One replay. $1 tenant; $2 replay.
select
    tenant_id, replay_id, connector, group_id, entity_ids, rate_per_s, state, total_count, replayed_count,
    next_time, place_connector, place_entity_id, actor, policy_version, create_time, update_time,
    discard_reason
from sync.replay
where tenant_id = $1 and replay_id = $2;

-- name: list_replays
-- One page of replays, the newest first. $1 tenant; before $2 time and $3 replay; $4 rows.
select
    tenant_id, replay_id, connector, group_id, entity_ids, rate_per_s, state, total_count, replayed_count,
    next_time, place_connector, place_entity_id, actor, policy_version, create_time, update_time,
    discard_reason
from sync.replay
where tenant_id = $1 and (create_time, replay_id) < ($2, $3)
order by create_time desc, replay_id desc
limit $4;

-- name: steer_replay
-- Puts a replay that has not ended into another state; no row when it has, or stands so already.
-- $1 tenant; $2 replay; $3 state; $4 now: a replay that goes on does not catch up on its pause.
update sync.replay
set state = $3, next_time = greatest(next_time, $4), update_time = clock_timestamp()
where tenant_id = $1 and replay_id = $2 and state in (1, 2) and state <> $3
returning connector;

-- name: take_replay
-- The running replay that is due first, held until this transaction ends. $1 now. One whose time is further ahead than
-- its rate allows was given it by a clock that went wrong: it is due.
select
    tenant_id, replay_id, connector, group_id, entity_ids, rate_per_s, state, total_count, replayed_count,
    next_time, place_connector, place_entity_id, actor, policy_version, create_time, update_time,
    discard_reason
from sync.replay
where state = 1 and (next_time <= $1 or next_time > $1 + make_interval(secs => 1.1 / rate_per_s))
order by next_time
limit 1
for update skip locked;

-- name: next_replay_time
-- When a running replay is due next; null when none runs.
select min(next_time) as due_time from sync.replay where state = 1;

-- name: next_of_accounts
-- Dead deliveries behind a place that were dead when the replay began.
-- $1 tenant; behind $2 connector and $3 entity; $4 last connector; $5 began; $6 rows.
select held.connector, held.entity_id
from sync.delivery as held
where
    held.tenant_id = $1 and (held.connector, held.entity_id) > ($2, $3) and held.connector <= $4
    and held.stopped and held.state = 5
    and not exists (
        select from sync.error_member as member
        where
            member.tenant_id = $1 and member.connector = held.connector
            and member.entity_id = held.entity_id and member.fail_time > $5
    )
order by held.connector, held.entity_id
limit $6;

-- name: next_of_group
-- The same of one group. $1 tenant; $2 group; behind $3 entity; $4 began; $5 rows.
select held.connector, held.entity_id
from sync.error_member as member
inner join sync.delivery as held using (tenant_id, connector, entity_id)
where
    member.tenant_id = $1 and member.group_id = $2 and member.entity_id > $3 and member.fail_time <= $4
    and held.state = 5
order by member.entity_id
limit $5;

-- name: next_named
-- The same of entities that are named, discarded ones too unless dead ones alone are wanted.
-- $1 tenant; $2 connector; $3 entities uuid[]; behind $4 entity; $5 rows; $6 dead ones alone.
select held.connector, held.entity_id
from sync.delivery as held
where
    held.tenant_id = $1 and held.connector = $2 and held.entity_id = any($3::uuid [])
    and held.entity_id > $4 and held.stopped and (held.state = 5 or not $6)
order by held.entity_id
limit $5;

-- name: move_replay
-- Notes how far a replay has come. $1 tenant; $2 replay; $3 connector and $4 entity seen last;
-- $5 deliveries made due now; $6 next time; $7 state.
update sync.replay
set
    place_connector = $3, place_entity_id = $4, replayed_count = replayed_count + $5, next_time = $6,
    state = $7, update_time = clock_timestamp()
where tenant_id = $1 and replay_id = $2;

-- name: note_replay
-- Puts an operator's order about a replay into the audit. $1 tenant; $2 connector; $3 actor;
-- $4 policy version; $5 action; $6 changes.
insert into sync.audit (tenant_id, connector, actor, policy_version, action, changes)
values ($1, $2, $3, $4, $5, $6);

-- name: notify_replays
-- Wakes who works off replays once the transaction commits.
select pg_notify('headwater_replay', '');
