-- Policy changes whose values are staged: their members, what the log is told next, deliveries of all accounts.

-- name: in_force
-- The newest policy event of a tenant. $1 tenant.
select event_key, payload from ingest.current_policies() where tenant_id = $1;

-- name: renewal_state
-- How far the entities are under a policy event, once the projector came by it. $1 tenant; $2 event key.
select state, place_entity_id, reason from sync.policy_version where tenant_id = $1 and event_key = $2;

-- name: add_staged_members
-- Notes entities that a change reaches. $1 tenant; $2 rollout; $3 a JSON array of entity, draw and kinds of each.
insert into sync.rollout_member (tenant_id, rollout_id, entity_id, draw, kinds)
select
    $1, $2, (item.told ->> 0)::uuid, (item.told ->> 1)::bigint,
    array(select named.kind from jsonb_array_elements_text(item.told -> 2) as named (kind))
from jsonb_array_elements($3::jsonb) as item (told)
on conflict do nothing;

-- name: candidates
-- Of each kind of change the entities that are drawn first. $1 tenant; $2 rollout; $3 of a kind.
with named as (
    select
        member.entity_id, member.draw, one.kind,
        row_number() over (partition by one.kind order by member.draw, member.entity_id) as place
    from sync.rollout_member as member
    cross join lateral unnest(member.kinds) as one (kind)
    where member.tenant_id = $1 and member.rollout_id = $2
)
select kind, draw, entity_id from named
where place <= $3
order by kind, place;

-- name: put_first
-- Puts the chosen entities first, in their order. $1 tenant; $2 rollout; $3 entities uuid[].
update sync.rollout_member as member
set draw = item.place - 1
from unnest($3::uuid []) with ordinality as item (entity_id, place)
where member.tenant_id = $1 and member.rollout_id = $2 and member.entity_id = item.entity_id;

-- name: list_first
-- The entities that were put first, in their order. $1 tenant; $2 rollout; $3 rows.
select entity_id, kinds from sync.rollout_member
where tenant_id = $1 and rollout_id = $2 and draw < $3
order by draw, entity_id
limit $3;

-- name: last_draw
-- The place of one member in the order of the draw. $1 tenant; $2 rollout; $3 how many are before it.
select draw from sync.rollout_member
where tenant_id = $1 and rollout_id = $2
order by draw, entity_id
limit 1
offset $3;

-- name: want_stage
-- Notes what the log is to be told next. $1 tenant; $2 change; $3 stage; $4 what is staged, or null.
update sync.policy_change set wanted_stage = $3, staged = $4 where tenant_id = $1 and change_id = $2;

-- name: put_stage
-- Notes what the log was told. $1 tenant; $2 change; $3 stage; $4 now.
update sync.policy_change
set put_stage = $3::smallint, apply_time = case when $3::smallint = 100 then coalesce(apply_time, $4) else apply_time end
where tenant_id = $1 and change_id = $2;

-- name: next_by_draw
-- The next members, in the order of their draw. $1 tenant; $2 rollout; $3 rows.
select entity_id from sync.rollout_member
where tenant_id = $1 and rollout_id = $2 and fate = 0
order by draw, entity_id
limit $3;

-- name: next_by_entity
-- The next members up to an entity, in the order in which entities are renewed. $1 tenant; $2 rollout; $3 rows;
-- $4 entity.
select entity_id from sync.rollout_member
where tenant_id = $1 and rollout_id = $2 and fate = 0 and entity_id <= $4
order by entity_id
limit $3;

-- name: admit_staged
-- Notes that members are under way. $1 tenant; $2 rollout; $3 entities uuid[]; $4 stage; $5 now.
update sync.rollout_member
set fate = 1, stage = $4, admit_time = $5
where tenant_id = $1 and rollout_id = $2 and entity_id = any($3::uuid []);

-- name: count_returns
-- Counts that members had to be delivered again. $1 tenant; $2 rollout; $3 entities uuid[].
update sync.rollout_member
set return_count = return_count + 1
where tenant_id = $1 and rollout_id = $2 and entity_id = any($3::uuid []);

-- name: make_staged_due
-- Makes entities due at an account that are settled, dead or unknown there, behind everything else.
-- $1 tenant; $2 connector; $3 entities uuid[]; $4 event key of new rows.
with wanted as (
    select entity.entity_id, entity.object, entity.version, coalesce(failed.in_doubt, false) as in_doubt
    from unnest($3::uuid []) as chosen (entity_id)
    inner join sync.entity as entity on entity.tenant_id = $1 and entity.entity_id = chosen.entity_id
    left join sync.error_member as failed
        on failed.tenant_id = $1 and failed.connector = $2 and failed.entity_id = chosen.entity_id
), marked as (
    insert into sync.delivery as held (
        tenant_id, connector, entity_id, object, state, desired_version, event_key, dirty_time
    )
    select $1, $2, entity_id, object, case when in_doubt then 4 else 1 end, version, $4, clock_timestamp()
    from wanted
    order by entity_id
    on conflict (tenant_id, connector, entity_id) do update
    set
        state = case when held.state = 5 then excluded.state else 1 end, failure_count = 0, wait_since = null,
        traceparent = '', tracestate = '', mark_time = clock_timestamp(), dirty_time = excluded.dirty_time
    where held.state in (2, 5)
    returning held.entity_id
)
insert into sync.due as held (tenant_id, connector, lane, due_time, entity_id)
select $1, $2, 4, clock_timestamp(), entity_id from marked
on conflict (tenant_id, connector, entity_id) do nothing;

-- name: relapsed_staged
-- Delivered members of a stage of which some delivery has failed since. $1 tenant; $2 rollout; $3 stage.
update sync.rollout_member as member
set fate = 4
where
    member.tenant_id = $1 and member.rollout_id = $2 and member.stage = $3 and member.fate = 2
    and exists (
        select from sync.delivery as held
        where
            held.tenant_id = $1 and held.entity_id = member.entity_id -- noqa: RF01
            and held.connector = any($4::text []) and held.stopped and held.state = 5 -- noqa: RF01
    )
returning member.entity_id;

-- name: findings_of
-- What keeps accounts from being used. $1 tenant; $2 connectors text[].
select connector, finding from sync.connector_state
where tenant_id = $1 and connector = any($2::text []) and finding <> ''
order by connector
limit 1;

-- name: go_back_with
-- Notes entities that go back, whether they were members or not. $1 tenant; $2 rollout; $3 entities uuid[].
insert into sync.rollout_member as held (tenant_id, rollout_id, entity_id, draw)
select $1, $2, one.entity_id, 9223372036854775807
from unnest($3::uuid []) as one (entity_id)
on conflict (tenant_id, rollout_id, entity_id) do update set fate = 0
where held.fate = 5;

-- name: count_planned
-- How many members wait for their turn. $1 tenant; $2 rollout.
select count(*) as records from sync.rollout_member where tenant_id = $1 and rollout_id = $2 and fate = 0;

-- name: list_failed_staged
-- Members that failed, with what an account said last. $1 tenant; $2 rollout; $3 rows.
select member.entity_id, member.stage, member.fate, held.connector, held.last_error_class, held.last_error
from sync.rollout_member as member
left join lateral (
    select one.connector, one.last_error_class, one.last_error
    from sync.delivery as one
    where
        one.tenant_id = $1 and one.entity_id = member.entity_id and one.connector <> ''
        and one.last_error_class <> ''
    order by one.connector
    limit 1
) as held on true
where member.tenant_id = $1 and member.rollout_id = $2 and member.fate in (3, 4)
order by member.entity_id
limit $3;
