-- How far the streams are heard by which CRMs tell of changes.

create table sync.stream (
    tenant_id text collate "C" not null,
    connector text collate "C" not null,
    topic text collate "C" not null,
    mark text collate "C" not null default '',
    catch_up_time timestamptz,
    wanted_count bigint not null default 0,
    unread_count bigint not null default 0,
    unreadable_count bigint not null default 0,
    lost_count bigint not null default 0,
    begin_time timestamptz not null default clock_timestamp(),
    move_time timestamptz not null default clock_timestamp(),
    primary key (tenant_id, connector, topic)
)
with (fillfactor = 50);
comment on table sync.stream is
'Topics of connector accounts; everything before the mark is kept: what it wants read stands in sync.record_fetch.';
comment on column sync.stream.mark is
'The vendor''s own id of the last change told; empty before the first, and after the vendor has forgotten it.';
comment on column sync.stream.catch_up_time is
'When the pollers are to run besides, for what the stream did not tell; null: it has told all since it began.';
comment on column sync.stream.wanted_count is 'Records that were to be read because of it.';
comment on column sync.stream.unread_count is 'Changes of fields, or of objects, that nobody reads.';
comment on column sync.stream.lost_count is 'How often the vendor could not go on from the mark.';
