-- Errors grouped by cause: written when tries are settled, read by operators.

-- name: turn_noting_errors
-- As `turn` (delivery.sql), and notes in the same transaction why tries failed. $1 to $12 as there;
-- arrays by group: $13 group, $14 endpoint, $15 class, $16 code, $17 message, $18 newest words, $19 failures;
-- arrays by delivery: $20 entity, $21 group, $22 in doubt; $23 entities whose last try did not fail.
select * from sync.turn_noting_errors( -- noqa: AM04
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22,
    $23
);

-- name: list_groups
-- One page of groups, by newest failure. $1 tenant; before $2 time and $3 group; $4 connector or empty;
-- $5 state: 0 any, 1 open, 2 resolved; $6 rows.
with page as (
    select cause.* from sync.error_group as cause
    left join lateral (
        select true as stands from sync.error_member as member
        where member.tenant_id = $1 and member.group_id = cause.group_id
        limit 1 -- noqa: AM09
    ) as held on true
    where
        cause.tenant_id = $1 and (cause.last_seen_time, cause.group_id) < ($2, $3)
        and $4 in ('', cause.connector)
        and ($5::int = 0 or ($5::int = 1) = (held.stands is not null))
    order by cause.last_seen_time desc, cause.group_id desc
    limit $6
)
select
    page.group_id, page.connector, page.endpoint, page.error_class, page.error_code, page.message,
    page.last_message, page.failure_count, page.first_seen_time, page.last_seen_time,
    page.sample_entity_ids, standing.delivery_count, standing.dead_count
from page
cross join lateral (
    select
        count(*) as delivery_count, count(*) filter (where delivery.state = 5) as dead_count
    from sync.error_member as member
    left join sync.delivery as delivery using (tenant_id, connector, entity_id)
    where member.tenant_id = $1 and member.group_id = page.group_id
) as standing
order by page.last_seen_time desc, page.group_id desc;

-- name: read_group
-- One group. $1 tenant; $2 group.
select
    cause.group_id, cause.connector, cause.endpoint, cause.error_class, cause.error_code, cause.message,
    cause.last_message, cause.failure_count, cause.first_seen_time, cause.last_seen_time,
    cause.sample_entity_ids, standing.delivery_count, standing.dead_count
from sync.error_group as cause
cross join lateral (
    select
        count(*) as delivery_count, count(*) filter (where delivery.state = 5) as dead_count
    from sync.error_member as member
    left join sync.delivery as delivery using (tenant_id, connector, entity_id)
    where member.tenant_id = $1 and member.group_id = cause.group_id
) as standing
where cause.tenant_id = $1 and cause.group_id = $2;

-- name: list_group_deliveries
-- One page of the deliveries that stand in a group. $1 tenant; $2 group; $3 behind this entity; $4 rows.
select
    held.connector, held.object, held.entity_id, held.state, held.desired_version, held.delivered_version,
    held.crm_id, held.failure_count, due.due_time, held.last_error_class, held.last_error, held.event_key,
    held.settle_time
from sync.error_member as member
inner join sync.delivery as held using (tenant_id, connector, entity_id)
left join sync.due as due using (tenant_id, connector, entity_id)
where member.tenant_id = $1 and member.group_id = $2 and member.entity_id > $3
order by member.entity_id
limit $4;

-- name: read_standing
-- Deliveries with all that a plan needs; claims nothing. $1 tenant; $2 connector; $3 entities uuid[].
select
    held.entity_id, held.object, held.state as delivery_state, held.desired_version, held.delivered_version,
    held.crm_object, held.crm_id, held.known, held.failure_count, held.try_count, due.due_time,
    held.last_error_class, held.last_error, held.event_key, held.settle_time, held.mark_time,
    held.dirty_time, coalesce(member.in_doubt, false) as in_doubt,
    entity.state, entity.merged_into, entity.version, entity.fields
from sync.delivery as held
inner join sync.entity as entity using (tenant_id, entity_id)
left join sync.due as due using (tenant_id, connector, entity_id)
left join sync.error_member as member using (tenant_id, connector, entity_id)
where held.tenant_id = $1 and held.connector = $2 and held.entity_id = any($3::uuid [])
order by held.entity_id;

-- name: read_references
-- What entities refer to, as this account has it; merged entities count as their winner.
-- $1 tenant; $2 connector; $3 entities uuid[].
select
    reference.from_entity_id, reference.field, reference.to_entity_id,
    coalesce(target.crm_id, '') as crm_id, coalesce(target.state in (1, 3, 4), false) as coming
from sync.entity_reference as reference
left join sync.entity as referred
    on referred.tenant_id = $1 and reference.to_entity_id = referred.entity_id
left join sync.delivery as target
    on
        target.tenant_id = $1 and target.connector = $2
        and target.entity_id = case
            when referred.merged_into is null then reference.to_entity_id
            else sync.standing_of($1, referred.merged_into)
        end
where reference.tenant_id = $1 and reference.from_entity_id = any($3::uuid []);
