-- Erasing people: orders, what is found of them, records of CRMs, and who is not taken in again.

-- name: suppression_standing
-- The newest suppression, and those tenants that have some, each with its key, null where the vault has it: one row
-- each, one without at least. $1 tenants text[].
select newest.number, asked.tenant_id, held.key
from (select coalesce(max(one.number), 0) as number from sync.suppression as one) as newest
left join unnest($1::text []) as asked (tenant_id)
    on exists (select from sync.suppression as one where one.tenant_id = asked.tenant_id)
left join sync.suppression_key as held on asked.tenant_id = held.tenant_id;

-- name: suppression_number
-- The newest suppression.
select coalesce(max(number), 0) from sync.suppression;

-- name: suppressed_among
-- Those of some hashes that are suppressed. $1 tenant; $2 digests bytea[].
select digest from sync.suppression where tenant_id = $1 and digest = any($2::bytea []);

-- name: erase_events
-- Takes out of the log what events say. $1 tenant; $2 event keys uuid[].
select ingest.erase_events($1, $2::uuid []);

-- name: mentions_beside
-- Records of others in whose values an address or a number stands, those with an address first, in order of their names.
-- Reads all records of the tenant. $1 tenant; $2 entities uuid[]; $3 addresses in lower case text[]; $4 patterns of numbers
-- text[]; $5 how many at most.
select one.object, one.source, one.external_id, not one.by_address as by_number
from (
    select
        held.object, held.source, held.external_id, held.fields,
        exists (
            select from unnest($3::text []) as address (text)
            where strpos(lower(held.fields::text), address.text) > 0
        ) as by_address
    from sync.record as held
    where held.tenant_id = $1 and not held.deleted and not held.entity_id = any($2::uuid [])
) as one
where
    one.by_address
    or exists (select from unnest($4::text []) as number (pattern) where one.fields::text ~ number.pattern)
order by one.by_address desc, one.object asc, one.source asc, one.external_id asc
limit $5;

-- name: lock_suppression_key
-- Until the end of the transaction nobody else makes a key for a tenant. $1 tenant.
select pg_advisory_xact_lock(hashtextextended('sync.suppression_key ' || $1::text, 0));

-- name: has_suppressions
-- Whether anybody is suppressed. $1 tenant.
select exists (select from sync.suppression where tenant_id = $1);

-- name: drop_suppression_key
-- Forgets a key that the vault has by now. $1 tenant.
delete from sync.suppression_key where tenant_id = $1;

-- name: make_suppression_key
-- Keeps the key of a tenant that has none. $1 tenant; $2 key.
insert into sync.suppression_key (tenant_id, key) values ($1, $2) on conflict do nothing;

-- name: read_suppression_key
-- The key of a tenant. $1 tenant.
select key from sync.suppression_key where tenant_id = $1;

-- name: lift_suppressions
-- Takes people in again, with audit. $1 tenant; $2 digests bytea[]; $3 erasure or null; $4 actor; $5 reason.
with lifted as (
    delete from sync.suppression
    where tenant_id = $1 and (digest = any($2::bytea []) or erasure_id = $3)
    returning erasure_id
), noted as (
    insert into sync.audit (tenant_id, action, actor, changes)
    select
        $1, 'suppression_lifted', $4,
        json_build_array(
            json_build_object('field', '#erasure', 'before', null, 'after', lifted.erasure_id, 'rule', 'erasure'),
            json_build_object('field', '#identifiers', 'before', null, 'after', count(*), 'rule', 'erasure'),
            json_build_object('field', '#reason', 'before', null, 'after', $5::text, 'rule', 'erasure')
        )
    from lifted
    group by lifted.erasure_id
)
select count(*) from lifted;

-- name: entities_of_record
-- Who a source's record is. $1 tenant; $2 object; $3 source; $4 external id.
select entity_id from sync.record where tenant_id = $1 and object = $2 and source = $3 and external_id = $4;

-- name: entities_of_value
-- People of whom some source said a value: the tenant's people are looked at one by one. $1 tenant; $2 value as compared;
-- $3 whether digits alone count.
select distinct entity_id from sync.record
where
    tenant_id = $1 and object in ('contact', 'lead')
    and (
        (not $3 and lower(external_id) = $2)
        or exists (
            select from jsonb_each(fields) as item
            where
                case when $3
                    then regexp_replace(item.value ->> 0, '\D', '', 'g') = $2
                        and item.value ->> 0 ~ '^[+\d\s().\-/]+$'
                    else lower(item.value ->> 0) = $2
                end
        )
    );

