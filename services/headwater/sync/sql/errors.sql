-- Errors grouped by cause: written when tries are settled, read by operators.

-- name: note_errors
-- Counts failed tries by cause and notes which deliveries stand in which group.
-- $1 tenant; $2 connector; arrays by group: $3 group, $4 endpoint, $5 class, $6 code, $7 message,
-- $8 newest words, $9 failures; arrays by delivery: $10 entity, $11 group, $12 in doubt.
with cause as (
    select *
    from unnest(
        $3::uuid [], $4::text [], $5::text [], $6::text [], $7::text [], $8::text [], $9::bigint []
    ) as cause (group_id, endpoint, error_class, error_code, message, last_message, failures)
), item as (
    select * from unnest($10::uuid [], $11::uuid [], $12::boolean []) as item (entity_id, group_id, in_doubt)
), grouped as (
    insert into sync.error_group as held (
        tenant_id, group_id, connector, endpoint, error_class, error_code, message, last_message,
        failure_count, sample_entity_ids
    )
    select
        $1, cause.group_id, $2, cause.endpoint, cause.error_class, cause.error_code, cause.message,
        cause.last_message, cause.failures,
        array(select item.entity_id from item where item.group_id = cause.group_id limit 10)
    from cause
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
        end
)
insert into sync.error_member (tenant_id, connector, entity_id, group_id, in_doubt)
select $1, $2, item.entity_id, item.group_id, item.in_doubt
from item
order by item.entity_id
on conflict (tenant_id, connector, entity_id) do update
set group_id = excluded.group_id, in_doubt = excluded.in_doubt, fail_time = clock_timestamp();

-- name: forget_errors
-- Takes deliveries out of their groups whose last try did not fail. $1 tenant; $2 connector; $3 entities uuid[].
delete from sync.error_member
where tenant_id = $1 and connector = $2 and entity_id = any($3::uuid []);

-- name: list_groups
-- One page of groups, by newest failure. $1 tenant; before $2 time and $3 group; $4 connector or empty;
-- $5 state: 0 any, 1 open, 2 resolved; $6 rows.
with page as (
    select * from sync.error_group as cause
    where
        cause.tenant_id = $1 and (cause.last_seen_time, cause.group_id) < ($2, $3)
        and ($4 = '' or cause.connector = $4)
        and ($5::int = 0 or ($5::int = 1) = exists (
            select from sync.error_member as member
            where member.tenant_id = $1 and member.group_id = cause.group_id
        ))
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
    held.crm_id, held.failure_count, held.due_time, held.last_error_class, held.last_error, held.event_key,
    held.settle_time
from sync.error_member as member
inner join sync.delivery as held using (tenant_id, connector, entity_id)
where member.tenant_id = $1 and member.group_id = $2 and member.entity_id > $3
order by member.entity_id
limit $4;

-- name: dead_of_group
-- Dead deliveries of a group, and their account. $1 tenant; $2 group; $3 rows.
select held.connector, held.entity_id
from sync.error_member as member
inner join sync.delivery as held using (tenant_id, connector, entity_id)
where member.tenant_id = $1 and member.group_id = $2 and held.state = 5
order by member.entity_id
limit $3;

-- name: read_standing
-- Deliveries with all that a plan needs; claims nothing. $1 tenant; $2 connector; $3 entities uuid[].
select
    held.entity_id, held.object, held.state as delivery_state, held.desired_version, held.delivered_version,
    held.crm_object, held.crm_id, held.known, held.failure_count, held.try_count, held.due_time,
    held.last_error_class, held.last_error, held.event_key, held.settle_time, held.mark_time,
    held.dirty_time, coalesce(member.in_doubt, false) as in_doubt,
    entity.state, entity.merged_into, entity.version, entity.fields
from sync.delivery as held
inner join sync.entity as entity using (tenant_id, entity_id)
left join sync.error_member as member using (tenant_id, connector, entity_id)
where held.tenant_id = $1 and held.connector = $2 and held.entity_id = any($3::uuid [])
order by held.entity_id;
