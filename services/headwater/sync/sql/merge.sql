-- Merges of entities followed into CRMs.

-- name: open_record_merges
-- Orders accounts to follow merges, unless the log is projected again, and holds the deliveries of both back: what the
-- winner should hold now may be unique in the CRM, and still be the loser's there.
-- Arrays: $1 tenant; $2 connector; $3 merge; $4 object; $5 winner; $6 loser; $7 event key; $8 shard; $9 xid; $10 seq;
-- $11 the merge's place among the tenant's changes of identity.
with opened as (
    insert into sync.record_merge (
        tenant_id, connector, merge_id, number, object, winner_id, loser_id, event_key, wanted, state
    )
    select
        item.tenant_id, item.connector, item.merge_id, item.number, item.object, item.winner_id, item.loser_id,
        item.event_key, 'merged', 'planned'
    from unnest(
        $1::text [], $2::text [], $3::uuid [], $4::text [], $5::uuid [], $6::uuid [], $7::uuid [],
        $8::integer [], $9::bigint [], $10::bigint [], $11::bigint []
    ) as item (
        tenant_id, connector, merge_id, object, winner_id, loser_id, event_key, shard, xid, seq, number
    )
    where not exists (
        select from sync.rebuild as held
        where held.shard = item.shard and (held.xid, held.seq) >= (item.xid, item.seq)
    )
    on conflict do nothing
    returning tenant_id, connector, winner_id, loser_id, merge_id
)
insert into sync.held_delivery (tenant_id, connector, entity_id, merge_id)
select opened.tenant_id, opened.connector, both_of.entity_id, opened.merge_id
from opened
cross join lateral unnest(array[opened.winner_id, opened.loser_id]) as both_of (entity_id)
on conflict do nothing;

-- name: want_splits
-- Orders that followed merges are undone, and holds the deliveries of both back meanwhile.
-- Arrays: $1 tenant; $2 merge; $3 event key.
with wanted as (
    update sync.record_merge as held
    set wanted = 'split', split_key = item.event_key, due_time = clock_timestamp(), change_time = clock_timestamp()
    from unnest($1::text [], $2::uuid [], $3::uuid []) as item (tenant_id, merge_id, event_key)
    where
        held.tenant_id = item.tenant_id and held.merge_id = item.merge_id and held.wanted = 'merged'
        and held.state in ('planned', 'merging', 'merged', 'failed')
    returning held.tenant_id, held.connector, held.winner_id, held.loser_id, held.merge_id, held.is_open
)
insert into sync.held_delivery (tenant_id, connector, entity_id, merge_id)
select wanted.tenant_id, wanted.connector, both_of.entity_id, wanted.merge_id
from wanted
cross join lateral unnest(array[wanted.winner_id, wanted.loser_id]) as both_of (entity_id)
where wanted.is_open
on conflict do nothing;

-- name: notify_merges
-- Wakes who follows merges once the transaction commits.
select pg_notify('headwater_merge', '');

-- name: waiting_record_merges
-- The open merge of each of these accounts that is due first; of those that share an entity, one that was begun goes
-- to its end, then the oldest begins.
-- Arrays: $1 tenant; $2 connector.
select
    waiting.tenant_id, waiting.connector, waiting.merge_id, waiting.number, waiting.object, waiting.winner_id,
    waiting.loser_id, waiting.event_key, waiting.wanted, waiting.state, waiting.crm_object, waiting.key,
    waiting.merged, waiting.course, waiting.finding, waiting.try_count, waiting.begin_turn, waiting.end_turn,
    extract(epoch from clock_timestamp() - waiting.create_time)::float8 as waited_s,
    extract(epoch from waiting.due_time - clock_timestamp())::float8 as due_s
