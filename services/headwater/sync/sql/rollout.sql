-- Rollouts: begun and steered by operators, worked off stage by stage.

-- name: scan_standing
-- One page of entities as an account has them, with all that a plan needs; claims nothing.
-- $1 tenant; $2 connector; behind $3 entity; $4 objects text[]; $5 rows.
select
    entity.entity_id, entity.object, coalesce(held.state, 0) as delivery_state,
    coalesce(held.desired_version, entity.version) as desired_version,
    coalesce(held.delivered_version, 0) as delivered_version, coalesce(held.crm_object, '') as crm_object,
    coalesce(held.crm_id, '') as crm_id, coalesce(held.known, '{}') as known,
    coalesce(held.failure_count, 0) as failure_count, coalesce(held.try_count, 0) as try_count,
    null::timestamptz as due_time, coalesce(held.last_error_class, '') as last_error_class,
    coalesce(held.last_error, '') as last_error, coalesce(held.event_key, entity.entity_id) as event_key,
    held.settle_time, coalesce(held.mark_time, entity.change_time) as mark_time,
    coalesce(held.dirty_time, entity.change_time) as dirty_time, false as in_doubt,
    entity.state, entity.merged_into, entity.version, entity.fields
from sync.entity as entity
left join sync.delivery as held
    on
        held.tenant_id = entity.tenant_id and held.connector = $2
        and held.entity_id = entity.entity_id
where
    entity.tenant_id = $1 and entity.entity_id > $3 and entity.object = any($4::text []) and entity.version > 0
order by entity.entity_id
limit $5;

-- name: policy_in_force
-- The newest policy event of a tenant. $1 tenant.
select payload from ingest.current_policies() where tenant_id = $1;

-- name: read_finding
-- What keeps an account from being used. $1 tenant; $2 connector.
select finding from sync.connector_state where tenant_id = $1 and connector = $2;

