-- How far the streams of CRMs are heard.

-- name: read_stream
-- Where a stream goes on. $1 tenant; $2 connector; $3 topic.
select mark, catch_up_time from sync.stream where tenant_id = $1 and connector = $2 and topic = $3;

-- name: move_stream
-- Moves a stream's mark from where it was read; answers nothing when it was moved by another meanwhile.
-- $1 tenant; $2 connector; $3 topic; $4 from, empty when there was none; $5 to, empty to stay; $6 wanted; $7 unread;
-- $8 unreadable; $9 when the pollers are to run besides, null to leave that.
insert into sync.stream as held (
    tenant_id, connector, topic, mark, wanted_count, unread_count, unreadable_count, catch_up_time
)
select $1, $2, $3, $5, $6, $7, $8, $9::timestamptz
from (values ($4::text)) as given (mark)
where
    given.mark = '' or exists (
        select from sync.stream as present
        where present.tenant_id = $1 and present.connector = $2 and present.topic = $3
    )
on conflict (tenant_id, connector, topic) do update
set
    mark = coalesce(nullif(excluded.mark, ''), held.mark), move_time = clock_timestamp(),
    wanted_count = held.wanted_count + excluded.wanted_count,
    unread_count = held.unread_count + excluded.unread_count,
    unreadable_count = held.unreadable_count + excluded.unreadable_count,
    catch_up_time = greatest(excluded.catch_up_time, held.catch_up_time)
where held.mark = $4
returning mark, wanted_count, unread_count, lost_count, begin_time, move_time, catch_up_time;

-- name: want_told
-- Has records read that a stream told of, in key order; also while the log is projected again: they are told only once.
-- Two seconds later: a CRM may keep whole seconds, and two states of one second could not be put in order.
-- $1 tenant; $2 connector; arrays: $3 CRM object text[], $4 CRM id text[].
insert into sync.record_fetch as held (tenant_id, connector, crm_object, crm_id, due_time)
select $1, $2, item.crm_object, item.crm_id, clock_timestamp() + interval '2 seconds'
from unnest($3::text [], $4::text []) as item (crm_object, crm_id)
on conflict (tenant_id, connector, crm_object, crm_id) do update
set
    number = nextval('sync.record_fetch_number'), due_time = excluded.due_time, want_time = clock_timestamp(), try_count = 0,
    finding = '';

-- name: lose_stream
-- Forgets a mark that the vendor cannot go on from. $1 tenant; $2 connector; $3 topic; $4 the mark.
update sync.stream set mark = '', lost_count = lost_count + 1, move_time = clock_timestamp()
where tenant_id = $1 and connector = $2 and topic = $3 and mark = $4;

-- name: end_catching_up
-- Notes that the pollers were called. $1 tenant; $2 connector; $3 topic; $4 by when they were to be.
update sync.stream set catch_up_time = null
where tenant_id = $1 and connector = $2 and topic = $3 and catch_up_time <= $4;

-- name: ask_polls
-- Has pollers run now, but those that an operator has paused: they go on from their cursors when they may.
-- $1 tenant; $2 names text[].
update sync.schedule set asked = true, order_count = order_count + 1
where tenant_id = $1 and name = any($2::text []) and not paused;

-- name: note_stream
-- Shows operators that a stream is heard, and how it stands. $1 tenant; $2 the schedule's name; $3 in words.
update sync.schedule set outcome = 'ok', failure_count = 0, detail = $3 where tenant_id = $1 and name = $2;
