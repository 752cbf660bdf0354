-- Who is given which lead: marks of the projector, assignments, turns, timers, and what the log is to be told.

-- name: add_marks
-- Marks entities that routing has to look at. Arrays: $1 tenant, $2 entity, $3 object, $4 record time, $5 xid, $6 seq.
insert into sync.routing_mark (tenant_id, entity_id, object, record_time, xid, seq)
select item.tenant_id, item.entity_id, item.object, item.record_time, item.xid, item.seq
from unnest($1::text [], $2::uuid [], $3::text [], $4::timestamptz [], $5::bigint [], $6::bigint [])
    as item (tenant_id, entity_id, object, record_time, xid, seq);

-- name: notify_routing
-- Wakes who routes once the transaction commits.
select pg_notify('headwater_routing', '');

-- name: busy_tenants
-- Those of some tenants that have something to be looked at, or to be told. $1 tenants text[]; $2 now; $3 digests text[].
select wanted.tenant_id
from unnest($1::text [], $3::text []) as wanted (tenant_id, digest)
where
    exists (select from sync.routing_mark as item where item.tenant_id = wanted.tenant_id)
    or exists (select from sync.assignment as item where item.tenant_id = wanted.tenant_id and item.check_time <= $2)
    or exists (
        select from sync.sla_timer as item
        where item.tenant_id = wanted.tenant_id and item.state = 1 and item.due_time <= $2
    )
    or exists (select from sync.routing_event as item where item.tenant_id = wanted.tenant_id)
    or exists (
        select from sync.routing_tenant as item
        where item.tenant_id = wanted.tenant_id and (item.sweep_place is not null or item.digest <> wanted.digest)
    )
order by wanted.tenant_id;

-- name: next_time
-- When something of these tenants is to be looked at by itself. $1 tenants text[].
select min(found.due_time) as due_time
from unnest($1::text []) as wanted (tenant_id)
cross join lateral (
    select min(item.check_time) as due_time from sync.assignment as item
    where item.tenant_id = wanted.tenant_id and item.check_time is not null
    union all
    select min(item.due_time) as due_time from sync.sla_timer as item
    where item.tenant_id = wanted.tenant_id and item.state = 1
) as found;

-- name: enter_tenant
-- Makes room for a tenant. $1 tenant; $2 digest.
insert into sync.routing_tenant (tenant_id, digest) values ($1, $2) on conflict do nothing;

-- name: take_tenant
-- Holds a tenant until this transaction ends; none while another process does. $1 tenant.
select digest, sweep_place from sync.routing_tenant where tenant_id = $1 for update skip locked;

-- name: save_tenant
-- Notes how far a tenant is. $1 tenant; $2 digest; $3 sweep place.
update sync.routing_tenant set digest = $2, sweep_place = $3 where tenant_id = $1;

-- name: sweep_assignments
-- Has the next leads looked at. $1 tenant; $2 behind this entity; $3 rows; $4 now.
with page as (
    select item.entity_id from sync.assignment as item
    where item.tenant_id = $1 and item.entity_id > $2
    order by item.entity_id
    limit $3
)
update sync.assignment as held set check_time = $4
where held.tenant_id = $1 and held.entity_id = any(array(select page.entity_id from page))
returning held.entity_id;

-- name: read_marks
-- The next marks of a tenant. $1 tenant; $2 rows.
select mark_id, entity_id, object, record_time, xid, seq from sync.routing_mark
where tenant_id = $1
order by mark_id
limit $2;

-- name: delete_marks
-- Takes marks away that were looked at. $1 tenant; $2 marks bigint[].
delete from sync.routing_mark where tenant_id = $1 and mark_id = any($2::bigint []);

-- name: due_homes
-- Entities whose lead is to be looked at by itself. $1 tenant; $2 now; $3 rows.
select entity_id, home_id, lead_time from sync.assignment
where tenant_id = $1 and check_time <= $2
order by check_time, entity_id
limit $3;

-- name: due_timers
-- Leads with a timer that has run out. $1 tenant; $2 now; $3 rows.
select entity_id, number, kind from sync.sla_timer
where tenant_id = $1 and state = 1 and due_time <= $2
order by due_time, entity_id
limit $3;

-- name: read_entities
-- Entities with all values. $1 tenant; $2 entities uuid[].
select entity_id, object, state, merged_into, version, fields, policy_version from sync.entity
where tenant_id = $1 and entity_id = any($2::uuid []);

-- name: read_references
-- Whom activities are about. $1 tenant; $2 entities uuid[].
select from_entity_id, to_entity_id from sync.entity_reference
where tenant_id = $1 and from_entity_id = any($2::uuid []);

