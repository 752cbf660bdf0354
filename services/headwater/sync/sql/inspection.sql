-- Questions to accounts about automations and required fields.

-- name: ask_account
-- Posts a question, and forgets old ones of the tenant. $1 tenant; $2 connector; $3 inspection; $4 CRM objects.
with forgotten as (
    delete from sync.inspection
    where tenant_id = $1 and ask_time < clock_timestamp() - interval '1 hour'
)
insert into sync.inspection (tenant_id, connector, inspection_id, crm_objects) values ($1, $2, $3, $4);

-- name: waiting_inspections
-- Questions of the last minute that wait for an answer of these accounts. Arrays: $1 tenant; $2 connector.
select waiting.tenant_id, waiting.connector, waiting.inspection_id, waiting.crm_objects
from unnest($1::text [], $2::text []) as account (tenant_id, connector)
cross join lateral (
    select one.tenant_id, one.connector, one.inspection_id, one.crm_objects
    from sync.inspection as one
    where
        one.tenant_id = account.tenant_id and one.connector = account.connector and one.answer is null -- noqa: RF01
        and one.ask_time > clock_timestamp() - interval '1 minute'
    offset 0 -- noqa: AM09
) as waiting;

-- name: answer_inspection
-- Notes the answer to a question that has none yet. $1 tenant; $2 connector; $3 inspection; $4 answer.
update sync.inspection set answer = $4
where tenant_id = $1 and connector = $2 and inspection_id = $3 and answer is null;

-- name: take_answer
-- Takes the answer out; no row while there is none. $1 tenant; $2 connector; $3 inspection.
delete from sync.inspection
where tenant_id = $1 and connector = $2 and inspection_id = $3 and answer is not null
returning answer;

-- name: notify_inspections
-- Wakes who answers once the transaction commits.
select pg_notify('headwater_inspection', '');
