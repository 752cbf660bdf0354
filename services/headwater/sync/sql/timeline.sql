-- Activities and whom they concern: what the projector leaves behind, and what is made of it page by page.

-- name: note_due
-- Leaves changed entities to be looked at. $1 tenants text[]; $2 entities uuid[]; $3 objects text[]; $4 event keys uuid[].
insert into sync.timeline_due (tenant_id, entity_id, object, event_key)
select item.tenant_id, item.entity_id, item.object, item.event_key
from unnest($1::text [], $2::uuid [], $3::text [], $4::uuid []) as item (tenant_id, entity_id, object, event_key);

-- name: note_identity_changes
-- Leaves merges and splits to be followed. $1 tenants text[]; $2 event keys uuid[]; $3 numbers bigint[]; $4 changes text[];
-- $5 objects text[]; $6 winners uuid[]; $7 losers uuid[]; $8 merges uuid[].
insert into sync.reassociation (tenant_id, event_key, number, change, object, winner_id, loser_id, merge_id)
select
    item.tenant_id, item.event_key, item.number, item.change, item.object, item.winner_id, item.loser_id,
    item.merge_id
from unnest(
    $1::text [], $2::uuid [], $3::bigint [], $4::text [], $5::text [], $6::uuid [], $7::uuid [], $8::uuid []
) as item (tenant_id, event_key, number, change, object, winner_id, loser_id, merge_id)
on conflict do nothing;

-- name: notify_timeline
-- Wakes who associates once the transaction commits.
select pg_notify('headwater_timeline', '');

-- name: write_touches
-- Keeps touches; one that is kept already stays as it is. $1 tenants text[]; $2 event keys uuid[]; $3 objects text[];
-- $4 sources text[]; $5 external ids text[]; $6 times timestamptz[]; $7 channels text[]; $8 details text[]; $9 policies text[].
insert into sync.touch (
    tenant_id, event_key, object, source, external_id, touch_time, channel, detail, policy_version
)
select
    item.tenant_id, item.event_key, item.object, item.source, item.external_id, item.touch_time, item.channel,
    item.detail, item.policy_version
from unnest(
    $1::text [], $2::uuid [], $3::text [], $4::text [], $5::text [], $6::timestamptz [], $7::text [], $8::text [],
    $9::text []
) as item (tenant_id, event_key, object, source, external_id, touch_time, channel, detail, policy_version)
on conflict do nothing;

-- name: hold_timeline
-- Whether this transaction is now the only one that associates.
select pg_try_advisory_xact_lock(7521962890113) as held;

-- name: first_due_tenant
-- The tenant that waits longest. No parameters.
select tenant_id from sync.timeline_due
order by number
limit 1;

-- name: take_due
-- Takes the next changed entities of a tenant. $1 tenant; $2 rows.
delete from sync.timeline_due
where tenant_id = $1 and number in (
    select one.number from sync.timeline_due as one
    where one.tenant_id = $1
    order by one.number
    limit $2
)
returning entity_id, event_key;

-- name: first_spread
-- What activities are looked at again for. No parameters.
select tenant_id, kind, value, event_key, place from sync.timeline_spread
order by tenant_id, kind, value
limit 1;

-- name: spread_mailbox
-- The next activities with a mailbox that has no contact by its own record. $1 tenant; $2 mailbox; $3 behind this activity;
-- $4 rows.
select activity_id from sync.activity_person
where tenant_id = $1 and mailbox = $2 and activity_id > $3 and not placed
order by activity_id
limit $4;

-- name: spread_domain
-- The next activities with a participant at a domain, or one below it. $1 tenant; $2 domain; $3 behind this activity; $4 rows.
select activity_id from sync.activity_domain
where tenant_id = $1 and domain = $2 and activity_id > $3
order by activity_id
limit $4;

