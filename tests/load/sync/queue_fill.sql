-- Fills and looks at the queue for `mechanics`.

-- name: fill_entities
-- Puts contacts in: eight fields each, with their provenance. $1 tenant; $2 rows; $3 version.
insert into sync.entity (tenant_id, entity_id, object, state, version, fields)
select
    $1, md5(n::text)::uuid, 'contact', 'active', $3,
    json_object_agg(
        field.name, json_build_array(
            'value of ' || field.name || ' ' || n, 'source_priority', 'erp', md5('event' || n)::uuid,
            1767225600000000 + n
        )
    )
from generate_series(1, $2::int) as n
cross join unnest('{email,first_name,last_name,title,phone,city,country,plan}'::text []) as field (name)
group by n;

-- name: fill_deliveries
-- Puts known records in, due in a random order of entities, as a backlog of live changes.
-- $1 tenant; $2 connector; $3 rows.
insert into sync.delivery (
    tenant_id, connector, entity_id, object, state, desired_version, delivered_version, crm_object, crm_id, known,
    event_key, traceparent, dirty_time, settle_time
)
select
    $1, $2, md5(n::text)::uuid, 'contact', 1, 2, 1, 'Contact', lpad(n::text, 18, '0'),
    json_build_object(
        'Email', 'value of email ' || n, 'FirstName', 'value of first_name ' || n,
        'LastName', 'value of last_name ' || n, 'Title', 'value of title', 'Phone', 'value of phone ' || n
    ),
    md5('event' || n)::uuid, '00-' || md5(n::text) || '-' || substr(md5('s' || n), 1, 16) || '-01',
    now(), now()
from generate_series(1, $3::int) as n;

-- name: line_up
-- Makes every delivery of an account due again, as marks of a later version. $1 tenant; $2 connector.
with marked as (
    update sync.delivery set state = 1, desired_version = desired_version + 1, mark_time = clock_timestamp()
    where tenant_id = $1 and connector = $2 and state = 2
)
insert into sync.due (tenant_id, connector, lane, due_time, entity_id)
select $1, $2, 1, clock_timestamp() - interval '10 min', entity_id
from sync.delivery
where tenant_id = $1 and connector = $2;

-- name: grow_entities
-- Gives every entity the next version. $1 tenant.
update sync.entity set version = version + 1 where tenant_id = $1;

-- name: hold_lease
-- Puts the account's lease in. $1 name.
insert into sync.lease (name, holder, fence, expire_time) values ($1, 'bench', 1, 'infinity');

-- name: count_due
-- Deliveries in line. $1 tenant; $2 connector.
select count(*) from sync.due where tenant_id = $1 and connector = $2;

-- name: hot_updates
-- Updates of deliveries so far, and how many of them wrote to no index.
select n_tup_upd as updates, n_tup_hot_upd as hot_updates
from pg_stat_user_tables
where schemaname = 'sync' and relname = 'delivery';

-- name: relation_bytes
-- Size of each table of the queue with its indexes and TOAST.
select relation.relname as name, pg_total_relation_size(relation.oid) as bytes
from pg_class as relation
inner join pg_namespace as schema on relation.relnamespace = schema.oid
where schema.nspname = 'sync' and relation.relkind = 'r' and pg_total_relation_size(relation.oid) > 1000000
order by relation.relname;
