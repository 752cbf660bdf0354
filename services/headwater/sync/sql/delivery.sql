-- The delivery actors' side: one turn of a slot, and what is stored about an account.

-- name: turn
-- Settles what a slot tried, claims what it tries next and journals the claim; no row when the fence is lost.
-- $1 tenant; $2 connector; $3 lease; $4 fence; $5 slot; $6 number of the slot's turn; $7 settlements, in order of
-- entities. Arrays of four, by lane: $8 rows at most; the place behind which to look: $9 due time, $10 entity.
-- $11 entities that are not to be claimed; $12 whether the slot keeps in flight what is not settled.
select * -- noqa: AM04
from sync.turn($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12);

-- name: wait_for_turns
-- Waits for the turns of former fences that are under way, and keeps others from beginning. $1 lease.
select pg_advisory_xact_lock(sync.fence_key($1));

-- name: doubt_inflight
-- Clears the journal of an account up to a fence; what it names, and is due still, is in doubt. What the policy held
-- is judged anew where the account begins anew: it may do so by another policy; what removals held back goes on.
-- $1 tenant; $2 connector; $3 fence; $4 whether the account begins anew.
with left_behind as (
    delete from sync.inflight
    where tenant_id = $1 and connector = $2 and fence <= $3
    returning entity_ids
), entity as (
    select distinct unnest(entity_ids) as entity_id from left_behind
    order by entity_id
), released as (
    update sync.delivery as held
    set state = 1
    where $4 and held.tenant_id = $1 and held.connector = $2 and held.stopped and held.state = 7
    returning held.entity_id
), let_go as (
    delete from sync.held_delivery
    where $4 and tenant_id = $1 and connector = $2 and merge_id = '00000000-0000-0000-0000-000000000000'::uuid
), lined_up as (
    insert into sync.due as held (tenant_id, connector, lane, due_time, entity_id)
    select $1, $2, 2, clock_timestamp(), entity_id from released
    on conflict (tenant_id, connector, entity_id) do nothing
)
update sync.delivery as held
set state = 4
from entity
where
    held.tenant_id = $1 and held.connector = $2 and held.entity_id = entity.entity_id
    and held.state in (1, 3);

-- name: crm_record_holders
-- Entities that are delivered as these CRM records, and who stands for them. $1 tenant; $2 connector; $3 CRM object;
-- $4 CRM ids text[].
select crm_id, entity_id, state in (1, 3, 4) as coming, sync.standing_of($1, entity_id) as heir_id
from sync.delivery
where tenant_id = $1 and connector = $2 and crm_object = $3 and crm_id = any($4::text []);

-- name: lock_deliveries
-- Keeps two deliveries as they are until the transaction ends. $1 tenant; $2 connector; $3 entities uuid[].
select entity_id, crm_object, crm_id, known::text as known, state in (1, 3, 4) as coming from sync.delivery
where tenant_id = $1 and connector = $2 and entity_id = any($3::uuid [])
order by entity_id
for update;

-- name: unbind_record
-- Takes the CRM record from a delivery. $1 tenant; $2 connector; $3 entity.
update sync.delivery set crm_id = '', known = '{}'
where tenant_id = $1 and connector = $2 and entity_id = $3;

-- name: bind_record
-- Gives a delivery a CRM record and what that is known to hold. $1 tenant; $2 connector; $3 entity; $4 CRM object;
-- $5 CRM id; $6 JSON text.
update sync.delivery set crm_object = $4, crm_id = $5, known = $6::text::json
where tenant_id = $1 and connector = $2 and entity_id = $3;

-- name: note_inherited
-- Tells the audit whose a CRM record was and is. $1 tenant; $2 connector; $3 entity; $4 entity before; $5 CRM record.
insert into sync.audit (tenant_id, action, actor, entity_id, connector, changes)
values (
    $1, 'record_inherited', 'sync', $3::uuid, $2, json_build_array(
        json_build_object('field', '#crm_record', 'before', null, 'after', $5::text, 'rule', 'merged'),
        json_build_object('field', '#entity', 'before', $4::text, 'after', $3::uuid, 'rule', 'merged')
    )
);

-- name: write_breaker
-- Stores the breakers, unless an operator gave an order since. $1 tenant; $2 connector; $3 state; $4 generation.
insert into sync.connector_state as held (tenant_id, connector, breaker, breaker_generation)
values ($1, $2, $3, $4)
on conflict (tenant_id, connector) do update
set breaker = excluded.breaker, update_time = clock_timestamp()
where held.breaker_generation = excluded.breaker_generation;

-- name: write_finding
-- Stores what keeps an account from being used; empty when nothing does. $1 tenant; $2 connector; $3 text.
insert into sync.connector_state as held (tenant_id, connector, finding) values ($1, $2, $3)
on conflict (tenant_id, connector) do update
set finding = excluded.finding, update_time = clock_timestamp()
where held.finding <> excluded.finding;
