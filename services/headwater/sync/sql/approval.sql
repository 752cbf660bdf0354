-- Approvals: what is asked about writes, and what was decided.

-- name: waiting_approvals
-- How many writes of an account wait for each approval of the policy. $1 tenant; $2 connector.
select rule, count(*) as writes
from sync.approval
where tenant_id = $1 and connector = $2 and state = 1
group by rule;

-- name: ask
-- Asks about writes, in the place of what was asked about the same entities, noted in the audit; what is asked already
-- stays as it is. Returns how all stand.
-- $1 tenant; $2 connector; arrays: $3 entity; $4 subject; $5 approval; $6 object; $7 CRM object; $8 CRM id; $9 kind;
-- $10 rule; $11 version; $12 event key; $13 changes; $14 seconds until it expires; $15 what happens then;
-- $16 policy version.
with item as (
    select
        every.entity_id, every.subject, every.approval_id, every.object, every.crm_object, every.crm_id, every.kind,
        every.rule, every.version, every.event_key, every.changes, every.expire_s, every.on_expiry
    from unnest(
        $3::uuid [], $4::text [], $5::uuid [], $6::text [], $7::text [], $8::text [], $9::text [], $10::text [],
        $11::bigint [], $12::uuid [], $13::text [], $14::double precision [], $15::text []
    ) as every (
        entity_id, subject, approval_id, object, crm_object, crm_id, kind, rule, version, event_key, changes,
        expire_s, on_expiry
    )
), standing as (
    select held.approval_id, held.state, held.actor, held.reason
    from item
    cross join lateral (
        select one.approval_id, one.state, one.actor, one.reason from sync.approval as one
        where
            one.tenant_id = $1 and one.connector = $2 and one.entity_id = item.entity_id
            and one.subject = item.subject and one.approval_id = item.approval_id
        offset 0 -- noqa: AM09
    ) as held
), asked as (
    insert into sync.approval as held (
        tenant_id, connector, entity_id, subject, approval_id, object, crm_object, crm_id, kind, rule, version,
        event_key, policy_version, changes, on_expiry, expire_time
    )
    select
        $1, $2, entity_id, subject, approval_id, object, crm_object, crm_id, kind, rule, version,
        event_key, $16, changes::json, on_expiry, clock_timestamp() + make_interval(secs => expire_s)
    from item
    where approval_id not in (select standing.approval_id from standing)
    order by entity_id
    on conflict (tenant_id, connector, entity_id, subject) do update
    set
        approval_id = excluded.approval_id, object = excluded.object, crm_object = excluded.crm_object,
        crm_id = excluded.crm_id, kind = excluded.kind, rule = excluded.rule, version = excluded.version,
        event_key = excluded.event_key, policy_version = excluded.policy_version, changes = excluded.changes,
        on_expiry = excluded.on_expiry, state = 1, actor = '', reason = '', create_time = clock_timestamp(),
        expire_time = excluded.expire_time, decide_time = null
    returning
        held.approval_id, held.state, held.actor, held.reason, held.entity_id, held.event_key, held.changes,
        held.rule
), noted as (
    insert into sync.audit (
        tenant_id, connector, actor, policy_version, action, entity_id, event_key, changes
    )
    select
        $1, $2, 'sync', $16, 'approval_asked', entity_id, event_key,
        (
            jsonb_build_array(
                jsonb_build_object(
                    'field', '#approval', 'before', null, 'after', approval_id, 'rule', 'approval ' || rule
                )
            ) || changes::jsonb
        )::json
    from asked
    order by entity_id
)
select approval_id, state, actor, reason from standing
union all
select approval_id, state, actor, reason from asked;

-- name: list_approvals
-- One page of approvals, the longest waiting first. What waits in state 1 is what would still be written.
-- $1 tenant; $2 connector, $3 object, $4 kind, $5 rule: empty for any; $6 entity or null; $7 approvals uuid[], none for
-- any; $8 states smallint[], none for those that wait; $9 asked before, or null; behind $10 time and $11 approval;
-- $12 rows.
select
    held.connector, held.entity_id, held.subject, held.approval_id, held.object, held.crm_object, held.crm_id,
    held.kind, held.rule, held.version, held.event_key, held.policy_version, held.changes, held.on_expiry,
    held.state, held.actor, held.reason, held.create_time, held.expire_time, held.decide_time,
    held.state = 1 and sync.is_open(held) as waits
from sync.approval as held
where
    held.tenant_id = $1 and $2 in ('', held.connector) and $3 in ('', held.object)
    and $4 in ('', held.kind) and $5 in ('', held.rule)
    and ($6::uuid is null or held.entity_id = $6)
    and (cardinality($7::uuid []) = 0 or held.approval_id = any($7::uuid []))
    and (
        case
            when cardinality($8::smallint []) > 0 then held.state = any($8::smallint [])
            when cardinality($7::uuid []) > 0 then true
            else held.state = 1 and sync.is_open(held)
        end
    )
    and ($9::timestamptz is null or held.create_time < $9)
    and (held.create_time, held.approval_id) > ($10::timestamptz, $11::uuid)