-- name: read_assignments
-- Assignments of entities, and of those that they stand for. $1 tenant; $2 entities uuid[].
select
    entity_id, home_id, object, source, state, number, move_count, person, role, rule, pool, lane, reason,
    policy_version, lead_time, assign_time, touch_time, check_time, event_key
from sync.assignment
where tenant_id = $1 and entity_id = any($2::uuid [])
union
select
    entity_id, home_id, object, source, state, number, move_count, person, role, rule, pool, lane, reason,
    policy_version, lead_time, assign_time, touch_time, check_time, event_key
from sync.assignment
where tenant_id = $1 and home_id = any($2::uuid []);

-- name: read_timers
-- Timers of leads. $1 tenant; $2 entities uuid[].
select
    entity_id, number, kind, state, target, rule, person, escalate_to, start_time, due_time, end_time, elapsed_s
from sync.sla_timer
where tenant_id = $1 and entity_id = any($2::uuid []);

-- name: read_loads
-- Open leads of each person. $1 tenant.
select person, count(*) as load from sync.assignment
where tenant_id = $1 and state in (2, 3)
group by person;

-- name: read_turns
-- Who had the last turn of each pool. $1 tenant.
select pool, person from sync.routing_turn where tenant_id = $1;

-- name: write_assignments
-- Writes assignments. $1 tenant; arrays: $2 entity, $3 home, $4 object, $5 source, $6 state, $7 number, $8 moves,
-- $9 person, $10 role, $11 rule, $12 pool, $13 lane, $14 reason, $15 policy version, $16 lead time, $17 assign time,
-- $18 touch time, $19 check time, $20 event key.
insert into sync.assignment (
    tenant_id, entity_id, home_id, object, source, state, number, move_count, person, role, rule, pool, lane, reason,
    policy_version, lead_time, assign_time, touch_time, check_time, event_key
)
select
    $1, item.entity_id, item.home_id, item.object, item.source, item.state, item.number, item.move_count,
    item.person, item.role, item.rule, item.pool, item.lane, item.reason, item.policy_version, item.lead_time,
    item.assign_time, item.touch_time, item.check_time, item.event_key
from unnest(
    $2::uuid [], $3::uuid [], $4::text [], $5::text [], $6::smallint [], $7::int [], $8::int [], $9::text [],
    $10::text [], $11::text [], $12::text [], $13::text [], $14::text [], $15::text [], $16::timestamptz [],
    $17::timestamptz [], $18::timestamptz [], $19::timestamptz [], $20::uuid []
) as item (
    entity_id, home_id, object, source, state, number, move_count, person, role, rule, pool, lane, reason,
    policy_version, lead_time, assign_time, touch_time, check_time, event_key
)
on conflict (tenant_id, entity_id) do update
set
    home_id = excluded.home_id, state = excluded.state, number = excluded.number,
    move_count = excluded.move_count, person = excluded.person, role = excluded.role, rule = excluded.rule,
    pool = excluded.pool, lane = excluded.lane, reason = excluded.reason,
    policy_version = excluded.policy_version, assign_time = excluded.assign_time,
    touch_time = excluded.touch_time, check_time = excluded.check_time, event_key = excluded.event_key;

-- name: write_timers
-- Writes timers. $1 tenant; arrays: $2 entity, $3 number, $4 kind, $5 state, $6 target, $7 rule, $8 person,
-- $9 escalate to, $10 start, $11 due, $12 end, $13 elapsed.
insert into sync.sla_timer (
    tenant_id, entity_id, number, kind, state, target, rule, person, escalate_to, start_time, due_time, end_time,
    elapsed_s
)
select
    $1, item.entity_id, item.number, item.kind, item.state, item.target, item.rule, item.person, item.escalate_to,
    item.start_time, item.due_time, item.end_time, item.elapsed_s
from unnest(
    $2::uuid [], $3::int [], $4::smallint [], $5::smallint [], $6::text [], $7::text [], $8::text [], $9::text [],
    $10::timestamptz [], $11::timestamptz [], $12::timestamptz [], $13::float8 []
) as item (
    entity_id, number, kind, state, target, rule, person, escalate_to, start_time, due_time, end_time, elapsed_s
)
on conflict (tenant_id, entity_id, number, kind) do update
set state = excluded.state, end_time = excluded.end_time, elapsed_s = excluded.elapsed_s;

-- name: write_turns
-- Notes who had the last turn. $1 tenant; arrays: $2 pool, $3 person.
insert into sync.routing_turn (tenant_id, pool, person)
select $1, item.pool, item.person from unnest($2::text [], $3::text []) as item (pool, person)
on conflict (tenant_id, pool) do update set person = excluded.person;