-- name: start_change
-- Notes a policy change that a rollout is for. $1 tenant; $2 change; $3 text and $4 digest before; $5 text and
-- $6 digest after; $7 actor; $8 now; $9 its values are staged.
insert into sync.policy_change (
    tenant_id, change_id, former_text, former_digest, new_text, new_digest, actor, create_time, by_stages
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
on conflict do nothing;

-- name: start_rollout
-- Begins a rollout; no row when it was begun before. $1 tenant; $2 rollout; $3 connector; $4 kind; $5 change or null;
-- $6 object; $7 conditions; $8 look up; $9 terms; $10 now; $11 actor; $12 policy version; $13 acknowledged.
insert into sync.rollout (
    tenant_id, rollout_id, connector, kind, change_id, object, conditions, look_up, terms, state, planned,
    place_entity_id, scanned_count, total_count, stage, next_time, rate_time, reason, actor, policy_version,
    acknowledged
)
values (
    $1, $2, $3, $4, $5, $6, $7, $8, $9, 1, false, '00000000-0000-0000-0000-000000000000', 0, 0, 0, $10, $10, '',
    $11, $12, $13
)
on conflict (tenant_id, rollout_id) do nothing
returning rollout_id;

-- name: read_rollout
-- One rollout with its present stage. $1 tenant; $2 rollout.
select held.*, -- noqa: AM04
    stage.size, stage.open_count, stage.delivered_count, stage.failing_count, stage.failed_count,
    stage.left_count, stage.begin_time, stage.settle_time
from sync.rollout as held
left join sync.rollout_stage as stage using (tenant_id, rollout_id, stage)
where held.tenant_id = $1 and held.rollout_id = $2;

-- name: hold_rollout
-- The same, held until this transaction ends. $1 tenant; $2 rollout.
select held.*, -- noqa: AM04
    stage.size, stage.open_count, stage.delivered_count, stage.failing_count, stage.failed_count,
    stage.left_count, stage.begin_time, stage.settle_time
from sync.rollout as held
left join sync.rollout_stage as stage using (tenant_id, rollout_id, stage)
where held.tenant_id = $1 and held.rollout_id = $2
for update of held;

-- name: take_rollout
-- The open rollout that is to be looked at first, held until this transaction ends. $1 now.
select held.*, -- noqa: AM04
    stage.size, stage.open_count, stage.delivered_count, stage.failing_count, stage.failed_count,
    stage.left_count, stage.begin_time, stage.settle_time
from sync.rollout as held
left join sync.rollout_stage as stage using (tenant_id, rollout_id, stage)
where held.state in (1, 2, 3, 4, 6) and held.next_time <= $1
order by held.next_time
limit 1
for update of held skip locked;

-- name: next_rollout_time
-- When an open rollout is to be looked at next; null when none is open.
select min(next_time) as due_time from sync.rollout where state in (1, 2, 3, 4, 6);

-- name: list_rollouts
-- One page of rollouts, the newest first. $1 tenant; before $2 time and $3 rollout; $4 rows.
select held.*, -- noqa: AM04
    stage.size, stage.open_count, stage.delivered_count, stage.failing_count, stage.failed_count,
    stage.left_count, stage.begin_time, stage.settle_time
from sync.rollout as held
left join sync.rollout_stage as stage using (tenant_id, rollout_id, stage)
where held.tenant_id = $1 and (held.create_time, held.rollout_id) < ($2, $3)
order by held.create_time desc, held.rollout_id desc
limit $4;

-- name: list_stages
-- Every stage of a rollout that has begun. $1 tenant; $2 rollout.
select
    stage, size, open_count, delivered_count, failing_count, failed_count, left_count, begin_time, settle_time
from sync.rollout_stage
where tenant_id = $1 and rollout_id = $2
order by stage;

-- name: list_failed_members
-- Records of a rollout that failed, with what the CRM said last. $1 tenant; $2 rollout; $3 connector; $4 rows.
select member.entity_id, member.stage, member.fate, held.last_error_class, held.last_error
from sync.rollout_member as member
left join sync.delivery as held
    on
        held.tenant_id = member.tenant_id and held.connector = $3
        and held.entity_id = member.entity_id
where member.tenant_id = $1 and member.rollout_id = $2 and member.fate in (3, 4)
order by member.entity_id
limit $4;

-- name: save_rollout
-- Stores how a rollout stands. $1 tenant; $2 rollout; $3 state; $4 planned; $5 place; $6 scanned; $7 total; $8 stage;
-- $9 soak time; $10 next time; $11 rate time; $12 reason; $13 terms.
update sync.rollout
set
    state = $3, planned = $4, place_entity_id = $5, scanned_count = $6, total_count = $7, stage = $8,
    soak_time = $9, next_time = $10, rate_time = $11, reason = $12, terms = $13,
    update_time = clock_timestamp()
where tenant_id = $1 and rollout_id = $2;

-- name: save_stage
-- Stores how a stage stands. $1 tenant; $2 rollout; $3 stage; $4 size; counts: $5 under way, $6 delivered, $7 failing,
-- $8 failed, $9 left out; $10 began; $11 settled.
insert into sync.rollout_stage (
    tenant_id, rollout_id, stage, size, open_count, delivered_count, failing_count, failed_count, left_count,
    begin_time, settle_time
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
on conflict (tenant_id, rollout_id, stage) do update
set
    size = excluded.size, open_count = excluded.open_count, delivered_count = excluded.delivered_count,
    failing_count = excluded.failing_count, failed_count = excluded.failed_count,
    left_count = excluded.left_count, begin_time = excluded.begin_time, settle_time = excluded.settle_time;

-- name: add_members
-- Notes records that a rollout is for. $1 tenant; $2 rollout; arrays: $3 entity, $4 draw.
insert into sync.rollout_member (tenant_id, rollout_id, entity_id, draw)
select $1, $2, item.entity_id, item.draw
from unnest($3::uuid [], $4::bigint []) as item (entity_id, draw)
on conflict do nothing;

-- name: turn_members_back
-- Puts what was admitted in line to be taken back, and leaves the rest; returns how many go back.
-- $1 tenant; $2 rollout.
with turned as (
    update sync.rollout_member
    set fate = case when stage is null or fate = 5 then 5 else 0 end, return_count = 0
    where tenant_id = $1 and rollout_id = $2
    returning fate
)
select count(*) filter (where fate = 0) as records from turned;

-- name: next_members
-- The next records of a rollout, in the order of their draw. $1 tenant; $2 rollout; $3 rows.
select entity_id
from sync.rollout_member
where tenant_id = $1 and rollout_id = $2 and fate = 0
order by draw, entity_id
limit $3;

-- name: admit_members
-- Makes records of a rollout due, behind everything else of the account.
-- What is under way is watched; what is failing or stopped by itself is left out. Going back, a record that died is
-- tried again. Returns how many are under way now, and how many are left out.
-- $1 tenant; $2 rollout; $3 connector; $4 entities uuid[]; $5 stage; $6 look up; $7 going back;
-- $8 event key of new rows; $9 now.
with standing as (
    select
        chosen.entity_id, entity.object, entity.version, held.event_key,
        case
            when entity.object is null then 'left'
            when held.state is null or held.state = 2 or (held.state = 5 and $7) then 'due'
            when held.state in (1, 4) or (held.state = 3 and $7) then 'watched'
            else 'left'
        end as way,
        case
            when held.state = 5 and coalesce(failed.in_doubt, false) then 4
            when held.state = 2 and $6 then 4
            else 1
        end as state
    from unnest($4::uuid []) as chosen (entity_id)
    left join lateral (
        select one.object, one.version from sync.entity as one
        where one.tenant_id = $1 and one.entity_id = chosen.entity_id
        offset 0 -- noqa: AM09
    ) as entity on true
    left join lateral (
        select one.state, one.event_key from sync.delivery as one
        where one.tenant_id = $1 and one.connector = $3 and one.entity_id = chosen.entity_id
        offset 0 -- noqa: AM09
    ) as held on true
    left join lateral (
        select one.in_doubt from sync.error_member as one
        where one.tenant_id = $1 and one.connector = $3 and one.entity_id = chosen.entity_id
        offset 0 -- noqa: AM09
    ) as failed on true
), marked as (
    insert into sync.delivery as held (
        tenant_id, connector, entity_id, object, state, desired_version, event_key, dirty_time
    )
    select $1, $3, entity_id, object, state, version, coalesce(event_key, $8), clock_timestamp()
    from standing
    where way = 'due'
    order by entity_id
    on conflict (tenant_id, connector, entity_id) do update
    set
        state = excluded.state, failure_count = 0, wait_since = null, traceparent = '',
        tracestate = '', mark_time = clock_timestamp(), dirty_time = excluded.dirty_time
    where held.state in (2, 5)
    returning held.entity_id
), lined_up as (
    insert into sync.due as held (tenant_id, connector, lane, due_time, entity_id)
    select $1, $3, 4, clock_timestamp(), entity_id from marked
    on conflict (tenant_id, connector, entity_id) do nothing
), moved as (
    update sync.rollout_member as member
    set
        fate = case
            when member.entity_id = any(array(select entity_id from standing where way = 'left')) then 5
            else 1
        end,
        stage = $5, admit_time = $9
    where member.tenant_id = $1 and member.rollout_id = $2 and member.entity_id = any($4::uuid [])
    returning member.fate
)
select
    count(*) filter (where fate = 1) as open_count, count(*) filter (where fate = 5) as left_count
from moved;

-- name: open_members
-- Records of a rollout that are under way. $1 tenant; $2 rollout; $3 rows.
select entity_id, fate, return_count
from sync.rollout_member
where tenant_id = $1 and rollout_id = $2 and fate in (1, 3)
order by entity_id
limit $3;

-- name: move_members
-- Notes where records stand. $1 tenant; $2 rollout; arrays: $3 entity, $4 fate.
update sync.rollout_member as member
set fate = item.fate
from unnest($3::uuid [], $4::smallint []) as item (entity_id, fate)
where member.tenant_id = $1 and member.rollout_id = $2 and member.entity_id = item.entity_id;

-- name: return_members
-- Makes settled records due again that are not as wanted; tries are counted on.
-- $1 tenant; $2 rollout; $3 connector; $4 entities uuid[].
with again as (
    update sync.delivery as held
    set
        state = case
            when held.state = 5 and exists (
                select from sync.error_member as member
                where
                    member.tenant_id = held.tenant_id and member.connector = held.connector -- noqa: RF01
                    and member.entity_id = held.entity_id and member.in_doubt -- noqa: RF01
            ) then 4
            else 1
        end,
        failure_count = 0, mark_time = clock_timestamp()
    where
        held.tenant_id = $1 and held.connector = $3 and held.entity_id = any($4::uuid []) and held.state in (2, 5)
    returning held.entity_id
), lined_up as (
    insert into sync.due as held (tenant_id, connector, lane, due_time, entity_id)
    select $1, $3, 4, clock_timestamp(), entity_id from again
    on conflict (tenant_id, connector, entity_id) do nothing
)
update sync.rollout_member as member
set return_count = member.return_count + 1
where member.tenant_id = $1 and member.rollout_id = $2 and member.entity_id = any($4::uuid []);

-- name: relapsed_members
-- Delivered records of a stage whose delivery has failed since. $1 tenant; $2 rollout; $3 connector; $4 stage.
update sync.rollout_member as member
set fate = 4
from sync.delivery as held
where
    member.tenant_id = $1 and member.rollout_id = $2 and member.stage = $4 and member.fate = 2
    and held.tenant_id = $1 and held.connector = $3 and held.entity_id = member.entity_id and held.stopped
    and held.state = 5
returning member.entity_id;

-- name: hold_change
-- A policy change, held until this transaction ends. $1 tenant; $2 change.
select
    tenant_id, change_id, former_text, former_digest, new_text, new_digest, actor, create_time, begin_time,
    apply_time, end_time, replaced, by_stages, wanted_stage, staged, put_stage
from sync.policy_change
where tenant_id = $1 and change_id = $2
for update;

-- name: read_texts
-- The policies of a change. $1 tenant; $2 change.
select former_text, new_text from sync.policy_change where tenant_id = $1 and change_id = $2;

-- name: waiting_changes
-- Policy changes of open rollouts that are still to be put into the log, or taken back.
select distinct
    change.tenant_id, change.change_id, change.former_text, change.former_digest, change.new_text,
    change.new_digest, change.actor, change.create_time, change.begin_time, change.apply_time, change.end_time,
    change.replaced, change.by_stages, change.wanted_stage, change.staged, change.put_stage,
    held.state = 6 as aborting
from sync.rollout as held
inner join sync.policy_change as change using (tenant_id, change_id)
where
    (held.state = 1 and change.apply_time is null and change.end_time is null and not change.by_stages)
    or (held.state = 6 and change.end_time is null)
    or (
        held.state in (2, 3, 4) and change.end_time is null and change.by_stages
        and change.wanted_stage is distinct from change.put_stage
    );

-- name: begin_change
-- Notes that the new policy may be in the log from now on, unless its rollouts were aborted before.
-- $1 tenant; $2 change; $3 now.
update sync.policy_change as change
set begin_time = coalesce(change.begin_time, $3)
where
    change.tenant_id = $1 and change.change_id = $2 and change.end_time is null
    and (
        change.begin_time is not null
        or not exists (
            select from sync.rollout as held
            where held.tenant_id = $1 and held.change_id = $2 and held.state in (6, 7)
        )
    )
returning change.change_id;

-- name: end_begin
-- Notes that the new policy is in the log. $1 tenant; $2 change; $3 now.
update sync.policy_change set apply_time = coalesce(apply_time, $3)
where tenant_id = $1 and change_id = $2;

-- name: end_change
-- Notes that an abort is through with the policy. $1 tenant; $2 change; $3 now; $4 replaced by a third one.
update sync.policy_change set end_time = coalesce(end_time, $3), replaced = $4
where tenant_id = $1 and change_id = $2;

-- name: reopen_siblings
-- Rollouts of a policy change that were through take back what they wrote, unless a later one has their account.
-- $1 tenant; $2 change; $3 now; $4 reason.
update sync.rollout as held
set state = 6, planned = false, stage = 99, next_time = $3, reason = $4, update_time = clock_timestamp()
where
    held.tenant_id = $1 and held.change_id = $2 and held.state = 5
    and not exists (
        select from sync.rollout as later
        where
            later.tenant_id = $1 and later.connector = held.connector and later.state in (1, 2, 3, 4, 6)
    );

-- name: note_rollout
-- Puts a step of a rollout into the audit. $1 tenant; $2 connector; $3 actor; $4 policy version; $5 action; $6 changes.
insert into sync.audit (tenant_id, connector, actor, policy_version, action, changes)
values ($1, $2, $3, $4, $5, $6);

-- name: notify_rollouts
-- Wakes who works off rollouts once the transaction commits.
select pg_notify('headwater_rollout', '');