-- name: due_all
-- Leaves the next entities to be looked at, returns them. $1 tenant; $2 behind this entity; $3 rows; $4 event key.
with page as (
    select entity_id, object from sync.entity
    where
        tenant_id = $1 and entity_id > $2 and version > 0
        and object in ('activity', 'contact', 'account', 'deal')
    order by entity_id
    limit $3
),

left_behind as (
    insert into sync.timeline_due (tenant_id, entity_id, object, event_key)
    select $1, page.entity_id, page.object, $4 from page
)

select page.entity_id as activity_id from page
order by page.entity_id;

-- name: timeline_policies
-- By which words each tenant's activities were associated last. No parameters.
select tenant_id, digest from sync.timeline_policy;

-- name: save_timeline_policy
-- Keeps them. $1 tenant; $2 digest.
insert into sync.timeline_policy (tenant_id, digest) values ($1, $2)
on conflict (tenant_id) do update set digest = excluded.digest;

-- name: unplaced_mailboxes
-- Those of some mailboxes that activities have without a contact. $1 tenant; $2 mailboxes text[].
select distinct mailbox from sync.activity_person
where tenant_id = $1 and mailbox = any($2::text []) and not placed;

-- name: spread_concerns
-- The next activities that concern an entity. $1 tenant; $2 entity, as text; $3 behind this activity; $4 rows.
select activity_id from sync.association
where tenant_id = $1 and entity_id = $2::text::uuid and activity_id > $3
order by activity_id
limit $4;

-- name: begin_spread
-- Has activities looked at again, from the first on, where there are any. $1 tenant; $2 kinds text[]; $3 values text[];
-- $4 event keys uuid[].
insert into sync.timeline_spread (tenant_id, kind, value, event_key)
select $1, item.kind, item.value, item.event_key
from unnest($2::text [], $3::text [], $4::uuid []) as item (kind, value, event_key)
where
    case item.kind
        when 'mailbox' then exists (
            select from sync.activity_person as one
            where one.tenant_id = $1 and one.mailbox = item.value and not one.placed
        )
        when 'domain' then exists (
            select from sync.activity_domain as one
            where one.tenant_id = $1 and one.domain = item.value
        )
        when 'concerns' then exists (
            select from sync.association as one
            where one.tenant_id = $1 and one.entity_id = item.value::uuid
        )
        else true
    end
on conflict (tenant_id, kind, value) do update
set place = '00000000-0000-0000-0000-000000000000', event_key = excluded.event_key;

-- name: move_spread
-- Stores how far it is. $1 tenant; $2 kind; $3 value; $4 place.
update sync.timeline_spread set place = $4
where tenant_id = $1 and kind = $2 and value = $3;

-- name: end_spread
-- All were looked at. $1 tenant; $2 kind; $3 value.
delete from sync.timeline_spread
where tenant_id = $1 and kind = $2 and value = $3;

-- name: first_reassociation
-- The merge or split that is to be followed next. No parameters.
select
    tenant_id, event_key, number, change, object, winner_id, loser_id, merge_id, place, examined_count, moved_count
from sync.reassociation
where state = 1
order by tenant_id, number
limit 1;

-- name: page_concerned
-- The next activities that concern one of these entities. $1 tenant; $2 entities uuid[]; $3 behind this activity; $4 rows.
select distinct found.activity_id
from unnest($2::uuid []) as wanted (entity_id)
cross join lateral (
    select one.activity_id from sync.association as one
    where one.tenant_id = $1 and one.entity_id = wanted.entity_id and one.activity_id > $3
    order by one.activity_id
    limit $4
) as found
order by found.activity_id
limit $4;

-- name: due_referring
-- Leaves what refers to one of these entities to be looked at, save activities. $1 tenant; $2 entities uuid[]; $3 event key.
insert into sync.timeline_due (tenant_id, entity_id, object, event_key)
select entity.tenant_id, entity.entity_id, entity.object, $3
from unnest($2::uuid []) as wanted (entity_id)
cross join lateral (
    select distinct held.from_entity_id from sync.entity_reference as held
    where held.tenant_id = $1 and held.to_entity_id = wanted.entity_id and held.field <> ''
) as held
cross join lateral (
    select one.tenant_id, one.entity_id, one.object from sync.entity as one
    where one.tenant_id = $1 and one.entity_id = held.from_entity_id
    offset 0 -- noqa: AM09
) as entity
where entity.object <> 'activity';