-- name: note_routing
-- Puts what routing did into the audit. $1 tenant; $2 policy version; arrays: $3 action, $4 entity, $5 changes as text.
insert into sync.audit (tenant_id, action, actor, entity_id, changes, policy_version)
select $1, item.action, 'routing', item.entity_id, item.changes::json, $2
from unnest($3::text [], $4::uuid [], $5::text []) as item (action, entity_id, changes);

-- name: add_events
-- Has the log told something. $1 tenant; arrays: $2 request id, $3 entity, $4 number, $5 body.
insert into sync.routing_event (tenant_id, request_id, entity_id, number, body)
select $1, item.request_id, item.entity_id, item.number, item.body
from unnest($2::text [], $3::uuid [], $4::int [], $5::jsonb []) as item (request_id, entity_id, number, body)
on conflict do nothing;

-- name: read_events_to_tell
-- What the log is to be told next. $1 tenant; $2 rows.
select request_id, entity_id, number, body from sync.routing_event
where tenant_id = $1
order by event_number
limit $2;

-- name: forget_events
-- What the log was told. $1 tenant; $2 request ids text[].
delete from sync.routing_event where tenant_id = $1 and request_id = any($2::text []);

-- name: bind_events
-- Notes by which events assignments were told. $1 tenant; arrays: $2 entity, $3 number, $4 event key.
update sync.assignment as held set event_key = item.event_key
from unnest($2::uuid [], $3::int [], $4::uuid []) as item (entity_id, number, event_key)
where held.tenant_id = $1 and held.entity_id = item.entity_id and held.number = item.number;

-- name: list_assignments
-- A tenant's assignments of some states and of people of a pattern, in key order. $1 tenant; $2 behind this entity; $3 states smallint[]; $4 person;
-- $5 rows.
select
    entity_id, home_id, object, source, state, number, move_count, person, role, rule, pool, lane, reason,
    policy_version, lead_time, assign_time, touch_time, check_time, event_key
from sync.assignment
where tenant_id = $1 and entity_id > $2 and state = any($3::smallint []) and person like $4
order by entity_id
limit $5;

-- name: assignment_of
-- The assignment of an entity, or of what stands for it. $1 tenant; $2 entity.
select
    entity_id, home_id, object, source, state, number, move_count, person, role, rule, pool, lane, reason,
    policy_version, lead_time, assign_time, touch_time, check_time, event_key
from sync.assignment
where tenant_id = $1 and (entity_id = $2 or home_id = $2)
order by (state = 6), (entity_id <> $2)
limit 1;

-- name: count_states
-- Leads by state and person. $1 tenant.
select state, person, count(*) as leads, count(*) filter (where touch_time is null) as untouched,
    min(assign_time) as oldest_time
from sync.assignment
where tenant_id = $1
group by state, person;

-- name: list_open_timers
-- Timers that run, the first to end first. $1 tenant; $2 rows.
select
    entity_id, number, kind, state, target, rule, person, escalate_to, start_time, due_time, end_time, elapsed_s
from sync.sla_timer
where tenant_id = $1 and state = 1
order by due_time, entity_id
limit $2;

-- name: list_breaches
-- Breaches since a time, the newest first. $1 tenant; $2 since; $3 rows.
select
    entity_id, number, kind, state, target, rule, person, escalate_to, start_time, due_time, end_time, elapsed_s
from sync.sla_timer
where tenant_id = $1 and state = 3 and due_time >= $2
order by due_time desc, entity_id asc
limit $3;

-- name: sum_timers
-- Timers by kind and target since a time: how many run, were met, breached, and how long they took. $1 tenant; $2 since.
select
    kind, target,
    count(*) filter (where state = 1) as open_count,
    count(*) filter (where state = 2) as met_count,
    count(*) filter (where state = 3) as breached_count,
    percentile_disc(array[0.5, 0.9, 0.95, 0.99]) within group (order by elapsed_s)
        filter (where elapsed_s is not null and state in (2, 3)) as percentiles
from sync.sla_timer
where tenant_id = $1 and start_time >= $2
group by kind, target
order by kind, target;

-- name: count_leads
-- Entities of some objects that are projected. $1 tenant; $2 objects text[].
select count(*) as entities from sync.entity
where tenant_id = $1 and object = any($2::text []) and version > 0 and state = 'active';

-- name: page_leads
-- The next entities of some objects, or of one part of them drawn by hash, with all values. $1 tenant; $2 behind this
-- entity; $3 rows; $4 one of how many; $5 objects text[].
select entity_id, object, state, merged_into, version, fields, policy_version from sync.entity
where
    tenant_id = $1 and entity_id > $2 and object = any($5::text []) and version > 0 and state = 'active'
    and ($4::bigint = 1 or abs(hashtextextended(entity_id::text, 0) % $4) = 0)
order by entity_id
limit $3;