from unnest($1::text [], $2::text []) as account (tenant_id, connector)
cross join lateral (
    select
        one.tenant_id, one.connector, one.merge_id, one.number, one.object, one.winner_id, one.loser_id,
        one.event_key, one.wanted, one.state, one.crm_object, one.key, one.merged, one.course, one.finding,
        one.try_count, one.begin_turn, one.end_turn, one.create_time, one.due_time
    from sync.record_merge as one
    where
        one.tenant_id = account.tenant_id and one.connector = account.connector and one.is_open -- noqa: RF01
        and (
            one.state in ('merging', 'undoing')
            or not exists (
                select from sync.record_merge as other
                where
                    other.tenant_id = one.tenant_id and other.connector = one.connector and other.is_open
                    and (other.number < one.number or other.state in ('merging', 'undoing'))
                    and other.merge_id <> one.merge_id
                    and array[other.winner_id, other.loser_id] && array[one.winner_id, one.loser_id]
            )
        )
    order by one.due_time, one.number
    limit 1
) as waiting;

-- name: read_record_merges
-- Everything that accounts did about a merge; all merges of the tenant where none is named, newest first, 500 at most.
-- $1 tenant; $2 merge or null.
select
    tenant_id, connector, merge_id, number, object, winner_id, loser_id, event_key, wanted, state, crm_object, key,
    merged, course, finding, try_count, begin_turn, end_turn,
    extract(epoch from clock_timestamp() - create_time)::float8 as waited_s
from sync.record_merge
where tenant_id = $1 and ($2::uuid is null or merge_id = $2)
order by number desc
limit 500;

-- name: lock_fence
-- Waits for turns of the account under way, keeps others out until the end, and says whether the fence stands.
-- $1 lease; $2 fence.
select pg_advisory_xact_lock(sync.fence_key($1))
from sync.lease as lease
where lease.name = $1 and lease.fence = $2 and lease.expire_time > clock_timestamp();

-- name: holder_of
-- The entity that has the record of another one: itself, or the one whose record it went into, and so on.
-- $1 tenant; $2 entity; $3 connector.
with recursive chain as (
    select $2::uuid as entity_id, 0 as hops
    union all
    select further.winner_id, chain.hops + 1
    from chain
    cross join lateral (
        select one.winner_id from sync.record_merge as one
        where
            one.tenant_id = $1 and one.connector = $3 and one.loser_id = chain.entity_id
            and one.state in ('merged', 'undoing')
        order by one.number desc
        limit 1
    ) as further
    where
        chain.hops < 32
        and not exists (
            select from sync.delivery as held
            where
                held.tenant_id = $1 and held.connector = $3 and held.entity_id = chain.entity_id -- noqa: RF01
                and held.crm_id <> ''
        )
)
select chain.entity_id
from chain
order by chain.hops desc
limit 1;

-- name: hold_deliveries
-- Holds deliveries back for a merge. $1 tenant; $2 connector; $3 entities uuid[]; $4 merge.
insert into sync.held_delivery (tenant_id, connector, entity_id, merge_id)
select $1, $2, item.entity_id, $4 from unnest($3::uuid []) as item (entity_id)
on conflict do nothing;

-- name: let_go
-- Lets a delivery that a merge holds back go on, until it is held again. $1 tenant; $2 connector; $3 merge; $4 entity.
delete from sync.held_delivery
where tenant_id = $1 and connector = $2 and merge_id = $3 and entity_id = $4;

-- name: are_busy
-- Whether a slot has one of these deliveries in hand, or another merge is under way at the record of one of them.
-- $1 tenant; $2 connector; $3 entities uuid[]; $4 merge.
select
    exists (
        select from sync.inflight as held
        where held.tenant_id = $1 and held.connector = $2 and held.entity_ids && $3::uuid []
    )
    or exists (
        select from sync.record_merge as other
        where
            other.tenant_id = $1 and other.connector = $2 and other.is_open and other.merge_id <> $4
            and other.state in ('merging', 'undoing') and (other.course ->> 'holder_id')::uuid = any($3::uuid [])
    );

-- name: read_places
-- Where entities are in an account. $1 tenant; $2 connector; $3 entities uuid[].
select held.entity_id, held.crm_object, held.crm_id, held.state
from sync.delivery as held
where held.tenant_id = $1 and held.connector = $2 and held.entity_id = any($3::uuid []);

