-- Telling our own writes that come back from changes made in a CRM.

-- name: find_held
-- Deliveries that hold these CRM records, with the values of their entities.
-- Arrays: $1 tenant, $2 connector, $3 CRM object, $4 CRM id.
select
    held.tenant_id, held.connector, held.crm_object, held.crm_id, held.entity_id, held.object, held.known,
    case when held.state in (1, 3, 4) or held.try_count > 0 then held.dirty_time end as waits_since,
    held.settle_time, entity.fields, entity.state
from unnest($1::text [], $2::text [], $3::text [], $4::text [])
    as wanted (tenant_id, connector, crm_object, crm_id)
inner join sync.delivery as held using (tenant_id, connector, crm_object, crm_id)
inner join sync.entity as entity
    on held.tenant_id = entity.tenant_id and held.entity_id = entity.entity_id
where held.crm_id <> '';

-- name: find_former
-- Which of these CRM records deliveries held and had to give up. Arrays: $1 tenant, $2 connector, $3 CRM object,
-- $4 CRM id.
select held.tenant_id, held.connector, held.crm_object, held.crm_id, held.entity_id, held.end_time
from unnest($1::text [], $2::text [], $3::text [], $4::text [])
    as wanted (tenant_id, connector, crm_object, crm_id)
cross join lateral (
    select one.* from sync.former_record as one
    where
        one.tenant_id = wanted.tenant_id and one.connector = wanted.connector
        and one.crm_object = wanted.crm_object and one.crm_id = wanted.crm_id
    offset 0 -- noqa: AM09
) as held;

-- name: find_written
-- Deliveries of these entities for which we have written a CRM record, or may have: a try is under way, or ended
-- without a success. Arrays: $1 tenant, $2 connector, $3 entity.
select
    held.tenant_id, held.connector, held.entity_id, held.object, held.crm_object, held.crm_id, held.known,
    case when held.state in (1, 3, 4) or held.try_count > 0 then held.dirty_time end as waits_since,
    held.settle_time, entity.fields, entity.state
from unnest($1::text [], $2::text [], $3::uuid []) as wanted (tenant_id, connector, entity_id)
inner join sync.delivery as held using (tenant_id, connector, entity_id)
inner join sync.entity as entity
    on held.tenant_id = entity.tenant_id and held.entity_id = entity.entity_id
where
    held.crm_id <> '' or held.state = 4 or held.try_count > 0
    or exists (
        select from sync.inflight as slot
        where
            slot.tenant_id = held.tenant_id and slot.connector = held.connector
            and held.entity_id = any(slot.entity_ids)
    );

-- name: read_sought
-- What these entities held since the CRM was last brought up to date, newest first, at most $5 changes of each: what a
-- write under way may carry. Arrays: $1 tenant, $2 connector, $3 entity, $4 since when the delivery waits; $6 seconds
-- by which the audit of a change may be older than its mark.
select wanted.tenant_id, wanted.connector, wanted.entity_id, note.changes
from unnest($1::text [], $2::text [], $3::uuid [], $4::timestamptz [])
    as wanted (tenant_id, connector, entity_id, since_time)
cross join lateral (
    select audit.audit_id, audit.changes
    from sync.audit
    where
        audit.tenant_id = wanted.tenant_id and audit.entity_id = wanted.entity_id and audit.connector = ''
        and audit.audit_time >= wanted.since_time - make_interval(secs => $6::float8)
    order by audit.audit_id desc
    limit $5
) as note;

-- name: read_own_writes
-- Our writes of late to these entities, newest first, at most $4 of each.
-- Arrays: $1 tenant, $2 connector, $3 entity.
select wanted.tenant_id, wanted.connector, wanted.entity_id, note.audit_time, note.changes
from unnest($1::text [], $2::text [], $3::uuid []) as wanted (tenant_id, connector, entity_id)
cross join lateral (
    select audit.audit_id, audit.audit_time, audit.changes
    from sync.audit
    where
        audit.tenant_id = wanted.tenant_id and audit.entity_id = wanted.entity_id
        and audit.connector = wanted.connector and audit.action in ('delivered', 'looked_up')
    order by audit.audit_id desc
    limit $4
) as note;

-- name: observe_known
-- Takes over what CRMs were seen to hold; a delivery that was not bound to a CRM record yet is bound to the one seen.
-- Where we may have written that record ourselves, what it holds is left to the look-up, which tells the audit.
-- Arrays: $1 tenant, $2 connector, $3 entity, $4 CRM object, $5 CRM id, $6 fields jsonb, null to clear.
with seen as (
    select
        item.tenant_id, item.connector, item.entity_id, item.crm_object, item.crm_id, item.fields,
        other.entity_id as holder
    from unnest($1::text [], $2::text [], $3::uuid [], $4::text [], $5::text [], $6::jsonb [])
        as item (tenant_id, connector, entity_id, crm_object, crm_id, fields)
    left join sync.delivery as other
        on
            item.tenant_id = other.tenant_id and item.connector = other.connector
            and item.crm_object = other.crm_object and item.crm_id = other.crm_id and other.crm_id <> ''
)
update sync.delivery as held
set
    known = case
        when
            held.crm_id = ''
            and (
                held.state = 4 or held.try_count > 0
                or exists (
                    select from sync.inflight as slot
                    where
                        slot.tenant_id = held.tenant_id and slot.connector = held.connector
                        and held.entity_id = any(slot.entity_ids)
                )
            ) then held.known
        else jsonb_strip_nulls(held.known::jsonb || seen.fields)::json
    end,
    crm_object = seen.crm_object, crm_id = seen.crm_id
from seen
where
    held.tenant_id = seen.tenant_id and held.connector = seen.connector and held.entity_id = seen.entity_id
    and (seen.holder = held.entity_id or (seen.holder is null and held.crm_id = ''));

-- name: write_rulings
-- Records what was decided about events that show a record of ours. Arrays: $1 tenant, $2 event key, $3 entity,
-- $4 canonical fields that count, separated by commas, $5 rule.
insert into sync.ruling (tenant_id, event_key, entity_id, kept, rule)
select item.tenant_id, item.event_key, item.entity_id, string_to_array(item.kept, ','), item.rule
from unnest($1::text [], $2::uuid [], $3::uuid [], $4::text [], $5::text [])
    as item (tenant_id, event_key, entity_id, kept, rule)
on conflict do nothing;

-- name: read_rulings
-- What was decided about events. Arrays: $1 tenant, $2 event key.
select held.tenant_id, held.event_key, held.entity_id, held.kept, held.rule
from unnest($1::text [], $2::uuid []) as wanted (tenant_id, event_key)
cross join lateral (
    select one.* from sync.ruling as one
    where one.tenant_id = wanted.tenant_id and one.event_key = wanted.event_key
    offset 0 -- noqa: AM09
) as held;

-- name: read_rebuild
-- Up to where shards were projected before they are projected again; no row for the others. $1 shards smallint[].
select shard, xid, seq from sync.rebuild where shard = any($1::smallint []);