-- name: known_entity
-- Whether there is an entity. $1 tenant; $2 entity.
select exists (select from sync.entity where tenant_id = $1 and entity_id = $2);

-- name: subject_entities
-- Entities that are one person, and the activities that name one. $1 tenant; $2 entities uuid[].
select found.entity_id
from sync.subject_entities($1, $2::uuid []) as found (entity_id)
order by found.entity_id;

-- name: subject_records
-- Sources' records of entities. $1 tenant; $2 entities uuid[].
select object, source, external_id, fields from sync.record
where tenant_id = $1 and entity_id = any($2::uuid [])
order by object, source, external_id;

-- name: count_held
-- What sync holds of entities, as name and count. $1 tenant; $2 entities uuid[].
select 'entities' as name, count(*) as count from sync.entity where tenant_id = $1 and entity_id = any($2::uuid [])
union all
select 'records', count(*) from sync.record where tenant_id = $1 and entity_id = any($2::uuid [])
union all
select 'activities', count(*) from sync.activity where tenant_id = $1 and activity_id = any($2::uuid [])
union all
select 'deliveries', count(*) from sync.delivery
where tenant_id = $1 and entity_id = any($2::uuid []) and connector <> ''
union all
select 'dead letters', count(*) from sync.delivery
where tenant_id = $1 and entity_id = any($2::uuid []) and connector <> '' and state = 5
union all
select 'attempts', count(*) from sync.attempt where tenant_id = $1 and entity_id = any($2::uuid [])
union all
select 'approvals', count(*) from sync.approval where tenant_id = $1 and entity_id = any($2::uuid [])
union all
select 'enrichments', count(*) from sync.enrichment where tenant_id = $1 and entity_id = any($2::uuid [])
union all
select 'drift findings', count(*) from sync.drift where tenant_id = $1 and entity_id = any($2::uuid [])
union all
select 'audit entries', count(*) from sync.audit
where tenant_id = $1 and entity_id = any($2::uuid []) and changes::text <> sync.erased()::text;

-- name: subject_targets
-- Records of CRMs that had entities. $1 tenant; $2 entities uuid[].
select connector, crm_object, crm_id from sync.delivery
where tenant_id = $1 and entity_id = any($2::uuid []) and connector <> '' and crm_id <> ''
union
select connector, crm_object, crm_id from sync.former_record
where tenant_id = $1 and entity_id = any($2::uuid [])
order by 1, 2, 3;

-- name: trace_records
-- Events of records, those in quarantine among them, and those that could not be projected. $1 tenant; arrays: $2 object,
-- $3 source, $4 external id text[], $5 an event of each uuid[]; $6 texts text[].
select found.event_key, found.disposition, found.is_archived
from ingest.trace_records(
    $1, $2::text [], $3::text [], $4::text [], $5::uuid [], $6::text [],
    array(
        select one.event_key from sync.projection as one
        where one.tenant_id = $1 and one.poisoned
        limit 100000 -- noqa: AM09
    )
) as found;

-- name: clear_errors
-- Forgets what was wrong with events. $1 tenant; $2 event keys uuid[].
update sync.projection set error = '' where tenant_id = $1 and event_key = any($2::uuid []) and error <> '';

-- name: begin_erasure
-- Orders an erasure; false where it was ordered before. $1 tenant; $2 erasure; $3 actor; $4 reason; $5 seconds until the
-- deadline; $6 entities uuid[]; $7 records json; $8 texts text[]; $9 digests bytea[]; $10 kinds text[]; $11 records of
-- accounts as JSON arrays text[].
select sync.begin_erasure(
    $1, $2, $3, $4, $5, $6::uuid [], $7::json, $8::text [], $9::bytea [], $10::text [], $11::text []
);

-- name: notify_erasure
-- Wakes who erases once the transaction commits.
select pg_notify('headwater_erasure', '');

-- name: extend_erasure
-- Adds what was found of the person meanwhile. $1 tenant; $2 erasure; $3 entities uuid[]; $4 records json; $5 texts text[];
-- $6 digests bytea[]; $7 kinds text[]; $8 records of accounts text[].
select sync.extend_erasure($1, $2, $3::uuid [], $4::json, $5::text [], $6::bytea [], $7::text [], $8::text []);