-- name: merges_below
-- Merges into entities and into all that went into them, whether they stand or were undone.
-- $1 tenant; $2 connector; $3 entities uuid[].
with recursive below as (
    select item.entity_id from unnest($3::uuid []) as item (entity_id)
    union
    select held.loser_id
    from below
    inner join sync.record_merge as held
        on held.tenant_id = $1 and held.connector = $2 and below.entity_id = held.winner_id
)
select
    held.tenant_id, held.connector, held.merge_id, held.number, held.object, held.winner_id, held.loser_id,
    held.event_key, held.wanted, held.state, held.crm_object, held.key, held.merged, held.course, held.finding,
    held.try_count, held.begin_turn, held.end_turn, 0::float8 as waited_s
from below
inner join sync.record_merge as held
    on held.tenant_id = $1 and held.connector = $2 and below.entity_id = held.winner_id
where held.begin_turn > 0 and held.state in ('merged', 'undoing', 'undone');

-- name: advance_record_merge
-- Notes how far a merge is, under the fence. $1 tenant; $2 connector; $3 merge; $4 state; $5 CRM object; $6 key;
-- $7 merged json; $8 course json; $9 tries; $10 finding; $11 pause in seconds; $12 lease; $13 fence.
update sync.record_merge as held
set
    state = item.state, crm_object = $5, key = $6, merged = $7, course = $8, try_count = $9, finding = $10,
    due_time = clock_timestamp() + make_interval(secs => $11), change_time = clock_timestamp(),
    begin_turn = case
        when item.state = 'merging' and held.begin_turn = 0 then nextval('sync.record_merge_turn')
        else held.begin_turn
    end,
    end_turn = case when item.state = 'undone' then nextval('sync.record_merge_turn') else held.end_turn end
from (select $4::text as state) as item
where
    held.tenant_id = $1 and held.connector = $2 and held.merge_id = $3
    and exists (
        select from sync.lease as lease
        where lease.name = $12 and lease.fence = $13 and lease.expire_time > clock_timestamp()
    )
returning held.merge_id;

-- name: note_step
-- Puts a step into the audit. $1 tenant; $2 action; $3 entity; $4 event key; $5 connector; $6 changes json.
insert into sync.audit (tenant_id, action, actor, entity_id, event_key, connector, changes)
values ($1, $2, 'sync', $3, $4, $5, $6);

-- name: leave_record
-- Takes the CRM record from a delivery whose entity ended, and settles it. $1 tenant; $2 connector; $3 entity.
with former as (
    insert into sync.former_record (tenant_id, connector, crm_object, crm_id, entity_id, end_time)
    select held.tenant_id, held.connector, held.crm_object, held.crm_id, held.entity_id, clock_timestamp()
    from sync.delivery as held
    where held.tenant_id = $1 and held.connector = $2 and held.entity_id = $3 and held.crm_id <> ''
    on conflict (tenant_id, connector, crm_object, crm_id) do update set end_time = excluded.end_time
), ended as (
    delete from sync.due where tenant_id = $1 and connector = $2 and entity_id = $3
)
update sync.delivery
set
    crm_id = '', known = '{}', state = 2, delivered_version = desired_version, failure_count = 0, try_count = 0,
    last_error_class = '', last_error = '', settle_time = clock_timestamp()
where tenant_id = $1 and connector = $2 and entity_id = $3;

