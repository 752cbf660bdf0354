-- Writes that a person has to approve before they are sent.

create table sync.approval (
    tenant_id text collate "C" not null,
    connector text collate "C" not null,
    entity_id uuid not null,
    subject text collate "C" not null check (subject in ('write', 'merge', 'removal')),
    approval_id uuid not null,
    object text collate "C" not null,
    crm_object text collate "C" not null,
    crm_id text collate "C" not null,
    kind text collate "C" not null check (kind in ('create', 'update', 'delete', 'merge')),
    rule text collate "C" not null,
    version bigint not null,
    event_key uuid not null,
    policy_version text not null,
    changes json not null,
    on_expiry text not null check (on_expiry in ('reject', 'approve')),
    state smallint not null default 1 check (state between 1 and 4),
    actor text not null default '',
    reason text not null default '',
    create_time timestamptz not null default clock_timestamp(),
    expire_time timestamptz not null,
    decide_time timestamptz,
    primary key (tenant_id, connector, entity_id, subject)
)
with (fillfactor = 80);
create unique index approval_by_id on sync.approval (tenant_id, approval_id);
create index approval_waiting on sync.approval (tenant_id, connector, rule) where state = 1;
create index approval_expiring on sync.approval (expire_time) where state = 1;
comment on table sync.approval is
'What was asked last about each entity in an account. A write that changes meanwhile takes the place of the one before; '
'the audit has them all.';
comment on column sync.approval.state is '1 asked, 2 approved, 3 rejected, 4 expired: as ApprovalState on the wire.';
comment on column sync.approval.approval_id is 'Made of all that would change: an approval is of the write as it was seen.';

create function sync.is_open(p_held sync.approval) returns boolean
language sql stable
return case p_held.subject
    when 'write' then exists (
        select from sync.delivery as one
        where
            one.tenant_id = p_held.tenant_id and one.connector = p_held.connector -- noqa: RF01
            and one.entity_id = p_held.entity_id -- noqa: RF01
            and (one.state = 7 or (one.state in (1, 3, 4) and one.delivered_version < p_held.version)) -- noqa: RF01
    )
    when 'removal' then exists (
        select from sync.delivery as one
        inner join sync.entity as entity
            on one.tenant_id = entity.tenant_id and one.entity_id = entity.entity_id
        where
            one.tenant_id = p_held.tenant_id and one.connector = p_held.connector -- noqa: RF01
            and one.entity_id = p_held.entity_id and one.crm_id = p_held.crm_id -- noqa: RF01
            and entity.state = 'deleted'
    )
    else exists (
        select from sync.record_merge as one
        where
            one.tenant_id = p_held.tenant_id and one.connector = p_held.connector -- noqa: RF01
            and one.loser_id = p_held.entity_id and one.is_open -- noqa: RF01
    )
end;
comment on function sync.is_open(sync.approval) is
'Whether what was asked about may still be written: it was not delivered, discarded or merged meanwhile.';

create index entity_deleted on sync.entity (tenant_id, entity_id) where state = 'deleted';
comment on index sync.entity_deleted is
'The few entities that were deleted: their records are removed from CRMs when the grace is over.';