-- name: claim_erasures
-- Orders that are due, put off for as long as they are worked on. $1 seconds; $2 orders at most.
update sync.erasure as held
set due_time = clock_timestamp() + make_interval(secs => $1)
where
    (held.tenant_id, held.erasure_id) in (
        select one.tenant_id, one.erasure_id from sync.erasure as one
        where one.state <> 'done' and one.due_time <= clock_timestamp()
        order by one.due_time
        limit $2
        for update skip locked
    )
returning
    held.tenant_id, held.erasure_id, held.state, held.actor, held.reason, held.entity_ids, held.records, held.texts,
    held.try_count;

-- name: drain
-- Whether all that was under way when an order was heard of has ended; the first look only marks the place.
-- $1 tenant; $2 erasure.
with marked as (
    update sync.erasure as one
    set drain_to = coalesce(one.drain_to, pg_snapshot_xmax(pg_current_snapshot()))
    where one.tenant_id = $1 and one.erasure_id = $2
    returning one.drain_to, one.entity_ids
)
select
    marked.drain_to <= pg_snapshot_xmin(pg_current_snapshot())
    and not exists (
        select from sync.inflight as flying where flying.tenant_id = $1 and flying.entity_ids && marked.entity_ids
    )
    and not exists (
        select from sync.record_merge as one
        where one.tenant_id = $1 and one.is_open and (one.winner_id = any(marked.entity_ids) or one.loser_id = any(marked.entity_ids))
    )
    and not exists (select from sync.rebuild) as is_drained
from marked;

-- name: move_erasure
-- Moves an order on from a state, with what was done; again at once. $1 tenant; $2 erasure; $3 from; $4 to; $5 step json.
update sync.erasure as held
set
    state = $4, due_time = clock_timestamp(), try_count = 0, finding = '',
    steps = (held.steps::jsonb || jsonb_build_array($5::jsonb || jsonb_build_object('time', clock_timestamp())))::json
where held.tenant_id = $1 and held.erasure_id = $2 and held.state = $3;

-- name: note_step
-- Notes what was done, once; what it says again later replaces it. $1 tenant; $2 erasure; $3 step json, named by `step`.
update sync.erasure as held
set steps = (
    select jsonb_agg(item.value) from (
        select one.value from jsonb_array_elements(held.steps::jsonb) as one where one.value ->> 'step' <> $3::jsonb ->> 'step'
        union all
        select $3::jsonb || jsonb_build_object('time', clock_timestamp())
    ) as item (value)
)::json
where held.tenant_id = $1 and held.erasure_id = $2;

-- name: put_off_erasure
-- Looks at an order again later. $1 tenant; $2 erasure; $3 seconds; $4 what is in the way.
update sync.erasure
set due_time = clock_timestamp() + make_interval(secs => $3), try_count = try_count + 1, finding = $4
where tenant_id = $1 and erasure_id = $2 and state <> 'done';

-- name: erase_state
-- Takes a person out of all that sync keeps; what was there. $1 tenant; $2 erasure; $3 entities uuid[]; $4 records json;
-- $5 actor; $6 reason.
select sync.erase_state($1, $2, $3::uuid [], $4::json, $5, $6);

-- name: count_open_targets
-- Records of CRMs that are not erased yet. $1 tenant; $2 erasure.
select count(*) from sync.erasure_target
where tenant_id = $1 and erasure_id = $2 and state in ('open', 'sent');

-- name: due_targets
-- Records of some accounts that are to be erased now, of orders that are as far. Arrays: $1 tenant text[], $2 connector
-- text[]; $3 records of an account.
select
    found.tenant_id, found.connector, found.erasure_id, found.crm_object, found.crm_id, found.state, found.try_count
from unnest($1::text [], $2::text []) as account (tenant_id, connector)
cross join lateral (
    select
        one.tenant_id, one.connector, one.erasure_id, one.crm_object, one.crm_id, one.state, one.try_count
    from sync.erasure_target as one
    inner join sync.erasure as held
        on held.tenant_id = one.tenant_id and held.erasure_id = one.erasure_id and held.state = 'propagating'
    where
        one.tenant_id = account.tenant_id and one.connector = account.connector and one.state in ('open', 'sent')
        and one.due_time <= clock_timestamp()
    order by one.due_time
    limit $3
) as found;