-- name: take_record
-- Gives a delivery the CRM record that it has now, and has it looked at before anything is written.
-- $1 tenant; $2 connector; $3 entity; $4 CRM object; $5 CRM id.
with former as (
    insert into sync.former_record (tenant_id, connector, crm_object, crm_id, entity_id, end_time)
    select held.tenant_id, held.connector, held.crm_object, held.crm_id, held.entity_id, clock_timestamp()
    from sync.delivery as held
    where
        held.tenant_id = $1 and held.connector = $2 and held.entity_id = $3 and held.crm_id <> ''
        and held.crm_id <> $5
    on conflict (tenant_id, connector, crm_object, crm_id) do update
    set entity_id = excluded.entity_id, end_time = excluded.end_time
), taken as (
    update sync.delivery
    set crm_object = $4, crm_id = $5, known = '{}', state = 4, failure_count = 0
    where tenant_id = $1 and connector = $2 and entity_id = $3
    returning tenant_id, connector, entity_id
)
insert into sync.due as held (tenant_id, connector, lane, due_time, entity_id)
select taken.tenant_id, taken.connector, 1, clock_timestamp(), taken.entity_id from taken
on conflict (tenant_id, connector, entity_id) do update
set due_time = excluded.due_time, lane = least(held.lane, excluded.lane);

-- name: release_deliveries
-- Lets go of what a merge has held back, unless it is open again: a split came meanwhile.
-- $1 tenant; $2 connector; $3 merge.
delete from sync.held_delivery as held
where
    held.tenant_id = $1 and held.connector = $2 and held.merge_id = $3
    and not exists (
        select from sync.record_merge as one
        where one.tenant_id = $1 and one.connector = $2 and one.merge_id = $3 and one.is_open
    );

-- name: deliver_again
-- Makes a delivery that was settled without a record due again. $1 tenant; $2 connector; $3 entity.
with woken as (
    update sync.delivery set state = 1, dirty_time = clock_timestamp()
    where tenant_id = $1 and connector = $2 and entity_id = $3 and state = 2 and crm_id = ''
    returning tenant_id, connector, entity_id
)
insert into sync.due (tenant_id, connector, lane, due_time, entity_id)
select woken.tenant_id, woken.connector, 1, clock_timestamp(), woken.entity_id from woken
on conflict do nothing;

-- name: notify_account
-- Wakes the actor of an account once the transaction commits. $1 the account as `name_accounts` has it.
select pg_notify('headwater_delivery', $1);

-- name: retry_record_merge
-- Lets a merge that failed go on where it stood: with its merging, or with its undoing. $1 tenant; $2 connector; $3 merge.
update sync.record_merge as held
set
    state = case
        when held.merged is null then 'planned'
        when held.course -> 'steps' -> 0 ->> 'kind' = 'merge' then 'merging'
        else 'undoing'
    end,
    try_count = 0, due_time = clock_timestamp(), finding = ''
where held.tenant_id = $1 and held.connector = $2 and held.merge_id = $3 and held.state = 'failed'
returning held.merge_id;

-- name: ask_merge
-- Posts a question, and forgets old ones of the tenant. $1 tenant; $2 connector; $3 question; $4 body json.
with forgotten as (
    delete from sync.merge_question
    where tenant_id = $1 and ask_time < clock_timestamp() - interval '1 hour'
)
insert into sync.merge_question (tenant_id, connector, question_id, body) values ($1, $2, $3, $4);

-- name: waiting_questions
-- Questions of the last minute that wait for an answer of these accounts. Arrays: $1 tenant; $2 connector.
select waiting.tenant_id, waiting.connector, waiting.question_id, waiting.body
from unnest($1::text [], $2::text []) as account (tenant_id, connector)
cross join lateral (
    select one.tenant_id, one.connector, one.question_id, one.body
    from sync.merge_question as one
    where
        one.tenant_id = account.tenant_id and one.connector = account.connector and one.answer is null -- noqa: RF01
        and one.ask_time > clock_timestamp() - interval '1 minute'
    offset 0 -- noqa: AM09
) as waiting;

-- name: answer_question
-- Notes the answer to a question that has none yet. $1 tenant; $2 connector; $3 question; $4 answer json.
update sync.merge_question set answer = $4
where tenant_id = $1 and connector = $2 and question_id = $3 and answer is null;

-- name: take_merge_answer
-- Takes the answer out; no row while there is none. $1 tenant; $2 connector; $3 question.
delete from sync.merge_question
where tenant_id = $1 and connector = $2 and question_id = $3 and answer is not null
returning answer;
