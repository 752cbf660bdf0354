-- Versions of policies: what the projector came by, what is renewed under them, what a change would do.

-- name: note_version
-- Keeps a policy that the projector came by. $1 tenant; $2 event key; $3 xid; $4 seq; $5 digest; $6 document; $7 actor;
-- $8 record time; $9 what is staged, or null.
insert into sync.policy_version (
    tenant_id, event_key, xid, seq, digest, document, actor, record_time, staged
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
on conflict do nothing;

-- name: notify_versions
-- Wakes who renews entities once the transaction commits.
select pg_notify('headwater_policy', '');

-- name: take_version
-- The version that is to be worked on first, held until this transaction ends. $1 now.
select
    tenant_id, event_key, xid, seq, digest, document, version, actor, record_time, state, place_entity_id,
    next_time, scanned_count, changed_count, restated_count, late_count, field_counts, delivery_counts,
    begin_time, settle_time, end_time, reason, staged
from sync.policy_version
where state in (1, 2, 3) and next_time <= $1
order by next_time
limit 1
for update skip locked;

-- name: next_version_time
-- When a version is to be worked on next; null when none is.
select min(next_time) as due_time from sync.policy_version where state in (1, 2, 3);

-- name: save_version
-- Stores how far a version is. $1 tenant; $2 event key; $3 version; $4 state; $5 place; $6 next time; $7 scanned;
-- $8 changed; $9 restated; $10 late; $11 fields; $12 deliveries; $13 begin; $14 settle; $15 end; $16 reason.
update sync.policy_version
set
    version = $3, state = $4, place_entity_id = $5, next_time = $6, scanned_count = $7, changed_count = $8,
    restated_count = $9, late_count = $10, field_counts = $11, delivery_counts = $12, begin_time = $13,
    settle_time = $14, end_time = $15, reason = $16
where tenant_id = $1 and event_key = $2;

-- name: version_before
-- The policy that was in force before this place of the log. $1 tenant; $2 xid; $3 seq.
select document, digest from sync.policy_version
where tenant_id = $1 and (xid, seq) < ($2, $3)
order by xid desc, seq desc
limit 1;

-- name: former_versions
-- The versions before this place of the log, oldest first, from the last one under which all entities were renewed;
-- texts left out. $1 tenant; $2 xid; $3 seq.
with done as (
    select xid, seq from sync.policy_version
    where tenant_id = $1 and (xid, seq) < ($2, $3) and state = 4
    order by xid desc, seq desc
    limit 1
)
select held.digest, held.staged - 'document' as staged
from sync.policy_version as held, done
where
    held.tenant_id = $1 and (held.xid, held.seq) < ($2, $3)
    and (held.xid, held.seq) >= (done.xid, done.seq)
order by held.xid, held.seq;

-- name: stage_paused
-- Whether a staged change is held or taken back. $1 tenant; $2 change.
select exists (
    select from sync.rollout where tenant_id = $1 and change_id = $2 and state in (4, 6)
) as paused;

-- name: is_first_version
-- Whether no policy stands before this place of the log, and no entity was projected before it was recorded: releases
-- that kept no versions may have had one. $1 tenant; $2 xid; $3 seq; $4 record time.
select
    not exists (select from sync.policy_version where tenant_id = $1 and (xid, seq) < ($2, $3))
    and not exists (select from sync.entity where tenant_id = $1 and version > 0 and change_time <= $4) as is_first;

-- name: policy_key_in_force
-- The newest policy event of a tenant. $1 tenant.
select event_key from ingest.current_policies() where tenant_id = $1;

-- name: rebuilding
-- Whether the log is being projected again.
select exists (select from sync.rebuild) as rebuilding;

-- name: note_policy_change
-- Puts a change of the policy into the audit. $1 tenant; $2 actor; $3 event key; $4 changes; $5 policy version.
insert into sync.audit (tenant_id, action, actor, event_key, changes, policy_version)
values ($1, 'policy_changed', $2, $3, $4, $5);

-- name: page_entities
-- The next projected entities of a tenant. $1 tenant; $2 behind this entity; $3 rows.
select entity_id, object from sync.entity
where tenant_id = $1 and entity_id > $2 and version > 0
order by entity_id
limit $3;

-- name: page_changed_entities
-- The same of those that were changed since. $1 tenant; $2 behind this entity; $3 rows; $4 time.
select entity_id, object from sync.entity
where tenant_id = $1 and entity_id > $2 and version > 0 and change_time >= $4
order by entity_id
limit $3;

-- name: count_projected
-- How many projected entities a tenant has. $1 tenant.
select count(*) as entities from sync.entity where tenant_id = $1 and version > 0;

-- name: sample_entities
-- The next projected entities of a tenant, or of one part of them drawn by hash, with all values.
-- $1 tenant; $2 behind this entity; $3 rows; $4 one of how many.
select
    entity_id, object, state, merged_into, version, fields, policy_version
from sync.entity
where
    tenant_id = $1 and entity_id > $2 and version > 0
    and ($4::bigint = 1 or abs(hashtextextended(entity_id::text, 0) % $4) = 0)
order by entity_id
limit $3;

-- name: named_entities
-- Projected entities with all values. $1 tenant; $2 entities uuid[].
select
    entity_id, object, state, merged_into, version, fields, policy_version
from sync.entity
where tenant_id = $1 and entity_id = any($2::uuid []) and version > 0;

-- name: members_of
-- Every record of these entities. $1 tenant; $2 entities uuid[].
select
    held.tenant_id, held.object, held.source, held.external_id, held.entity_id, held.fields, held.deleted,
    held.delete_time
from unnest($2::uuid []) as wanted (entity_id)
cross join lateral (
    select
        record.tenant_id, record.object, record.source, record.external_id, record.entity_id, record.fields,
        record.deleted, record.delete_time
    from sync.record as record
    where record.tenant_id = $1 and record.entity_id = wanted.entity_id
    offset 0 -- noqa: AM09
) as held;

-- name: standing_of
-- Entities as an account has them, with all that a plan needs; claims nothing.
-- $1 tenant; $2 connector; $3 entities uuid[].
select
    entity.entity_id, entity.object, coalesce(held.state, 0) as delivery_state,
    coalesce(held.desired_version, entity.version) as desired_version,
    coalesce(held.delivered_version, 0) as delivered_version, coalesce(held.crm_object, '') as crm_object,
    coalesce(held.crm_id, '') as crm_id, coalesce(held.known, '{}') as known,
    coalesce(held.failure_count, 0) as failure_count, coalesce(held.try_count, 0) as try_count,
    null::timestamptz as due_time, coalesce(held.last_error_class, '') as last_error_class,
    coalesce(held.last_error, '') as last_error, coalesce(held.event_key, entity.entity_id) as event_key,
    held.settle_time, coalesce(held.mark_time, entity.change_time) as mark_time,
    coalesce(held.dirty_time, entity.change_time) as dirty_time, false as in_doubt,
    entity.state, entity.merged_into, entity.version, entity.fields
from unnest($3::uuid []) as wanted (entity_id)
cross join lateral (
    select
        one.entity_id, one.object, one.change_time, one.state, one.merged_into, one.version, one.fields
    from sync.entity as one
    where one.tenant_id = $1 and one.entity_id = wanted.entity_id
    offset 0 -- noqa: AM09
) as entity
left join lateral (
    select
        one.state, one.desired_version, one.delivered_version, one.crm_object, one.crm_id, one.known,
        one.failure_count, one.try_count, one.last_error_class, one.last_error, one.event_key,
        one.settle_time, one.mark_time, one.dirty_time
    from sync.delivery as one
    where one.tenant_id = $1 and one.connector = $2 and one.entity_id = wanted.entity_id
    offset 0 -- noqa: AM09
) as held on true;

-- name: list_versions
-- A tenant's versions, the newest first. $1 tenant; before $2 xid and $3 seq; $4 rows.
select
    tenant_id, event_key, xid, seq, digest, document, version, actor, record_time, state, place_entity_id,
    next_time, scanned_count, changed_count, restated_count, late_count, field_counts, delivery_counts,
    begin_time, settle_time, end_time, reason, staged
from sync.policy_version
where tenant_id = $1 and (xid, seq) < ($2, $3)
order by xid desc, seq desc
limit $4;
