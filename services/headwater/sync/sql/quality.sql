-- Quality of records: read in pages, counted, kept by day.

-- name: page_records
-- The next records of a tenant. $1 tenant; behind $2 object, $3 source, $4 external id; $5 rows.
select tenant_id, object, source, external_id, entity_id, fields, deleted, delete_time from sync.record
where tenant_id = $1 and (object, source, external_id) > ($2, $3, $4)
order by object, source, external_id
limit $5;

-- name: count_all_records
-- How many records a tenant has. $1 tenant.
select count(*) as records from sync.record where tenant_id = $1;

-- name: is_late
-- Whether a delivery is due since long: a look at the end of each lane. $1 tenant; $2 connectors text[]; $3 seconds.
select exists (
    select from unnest($2::text []) as account (connector)
    cross join unnest('{1,2,3,4}'::smallint []) as line (lane)
    cross join lateral (
        select due.due_time from sync.due as due
        where
            due.tenant_id = $1 and due.connector = account.connector and due.lane = line.lane and due.lane > 0
        order by due.due_time, due.entity_id
        limit 1
    ) as first
    where first.due_time < clock_timestamp() - make_interval(secs => $3::float8)
) as late;

-- name: count_entities_of_records
-- Of how many entities the records are, by object and source, and by object alone. $1 tenant; $2 sources left out.
select object, coalesce(source, '') as source, count(distinct entity_id) as entities
from sync.record
where tenant_id = $1 and not deleted and source <> all($2::text []) and fields <> '{}'::jsonb
group by grouping sets ((object, source), (object));

-- name: write_quality
-- Keeps what was measured as that of a day; of two at the same moment the first. $1 tenant; $2 day; $3 time; arrays: $4 object, $5 source, $6 field,
-- $7 records, $8 present, $9 invalid, $10 stale, $11 personal mail, $12 entities, $13 newest time.
insert into sync.quality (
    tenant_id, day, measure_time, object, source, field, record_count, present_count, invalid_count, stale_count,
    personal_mail_count, entity_count, newest_time
)
select
    $1, $2, $3, item.object, item.source, item.field, item.records, item.present, item.invalid, item.stale,
    item.personal_mail, item.entities, item.newest_time
from unnest(
    $4::text [], $5::text [], $6::text [], $7::bigint [], $8::bigint [], $9::bigint [], $10::bigint [],
    $11::bigint [], $12::bigint [], $13::timestamptz []
) as item (
    object, source, field, records, present, invalid, stale, personal_mail, entities, newest_time
)
on conflict do nothing;

-- name: forget_day
-- Makes room for a later measurement of a day. $1 tenant; $2 day.
delete from sync.quality where tenant_id = $1 and day = $2;

-- name: read_quality
-- What was measured since a day, the oldest first. $1 tenant; $2 day.
select
    day, object, source, field, record_count, present_count, invalid_count, stale_count, personal_mail_count,
    entity_count, newest_time, measure_time
from sync.quality
where tenant_id = $1 and day >= $2
order by day, object, source, field;

-- name: newest_quality_day
-- The last day that was measured. $1 tenant.
select max(day) as day from sync.quality where tenant_id = $1;

-- name: prune_quality
-- Forgets a tenant's days before one. $1 tenant; $2 day.
delete from sync.quality where tenant_id = $1 and day < $2;

-- name: count_quarantined
-- Events that break the contract, as ingest publishes them. $1 tenant; $2 since when they count as recent; $3 rows at most.
select source, object, rule, field, open_count, recent_count, first_time, last_time
from ingest.quarantine_counts($1, $2)
order by open_count desc, recent_count desc, source asc, object asc, rule asc, field asc
limit $3;
