-- How far the CRMs are read, and what of an account ends by itself.

-- name: read_poll_cursor
-- Where the reading of an object goes on. $1 tenant; $2 connector; $3 CRM object.
select cursor from sync.poll_cursor where tenant_id = $1 and connector = $2 and crm_object = $3;

-- name: move_poll_cursor
-- Moves a cursor from where it was read; answers nothing when it was moved or reset in the meantime.
-- $1 tenant; $2 connector; $3 CRM object; $4 from, empty when there was none; $5 to; $6 records.
insert into sync.poll_cursor as held (tenant_id, connector, crm_object, cursor, record_count)
select $1, $2, $3, $5, $6
from (values ($4::text)) as given (cursor)
where
    given.cursor = '' or exists (
        select from sync.poll_cursor as present
        where present.tenant_id = $1 and present.connector = $2 and present.crm_object = $3
    )
on conflict (tenant_id, connector, crm_object) do update
set
    cursor = excluded.cursor, record_count = held.record_count + excluded.record_count,
    move_time = clock_timestamp()
where held.cursor = $4
returning cursor;

-- name: note_refusals
-- Keeps the last refusal of polled records. $1 tenant; $2 connector; $3 CRM object.
-- Arrays: $4 CRM id, $5 reason, $6 message, $7 modify time.
insert into sync.poll_refusal (tenant_id, connector, crm_object, crm_id, reason, message, modify_time)
select $1, $2, $3, item.crm_id, item.reason, item.message, item.modify_time
from unnest($4::text [], $5::text [], $6::text [], $7::timestamptz [])
    as item (crm_id, reason, message, modify_time)
on conflict (tenant_id, connector, crm_object, crm_id) do update
set
    reason = excluded.reason, message = excluded.message, modify_time = excluded.modify_time,
    refuse_time = clock_timestamp();

-- name: clear_refusals
-- Forgets the refusals of records that are recorded now. $1 tenant; $2 connector; $3 CRM object; $4 CRM ids text[].
delete from sync.poll_refusal
where tenant_id = $1 and connector = $2 and crm_object = $3 and crm_id = any($4::text []);

-- name: read_account_stop
-- What may keep an account from being called: an operator's pause, and its breakers. $1 tenant; $2 connector.
select paused, breaker
from sync.connector_state
where tenant_id = $1 and connector = $2;

-- name: read_expiries
-- What of an account ends. $1 tenant; $2 connector.
select kind, subject, expire_time, renewable, warned_days, warn_time, finding, check_time
from sync.expiry
where tenant_id = $1 and connector = $2
order by expire_time;

-- name: list_expiries
-- What of a tenant's accounts ends, the nearest first. $1 tenant; $2 rows at most.
select connector, kind, subject, expire_time, renewable, warned_days, warn_time, finding, check_time
from sync.expiry
where tenant_id = $1
order by expire_time, connector, kind, subject
limit $2;

-- name: write_expiries
-- Keeps what of an account ends. $1 tenant; $2 connector; $3 now.
-- Arrays: $4 kind, $5 subject, $6 expire time, $7 renewable, $8 warned days, $9 warn time, $10 finding.
insert into sync.expiry (
    tenant_id, connector, kind, subject, expire_time, renewable, warned_days, warn_time, finding, check_time
)
select
    $1, $2, item.kind, item.subject, item.expire_time, item.renewable, item.warned_days, item.warn_time,
    item.finding, $3
from unnest(
    $4::text [], $5::text [], $6::timestamptz [], $7::boolean [], $8::smallint [], $9::timestamptz [], $10::text []
) as item (kind, subject, expire_time, renewable, warned_days, warn_time, finding)
on conflict (tenant_id, connector, kind, subject) do update
set
    expire_time = excluded.expire_time, renewable = excluded.renewable, warned_days = excluded.warned_days,
    warn_time = excluded.warn_time, finding = excluded.finding, check_time = excluded.check_time;

-- name: drop_expiries
-- Forgets what an account does not hold any more: what the look at $3 did not find. $1 tenant; $2 connector.
delete from sync.expiry where tenant_id = $1 and connector = $2 and check_time < $3;
