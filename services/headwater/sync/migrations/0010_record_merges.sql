-- Merges of entities that are followed by merges of records in a CRM, and what undoes them there.

create sequence sync.record_merge_turn as bigint;
comment on sequence sync.record_merge_turn is 'Order in which merges of records were begun and undone.';

create table sync.record_merge (
    tenant_id text collate "C" not null,
    connector text collate "C" not null,
    merge_id uuid not null,
    number bigint not null,
    object text collate "C" not null,
    winner_id uuid not null,
    loser_id uuid not null,
    event_key uuid not null,
    split_key uuid,
    wanted text not null check (wanted in ('merged', 'split')),
    state text not null check (
        state in ('planned', 'merging', 'merged', 'undoing', 'undone', 'not_needed', 'failed')
    ),
    is_open boolean not null generated always as (
        state in ('planned', 'merging', 'undoing') or (state = 'merged' and wanted = 'split')
    ) stored,
    crm_object text not null default '',
    key text not null default '',
    merged json,
    course json,
    finding text not null default '',
    try_count integer not null default 0,
    begin_turn bigint not null default 0,
    end_turn bigint not null default 0,
    due_time timestamptz not null default clock_timestamp(),
    create_time timestamptz not null default clock_timestamp(),
    change_time timestamptz not null default clock_timestamp(),
    primary key (tenant_id, connector, merge_id)
);
create index record_merge_open on sync.record_merge (tenant_id, connector, number) where is_open;
create index record_merge_by_survivor on sync.record_merge (tenant_id, connector, winner_id, number);
create index record_merge_by_loser on sync.record_merge (tenant_id, connector, loser_id, number);
create index record_merge_by_merge on sync.record_merge (tenant_id, merge_id);
comment on table sync.record_merge is
'One row per merge of entities and account that follows it. It stays: a split may come at any time.';
comment on column sync.record_merge.number is 'Its place among the tenant''s changes of identity: merges are followed in this order.';
comment on column sync.record_merge.merged is
'Both records before, and the survivor after: the undo plan is made from it.';
comment on column sync.record_merge.course is
'The steps under way, how many are done, and whether the next one may have been sent.';

create table sync.held_delivery (
    tenant_id text collate "C" not null,
    connector text collate "C" not null,
    entity_id uuid not null,
    merge_id uuid not null,
    primary key (tenant_id, connector, entity_id, merge_id)
);
comment on table sync.held_delivery is
'Deliveries that are not claimed while the records of their entities are merged or taken apart.';

create table sync.merge_question (
    tenant_id text collate "C" not null,
    connector text collate "C" not null,
    question_id uuid not null,
    body json not null,
    ask_time timestamptz not null default clock_timestamp(),
    answer json,
    primary key (tenant_id, connector, question_id)
);
create index merge_question_by_time on sync.merge_question (tenant_id, ask_time);
comment on table sync.merge_question is
'What a merge or a split would do in an account, asked by any process, answered by the one that holds the account; '
'forgotten after an hour.';
