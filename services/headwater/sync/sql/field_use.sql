-- Which fields of an account are in use, told page by page along the primary keys.

-- name: read_use
-- Of a page of a source's records: rows with a value, and its newest time, by field; where the page ends is in a row
-- without a field. $1 tenant; $2 object; $3 source; $4 behind which external id; $5 rows.
with page as (
    select external_id, fields from sync.record
    where tenant_id = $1 and object = $2 and source = $3 and external_id > $4
    order by external_id
    limit $5
)
select '' as field, count(*) as rows, 0::bigint as micros, coalesce(max(external_id), '') as last
from page
union all
select fact.key as field, count(*) as rows, max((fact.value ->> 1)::bigint) as micros, '' as last
from page
cross join lateral jsonb_each(page.fields) as fact
where fact.value ->> 0 <> ''
group by fact.key;

-- name: written_use
-- Of a page of an account's deliveries: rows whose CRM record is known to hold a value, by CRM object and field, and the
-- newest time of the entities' values, by object and field; where the page ends is in a row without a field. $1 tenant;
-- $2 connector; $3 behind which entity; $4 rows.
with page as (
    select entity_id, object, crm_object, known from sync.delivery
    where tenant_id = $1 and connector = $2 and entity_id > $3
    order by entity_id
    limit $4
)
select
    'page' as kind, '' as object, '' as field, count(*) as rows, 0::bigint as micros,
    coalesce((array_agg(page.entity_id order by page.entity_id desc))[1]::text, '') as last
from page
union all
select 'held' as kind, page.crm_object as object, held.key as field, count(*) as rows, 0::bigint as micros, '' as last
from page
cross join lateral json_each_text(page.known) as held
where held.value <> ''
group by page.crm_object, held.key
union all
select
    'value' as kind, page.object, fact.key as field, count(*) as rows, max((fact.value ->> 4)::bigint) as micros,
    '' as last
from page
inner join sync.entity as whole on whole.tenant_id = $1 and whole.entity_id = page.entity_id
cross join lateral json_each(whole.fields) as fact
where fact.value ->> 0 <> ''
group by page.object, fact.key;
