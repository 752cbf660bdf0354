-- What the log let go by a tenant's retention, in the tenant's audit.

create function sync.note_expiries(p_tenants text [], p_days date [], p_counts bigint [], p_archives text []) returns void
language sql
as $$
    insert into sync.audit (tenant_id, action, actor, changes)
    select
        item.tenant_id, 'events_expired', 'headwater',
        json_build_array(
            json_build_object('field', '#day', 'before', null, 'after', item.record_day, 'rule', 'retention'),
            json_build_object('field', '#events', 'before', null, 'after', item.events, 'rule', 'retention'),
            json_build_object('field', '#archive', 'before', null, 'after', item.archive, 'rule', 'retention')
        )
    from unnest(p_tenants, p_days, p_counts, p_archives) as item (tenant_id, record_day, events, archive)
    order by item.tenant_id, item.record_day
$$;

comment on function sync.note_expiries(text [], date [], bigint [], text []) is
'Writes into tenants'' audits which days of the log their retention emptied, how many events left, and the file that has '
'them, empty where none has; published for ingest, which calls it once a day and tenant.';

-- Events that wait, of a tenant whose key of erased people does not open: the shards' cursors go on past them.
create table sync.parked (
    tenant_id text collate "C" not null,
    event_key uuid not null,
    shard smallint not null check (shard >= 0),
    -- The cursor that went past it: the shard's, or that of its bulk side.
    side smallint not null check (side in (shard, ~shard)),
    xid bigint not null,
    seq bigint not null,
    reason text not null check (length(reason) between 1 and 512),
    park_time timestamptz not null default clock_timestamp(),
    primary key (tenant_id, event_key)
);

comment on table sync.parked is
'Events that are not projected yet though their shard''s cursor is past them, with why; taken up by who leases the shard.';

create index parked_shard on sync.parked (shard, xid, seq);
