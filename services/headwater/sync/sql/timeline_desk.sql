-- Timelines as people read them.

-- name: list_timeline
-- Activities that concern an entity, the newest first. $1 tenant; $2 entity; before $3 time and $4 activity; $5 kinds text[],
-- $6 sources text[], none for all; from $7 on, before $8; $9 thread or empty; $10 least confidence; $11 rows.
select
    activity.activity_id, activity.kind, activity.source, activity.occur_time, activity.subject, activity.message_id,
    activity.actor, activity.status, activity.people, thread.thread_id, held.reason, held.confidence
from (
    select one.activity_id, one.reason, one.confidence, one.occur_time from sync.association as one
    where
        one.tenant_id = $1 and one.entity_id = $2 and (one.occur_time, one.activity_id) < ($3, $4)
        and one.occur_time >= $7 and one.occur_time < $8 and one.confidence >= $10
    order by one.occur_time desc, one.activity_id desc
) as held
inner join sync.activity as activity on activity.tenant_id = $1 and held.activity_id = activity.activity_id
inner join sync.activity_thread as thread
    on thread.tenant_id = $1 and activity.message_id = thread.message_id
where
    ($5::text [] = '{}' or activity.kind = any($5::text []))
    and ($6::text [] = '{}' or activity.source = any($6::text []))
    and $9::text in ('', thread.thread_id)
order by held.occur_time desc, held.activity_id desc
limit $11;

-- name: count_waiting
-- How much of a tenant's is not associated yet. $1 tenant.
select
    (select count(*) from sync.timeline_due as due where due.tenant_id = $1)
    + (select count(*) from sync.timeline_spread as spread where spread.tenant_id = $1)
    + (
        select count(*) from sync.reassociation as change
        where change.tenant_id = $1 and change.state = 1
    ) as waiting;

-- name: touches_of_entity
-- Touches of the records that an entity has. $1 tenant; $2 entity; $3 rows.
select
    touch.tenant_id, touch.event_key, touch.object, touch.source, touch.external_id, touch.touch_time, touch.channel,
    touch.detail, touch.policy_version
from sync.record as record
inner join sync.touch as touch
    on
        record.tenant_id = touch.tenant_id and record.object = touch.object and record.source = touch.source
        and record.external_id = touch.external_id
where record.tenant_id = $1 and record.entity_id = $2
order by touch.touch_time, touch.event_key
limit $3;

-- name: page_events
-- The next projected events of a tenant that are still in the log, with what a touch is read from. $1 tenant; $2 behind this
-- key; $3 rows.
select
    page.event_key, event.source, event.object, event.external_id, event.event_time, event.record_time,
    event.operation, event.actor_id, event.payload
from (
    select one.event_key from sync.projection as one
    where one.tenant_id = $1 and one.event_key > $2
    order by one.event_key
    limit $3
) as page
left join lateral ingest.find_event($1, page.event_key) as event on true
order by page.event_key;

-- name: touches_by_key
-- Touches of events. $1 tenant; $2 event keys uuid[].
select
    tenant_id, event_key, object, source, external_id, touch_time, channel, detail, policy_version
from sync.touch
where tenant_id = $1 and event_key = any($2::uuid []);

-- name: entity_standing
-- Who stands for a projected entity now; no row when there is none. $1 tenant; $2 entity.
select sync.standing_of($1, entity_id) as standing_id from sync.entity
where tenant_id = $1 and entity_id = $2 and version > 0;
