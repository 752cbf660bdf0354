-- Records of CRMs whose entity was deleted.

-- name: due_removals
-- Records of an account that have been marked as deleted for so long, by entity.
-- $1 tenant; $2 connector; $3 seconds; $4 behind this entity; $5 rows.
select
    held.connector, held.entity_id, held.object, held.crm_object, held.crm_id, held.delivered_version as version,
    held.event_key, held.settle_time as flag_time
from sync.entity as entity
cross join lateral (
    select
        one.connector, one.entity_id, one.object, one.crm_object, one.crm_id, one.delivered_version, one.event_key,
        one.settle_time
    from sync.delivery as one
    where
        one.tenant_id = $1 and one.connector = $2 and one.entity_id = entity.entity_id and one.state = 2
        and one.crm_id <> '' and one.settle_time <= clock_timestamp() - make_interval(secs => $3)
    offset 0 -- noqa: AM09
) as held
where entity.tenant_id = $1 and entity.state = 'deleted' and entity.entity_id > $4
order by entity.entity_id
limit $5;

-- name: hold_removals
-- Holds deliveries back for their removal. $1 tenant; $2 connector; $3 entities uuid[].
insert into sync.held_delivery (tenant_id, connector, entity_id, merge_id)
select $1, $2, item.entity_id, '00000000-0000-0000-0000-000000000000'::uuid
from unnest($3::uuid []) as item (entity_id)
on conflict do nothing;

-- name: choose_removals
-- Those of some entities whose records are to be removed still: deleted, marked for so long, not under way.
-- $1 tenant; $2 connector; $3 entities uuid[]; $4 seconds.
select held.entity_id
from sync.delivery as held
inner join sync.entity as entity
    on entity.tenant_id = $1 and entity.entity_id = any($3::uuid []) and held.entity_id = entity.entity_id
where
    held.tenant_id = $1 and held.connector = $2 and held.entity_id = any($3::uuid []) and held.state = 2
    and held.crm_id <> '' and held.settle_time <= clock_timestamp() - make_interval(secs => $4)
    and entity.state = 'deleted'
    and not exists (
        select from sync.inflight as flying
        where flying.tenant_id = $1 and flying.connector = $2 and held.entity_id = any(flying.entity_ids)
    );

-- name: release_removals
-- Lets go of what removals have held back. $1 tenant; $2 connector.
delete from sync.held_delivery
where tenant_id = $1 and connector = $2 and merge_id = '00000000-0000-0000-0000-000000000000'::uuid;

-- name: note_removed
-- Notes that records are gone from a CRM, each in the audit. A delivery that was marked meanwhile goes on without one.
-- $1 tenant; $2 connector; arrays: $3 entity uuid[], $4 CRM id text[]; $5 policy version.
with gone as (
    select item.entity_id, item.crm_id
    from unnest($3::uuid [], $4::text []) as item (entity_id, crm_id)
), former as (
    insert into sync.former_record (tenant_id, connector, crm_object, crm_id, entity_id, end_time)
    select held.tenant_id, held.connector, held.crm_object, held.crm_id, held.entity_id, clock_timestamp()
    from gone
    inner join sync.delivery as held
        on
            held.tenant_id = $1 and held.connector = $2 and held.entity_id = any($3::uuid [])
            and gone.entity_id = held.entity_id and gone.crm_id = held.crm_id
    on conflict (tenant_id, connector, crm_object, crm_id) do update set end_time = excluded.end_time
), emptied as (
    update sync.delivery as held
    set crm_id = '', known = '{}'
    from gone
    where
        held.tenant_id = $1 and held.connector = $2 and held.entity_id = any($3::uuid [])
        and held.entity_id = gone.entity_id and held.crm_id = gone.crm_id
    returning held.entity_id, held.event_key, gone.crm_id
)
insert into sync.audit (tenant_id, connector, actor, policy_version, action, entity_id, event_key, changes)
select
    $1, $2, 'sync', $5, 'record_removed', entity_id, event_key,
    json_build_array(json_build_object('field', 'crm_id', 'before', crm_id, 'after', null, 'rule', 'grace_days'))
from emptied
order by entity_id;

-- name: list_flagged
-- One page of the records whose entity was deleted, by entity and account.
-- $1 tenant; $2 connector or empty for any; behind $3 entity and $4 connector; $5 rows.
select
    held.connector, held.entity_id, held.object, held.crm_object, held.crm_id, held.delivered_version as version,
    held.event_key, case when held.state = 2 then held.settle_time end as flag_time
from sync.entity as entity
cross join lateral (
    select
        one.connector, one.entity_id, one.object, one.crm_object, one.crm_id, one.delivered_version, one.event_key,
        one.settle_time, one.state
    from sync.delivery as one
    where
        one.tenant_id = $1 and one.entity_id = entity.entity_id and one.connector <> '' and one.crm_id <> ''
    offset 0 -- noqa: AM09
) as held
where
    entity.tenant_id = $1 and entity.state = 'deleted' and entity.entity_id >= $3
    and (held.entity_id, held.connector) > ($3, $4) and $2 in ('', held.connector)
order by held.entity_id, held.connector
limit $5;