-- name: save_reassociation
-- Stores how far it is. $1 tenant; $2 event key; $3 place; $4 examined; $5 moved; $6 done.
update sync.reassociation
set
    place = $3, examined_count = examined_count + $4, moved_count = moved_count + $5,
    state = case when $6 then 2 else 1 end, end_time = case when $6 then clock_timestamp() end
where tenant_id = $1 and event_key = $2;

-- name: note_reassociation
-- Puts a page of a merge or split into the audit. $1 tenant; $2 entity; $3 event key; $4 changes; $5 policy version.
insert into sync.audit (tenant_id, action, actor, entity_id, event_key, changes, policy_version)
values ($1, 'reassociated', 'sync', $2, $3, $4, $5);

-- name: read_entities
-- Entities as they stand. $1 tenant; $2 entities uuid[].
select entity.entity_id, entity.object, entity.state, entity.version, entity.fields
from unnest($2::uuid []) as wanted (entity_id)
cross join lateral (
    select one.entity_id, one.object, one.state, one.version, one.fields from sync.entity as one
    where one.tenant_id = $1 and one.entity_id = wanted.entity_id and one.version > 0
    offset 0 -- noqa: AM09
) as entity;

-- name: standing_of
-- Who stands for entities now. $1 tenant; $2 entities uuid[].
select wanted.entity_id, sync.standing_of($1, wanted.entity_id) as standing_id
from unnest($2::uuid []) as wanted (entity_id);

-- name: homes_of
-- The entities of contact records. $1 tenant; $2 sources text[]; $3 external ids text[].
select held.source, held.external_id, held.entity_id
from unnest($2::text [], $3::text []) as wanted (source, external_id)
cross join lateral (
    select one.source, one.external_id, one.entity_id from sync.record as one
    where
        one.tenant_id = $1 and one.object = 'contact' and one.source = wanted.source
        and one.external_id = wanted.external_id
    offset 0 -- noqa: AM09
) as held;

-- name: entities_by_key
-- Entities that have one of these keys. $1 tenant; $2 kinds text[]; $3 values text[].
select held.kind, held.value, held.entity_id
from unnest($2::text [], $3::text []) as wanted (kind, value)
cross join lateral (
    select one.kind, one.value, one.entity_id from sync.timeline_key as one
    where one.tenant_id = $1 and one.kind = wanted.kind and one.value = wanted.value
    offset 0 -- noqa: AM09
) as held;

-- name: keys_of
-- The keys of entities. $1 tenant; $2 entities uuid[].
select held.kind, held.value, held.entity_id
from unnest($2::uuid []) as wanted (entity_id)
cross join lateral (
    select one.kind, one.value, one.entity_id from sync.timeline_key as one
    where one.tenant_id = $1 and one.entity_id = wanted.entity_id
    offset 0 -- noqa: AM09
) as held;

-- name: clear_keys
-- Takes the keys of entities away. $1 tenant; $2 entities uuid[].
delete from sync.timeline_key
where tenant_id = $1 and entity_id = any($2::uuid []);

-- name: write_keys
-- Gives entities keys. $1 tenant; $2 kinds text[]; $3 values text[]; $4 entities uuid[].
insert into sync.timeline_key (tenant_id, kind, value, entity_id)
select $1, item.kind, item.value, item.entity_id
from unnest($2::text [], $3::text [], $4::uuid []) as item (kind, value, entity_id)
on conflict do nothing;

-- name: clear_activities
-- Takes what is known of activities away, to be written anew. $1 tenant; $2 activities uuid[].
with people as (
    delete from sync.activity_person where tenant_id = $1 and activity_id = any($2::uuid [])
),