-- name: settle_targets
-- Notes how far records of an account are. $1 tenant; $2 connector; arrays: $3 erasure uuid[], $4 CRM object text[], $5 CRM id
-- text[], $6 state text[], $7 method text[], $8 finding text[], $9 seconds until the next try float8[].
update sync.erasure_target as held
set
    state = item.state, method = case when item.method = '' then held.method else item.method end, finding = item.finding,
    try_count = held.try_count + 1, due_time = clock_timestamp() + make_interval(secs => item.wait_s),
    erase_time = case when item.state = 'open' then held.erase_time else coalesce(held.erase_time, clock_timestamp()) end,
    verify_time = case when item.state = 'erased' then clock_timestamp() end
from unnest($3::uuid [], $4::text [], $5::text [], $6::text [], $7::text [], $8::text [], $9::float8 [])
    as item (erasure_id, crm_object, crm_id, state, method, finding, wait_s)
where
    held.tenant_id = $1 and held.connector = $2 and held.erasure_id = item.erasure_id
    and held.crm_object = item.crm_object and held.crm_id = item.crm_id and held.state in ('open', 'sent');

-- name: wake_erasures
-- Has orders looked at again now. $1 tenant; $2 erasures uuid[].
update sync.erasure set due_time = clock_timestamp()
where tenant_id = $1 and erasure_id = any($2::uuid []) and state = 'propagating';

-- name: confirm_targets
-- Notes that a person says that records of an account are gone, with audit. $1 tenant; $2 erasure; $3 connector; $4 actor;
-- $5 reason.
with confirmed as (
    update sync.erasure_target
    set state = 'confirmed', method = 'by hand', finding = '', erase_time = clock_timestamp()
    where tenant_id = $1 and erasure_id = $2 and connector = $3 and state in ('open', 'sent')
    returning crm_id
), noted as (
    insert into sync.audit (tenant_id, action, actor, connector, changes)
    select
        $1, 'erasure_confirmed', $4, $3,
        json_build_array(
            json_build_object('field', '#erasure', 'before', null, 'after', $2::uuid, 'rule', 'erasure'),
            json_build_object('field', '#records', 'before', null, 'after', count(*), 'rule', 'erasure'),
            json_build_object('field', '#reason', 'before', null, 'after', $5::text, 'rule', 'erasure')
        )
    from confirmed
    having count(*) > 0
), woken as (
    update sync.erasure set due_time = clock_timestamp()
    where tenant_id = $1 and erasure_id = $2 and state <> 'done'
)
select count(*) from confirmed;

-- name: list_targets
-- Records of CRMs of an order. $1 tenant; $2 erasure.
select
    connector, crm_object, crm_id, state, method, try_count, finding, erase_time, verify_time
from sync.erasure_target
where tenant_id = $1 and erasure_id = $2
order by connector, crm_object, crm_id;

-- name: hash_target
-- Puts the hash of a record's id in its place. $1 tenant; $2 erasure; arrays: $3 connector, $4 CRM object, $5 CRM id, $6 hash.
update sync.erasure_target as held
set crm_id = item.hash
from unnest($3::text [], $4::text [], $5::text [], $6::text []) as item (connector, crm_object, crm_id, hash)
where
    held.tenant_id = $1 and held.erasure_id = $2 and held.connector = item.connector
    and held.crm_object = item.crm_object and held.crm_id = item.crm_id;

-- name: certify
-- Ends an order: the certificate in the audit, names forgotten. $1 tenant; $2 erasure; $3 certificate json, an array of
-- changes.
with done as (
    update sync.erasure
    set state = 'done', end_time = clock_timestamp(), records = '[]', texts = '{}', finding = ''
    where tenant_id = $1 and erasure_id = $2 and state = 'propagating'
    returning tenant_id, actor
)
insert into sync.audit (tenant_id, action, actor, changes)
select tenant_id, 'subject_erased', actor, $3::json from done;

-- name: list_erasures
-- Orders, the newest first. $1 tenant; $2 erasure or null for all; $3 whether only open ones; $4 rows.
select
    held.erasure_id, held.state, held.actor, held.reason, held.request_time, held.deadline_time, held.end_time,
    held.state <> 'done' and held.deadline_time < clock_timestamp() as overdue, held.finding, held.steps, held.entity_ids,
    (select count(*) from sync.suppression as one where one.tenant_id = $1 and one.erasure_id = held.erasure_id) as suppressed
from sync.erasure as held
where
    held.tenant_id = $1 and ($2::uuid is null or held.erasure_id = $2) and (not $3 or held.state <> 'done')
order by held.request_time desc, held.erasure_id asc
limit $4;