order by held.create_time, held.approval_id
limit $12;

-- name: count_approvals
-- How many approvals wait, and how many of these are asked by some rules. Parameters as of `list_approvals`, to $9;
-- $10 rules text[].
select count(*) as waiting, count(*) filter (where held.rule = any($10::text [])) as allowed
from sync.approval as held
where
    held.tenant_id = $1 and $2 in ('', held.connector) and $3 in ('', held.object)
    and $4 in ('', held.kind) and $5 in ('', held.rule)
    and ($6::uuid is null or held.entity_id = $6)
    and (cardinality($7::uuid []) = 0 or held.approval_id = any($7::uuid []))
    and (cardinality($8::smallint []) = 0 or held.state = any($8::smallint []))
    and held.state = 1 and sync.is_open(held)
    and ($9::timestamptz is null or held.create_time < $9);

-- name: choose_approvals
-- Approvals that wait, held until this transaction ends. Parameters as of `count_approvals`; $11 rows.
select held.connector, held.entity_id, held.subject
from sync.approval as held
where
    held.tenant_id = $1 and $2 in ('', held.connector) and $3 in ('', held.object)
    and $4 in ('', held.kind) and $5 in ('', held.rule)
    and ($6::uuid is null or held.entity_id = $6)
    and (cardinality($7::uuid []) = 0 or held.approval_id = any($7::uuid []))
    and (cardinality($8::smallint []) = 0 or held.state = any($8::smallint []))
    and held.state = 1 and sync.is_open(held)
    and ($9::timestamptz is null or held.create_time < $9)
    and held.rule = any($10::text [])
order by held.connector, held.entity_id, held.subject
limit $11
for update of held;

-- name: choose_expired
-- Approvals that nobody decided about in time, held until this transaction ends. $1 rows.
select tenant_id, connector, entity_id, subject, on_expiry
from sync.approval
where state = 1 and expire_time <= clock_timestamp()
order by expire_time
limit $1
for update skip locked;

-- name: decide
-- Decides about approvals, each noted in the audit, and lets what waits for them go on. A delivery under way, which has
-- asked and is not held yet, is told by its flag: it is due again when it settles.
-- $1 tenant; arrays: $2 connector; $3 entity; $4 subject; $5 state; $6 actor; $7 reason; $8 policy version.
with chosen as (
    select item.connector, item.entity_id, item.subject
    from unnest($2::text [], $3::uuid [], $4::text []) as item (connector, entity_id, subject)
), decided as (
    update sync.approval as held
    set state = $5, actor = $6, reason = $7, decide_time = clock_timestamp()
    from chosen
    where
        held.tenant_id = $1 and held.connector = chosen.connector and held.entity_id = chosen.entity_id
        and held.subject = chosen.subject and held.state = 1
    returning
        held.connector, held.entity_id, held.subject, held.approval_id, held.event_key, held.rule
), freed as (
    update sync.delivery as held
    set
        reference_came = held.state in (1, 3, 4),
        state = case when held.state = 7 then 1 else held.state end
    from decided
    where
        held.tenant_id = $1 and held.connector = decided.connector and held.entity_id = decided.entity_id
        and decided.subject = 'write' and held.state in (1, 3, 4, 7)
    returning held.connector, held.entity_id
), lined_up as (
    insert into sync.due as held (tenant_id, connector, lane, due_time, entity_id)
    select $1, connector, 1, clock_timestamp(), entity_id from freed
    order by connector, entity_id
    on conflict (tenant_id, connector, entity_id) do nothing
), merging as (
    update sync.record_merge as held
    set due_time = clock_timestamp()
    from decided
    where
        held.tenant_id = $1 and held.connector = decided.connector and held.loser_id = decided.entity_id
        and decided.subject = 'merge' and held.is_open
    returning held.merge_id
), noted as (
    insert into sync.audit (
        tenant_id, connector, actor, policy_version, action, entity_id, event_key, changes
    )
    select
        $1, connector, $6, $8,
        case $5::smallint when 2 then 'approval_granted' when 3 then 'approval_rejected' else 'approval_expired' end,
        entity_id, event_key,
        json_build_array(
            json_build_object(
                'field', '#approval', 'before', approval_id, 'after', $7::text, 'rule', 'approval ' || rule
            )
        )
    from decided
    order by connector, entity_id
)
select
    (select count(*) from decided) as decided,
    (select count(*) from merging) as merging,
    pg_notify('headwater_delivery', '') is null as told,
    pg_notify('headwater_merge', '') is null as merges_told;