domains as (
    delete from sync.activity_domain where tenant_id = $1 and activity_id = any($2::uuid [])
),

associations as (
    delete from sync.association where tenant_id = $1 and activity_id = any($2::uuid [])
)

delete from sync.activity
where tenant_id = $1 and activity_id = any($2::uuid []);

-- name: write_activities
-- Keeps activities. $1 tenant; $2 activities uuid[]; $3 kinds text[]; $4 sources text[]; $5 times timestamptz[];
-- $6 subjects text[]; $7 message ids text[]; $8 actors text[]; $9 statuses text[]; $10 people text[].
insert into sync.activity (
    tenant_id, activity_id, kind, source, occur_time, subject, message_id, actor, status, people
)
select
    $1, item.activity_id, item.kind, item.source, item.occur_time, item.subject, item.message_id, item.actor,
    item.status, item.people::json
from unnest(
    $2::uuid [], $3::text [], $4::text [], $5::timestamptz [], $6::text [], $7::text [], $8::text [], $9::text [],
    $10::text []
) as item (activity_id, kind, source, occur_time, subject, message_id, actor, status, people);

-- name: write_people
-- Keeps who took part. $1 tenant; $2 mailboxes text[]; $3 activities uuid[]; $4 placed boolean[].
insert into sync.activity_person (tenant_id, mailbox, activity_id, placed)
select $1, item.mailbox, item.activity_id, item.placed
from unnest($2::text [], $3::uuid [], $4::boolean []) as item (mailbox, activity_id, placed);

-- name: write_domains
-- Keeps by which domains companies of participants may be known. $1 tenant; $2 domains text[]; $3 activities uuid[].
insert into sync.activity_domain (tenant_id, domain, activity_id)
select $1, item.domain, item.activity_id
from unnest($2::text [], $3::uuid []) as item (domain, activity_id);

-- name: write_associations
-- Keeps whom activities concern. $1 tenant; $2 activities uuid[]; $3 entities uuid[]; $4 objects text[]; $5 reasons text[];
-- $6 confidences double precision[]; $7 times timestamptz[].
insert into sync.association (tenant_id, activity_id, entity_id, object, reason, confidence, occur_time)
select $1, item.activity_id, item.entity_id, item.object, item.reason, item.confidence, item.occur_time
from unnest($2::uuid [], $3::uuid [], $4::text [], $5::text [], $6::double precision [], $7::timestamptz [])
    as item (activity_id, entity_id, object, reason, confidence, occur_time);

-- name: associations_of
-- Whom activities concern. $1 tenant; $2 activities uuid[].
select held.activity_id, held.entity_id, held.object, held.reason, held.confidence
from unnest($2::uuid []) as wanted (activity_id)
cross join lateral (
    select one.activity_id, one.entity_id, one.object, one.reason, one.confidence from sync.association as one
    where one.tenant_id = $1 and one.activity_id = wanted.activity_id
    offset 0 -- noqa: AM09
) as held
order by held.activity_id, held.entity_id;

-- name: threads_of
-- The threads that messages are in. $1 tenant; $2 message ids text[].
select message_id, thread_id from sync.activity_thread
where tenant_id = $1 and message_id = any($2::text []);

-- name: rename_threads
-- Threads that others take in. $1 tenant; $2 former text[]; $3 now text[].
update sync.activity_thread as held
set thread_id = item.current
from unnest($2::text [], $3::text []) as item (former, current)
where held.tenant_id = $1 and held.thread_id = item.former;

-- name: write_threads
-- Puts messages into threads. $1 tenant; $2 message ids text[]; $3 threads text[].
insert into sync.activity_thread (tenant_id, message_id, thread_id)
select $1, item.message_id, item.thread_id
from unnest($2::text [], $3::text []) as item (message_id, thread_id)
on conflict (tenant_id, message_id) do update set thread_id = excluded.thread_id;
