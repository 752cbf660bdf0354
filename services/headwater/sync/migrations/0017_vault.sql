-- Credentials of connector accounts, sealed: headwater/sync/vault/envelope.py tells how. No key of the ring is here.

create table sync.vault_key (
    key_id text collate "C" primary key check (key_id ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    state text not null check (state in ('active', 'decrypt_only', 'retired')),
    check_value bytea not null check (length(check_value) = 16),
    create_time timestamptz not null default clock_timestamp(),
    state_time timestamptz not null default clock_timestamp()
);
create unique index vault_key_active on sync.vault_key (state) where state = 'active';
comment on table sync.vault_key is 'The states of the ring''s keys; the keys themselves are where the services run.';
comment on column sync.vault_key.check_value is
'Tells the key from another one of the same name: a keyed hash of a fixed text.';

create table sync.vault_connection (
    tenant_id text collate "C" not null,
    connection text collate "C" not null check (connection ~ '^[a-z][a-z0-9_.-]{0,62}$'),
    version bigint not null default 1 check (version > 0),
    key_version integer not null check (key_version > 0),
    key_id text collate "C" not null references sync.vault_key,
    key_nonce bytea not null check (length(key_nonce) = 12),
    wrapped_key bytea not null check (length(wrapped_key) = 48),
    state text not null default 'ready' check (state in ('ready', 'reauthorize')),
    finding text not null default '',
    expire_time timestamptz,
    refresh_by text not null default '',
    refresh_until timestamptz not null default '-infinity',
    create_time timestamptz not null default clock_timestamp(),
    update_time timestamptz not null default clock_timestamp(),
    primary key (tenant_id, connection)
)
with (fillfactor = 70);
create index vault_connection_by_key on sync.vault_connection (key_id, tenant_id, connection);
comment on table sync.vault_connection is
'A connection and its data key, wrapped by a key of the ring. Associated data: tenant, connection, key version, key.';
comment on column sync.vault_connection.version is 'Counts every change of the fields; who refreshes claims one version.';
comment on column sync.vault_connection.expire_time is 'When the access token ends; null when that is not known.';
comment on column sync.vault_connection.refresh_until is
'Until then nobody but refresh_by may ask the vendor for a token: one does, or asking failed just now.';

create table sync.vault_field (
    tenant_id text collate "C" not null,
    connection text collate "C" not null,
    field text collate "C" not null check (field ~ '^[a-z][a-z0-9_]{0,62}$'),
    nonce bytea not null check (length(nonce) = 12),
    sealed bytea not null check (length(sealed) between 16 and 65552),
    primary key (tenant_id, connection, field),
    foreign key (tenant_id, connection) references sync.vault_connection on delete cascade
);
comment on table sync.vault_field is
'One secret text, sealed with its connection''s data key. Associated data: tenant, connection, field, key version.';

create function sync.check_wrapping_key() returns trigger language plpgsql as $$
begin
    perform from sync.vault_key where key_id = new.key_id and state = 'active' for share;
    if not found then
        raise exception 'key % is not the active one', new.key_id using errcode = 'serialization_failure';
    end if;
    return new;
end
$$;
comment on function sync.check_wrapping_key is
'Only the active key wraps, whatever a process believes. Its row is held until the commit: who changes its state waits, '
'and counts every use afterwards.';
create trigger vault_connection_is_wrapped_by_active_key
before insert or update of key_id on sync.vault_connection
for each row execute function sync.check_wrapping_key();
