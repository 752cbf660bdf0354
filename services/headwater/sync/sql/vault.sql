-- Sealed credentials and the states of the keys that wrap their data keys.

-- name: list_keys
-- Every key of the ring with how many data keys it wraps, the oldest first.
select
    held.key_id, held.state, held.check_value, held.state_time,
    (select count(*) from sync.vault_connection as used where used.key_id = held.key_id) as connections
from sync.vault_key as held
order by held.create_time, held.key_id;

-- name: lock_active_key
-- The active key, locked: only one process at a time makes another one active.
select key_id from sync.vault_key where state = 'active' for update;

-- name: lock_key
-- A key's state, locked: waits for those who wrap with it. $1 key.
select state from sync.vault_key where key_id = $1 for update;

-- name: set_key_state
-- Changes a key's state. $1 key; $2 state.
update sync.vault_key set state = $2, state_time = clock_timestamp() where key_id = $1 and state <> $2;

-- name: insert_active_key
-- Makes a key the active one; nothing when it is known. $1 key; $2 check value.
insert into sync.vault_key (key_id, state, check_value) values ($1, 'active', $2) on conflict do nothing;

-- name: count_uses
-- Data keys that a key wraps. $1 key.
select count(*) from sync.vault_connection where key_id = $1;

-- name: write_connection
-- Keeps a connection in place of what was there and answers its version; whoever refreshes it loses the claim.
-- $1 tenant; $2 connection; $3 key version; $4 key; $5 nonce; $6 wrapped key.
insert into sync.vault_connection as held (
    tenant_id, connection, key_version, key_id, key_nonce, wrapped_key
) values ($1, $2, $3, $4, $5, $6)
on conflict (tenant_id, connection) do update
set
    version = held.version + 1, key_version = excluded.key_version, key_id = excluded.key_id,
    key_nonce = excluded.key_nonce, wrapped_key = excluded.wrapped_key, state = 'ready', finding = '',
    expire_time = null, refresh_by = '', refresh_until = '-infinity', update_time = clock_timestamp()
where held.key_version < excluded.key_version
returning held.version;

-- name: delete_fields
-- Forgets every field of a connection. $1 tenant; $2 connection.
delete from sync.vault_field where tenant_id = $1 and connection = $2;

-- name: write_fields
-- Keeps fields of a connection, in place of those of the same names.
-- $1 tenant; $2 connection; $3 fields text[]; $4 nonces bytea[]; $5 sealed bytea[].
insert into sync.vault_field as held (tenant_id, connection, field, nonce, sealed)
select $1, $2, given.field, given.nonce, given.sealed
from unnest($3::text [], $4::bytea [], $5::bytea []) as given (field, nonce, sealed)
on conflict (tenant_id, connection, field) do update set nonce = excluded.nonce, sealed = excluded.sealed;

-- name: read_connection
-- A connection with its fields, of one moment. $1 tenant; $2 connection.
select
    held.version, held.key_version, held.key_id, held.key_nonce, held.wrapped_key, held.state, held.finding,
    extract(epoch from held.expire_time - clock_timestamp())::float8 as left_s,
    case
        when held.refresh_until = '-infinity' then 0
        else greatest(extract(epoch from held.refresh_until - clock_timestamp()), 0)
    end::float8 as pause_s,
    sealed.fields, sealed.nonces, sealed.texts
from sync.vault_connection as held
cross join lateral (
    select
        coalesce(array_agg(item.field order by item.field), '{}') as fields,
        coalesce(array_agg(item.nonce order by item.field), '{}') as nonces,
        coalesce(array_agg(item.sealed order by item.field), '{}') as texts
    from sync.vault_field as item
    where item.tenant_id = held.tenant_id and item.connection = held.connection
) as sealed
where held.tenant_id = $1 and held.connection = $2;

-- name: list_connections
-- A tenant's connections by name, with the names of their fields. $1 tenant; $2 rows.
select
    held.connection, held.version, held.key_id, held.state, held.finding, held.update_time,
    array(
        select item.field from sync.vault_field as item
        where item.tenant_id = held.tenant_id and item.connection = held.connection
        order by item.field
    ) as fields
from sync.vault_connection as held
where held.tenant_id = $1
order by held.connection
limit $2;

-- name: delete_connection
-- Removes a connection; answers true when there was one. $1 tenant; $2 connection.
delete from sync.vault_connection where tenant_id = $1 and connection = $2 returning true;

-- name: audit_secret
-- Records who set or removed a secret; the names of its fields, never a value.
-- $1 tenant; $2 actor; $3 action; $4 changes.
insert into sync.audit (tenant_id, actor, action, changes) values ($1, $2, $3, $4);

-- name: notify_vault
-- Tells running accounts that a connection's secret was set or removed, once the transaction commits. $1 payload.
select pg_notify('headwater_vault', $1);

-- name: wrapped_by
-- The next data keys that some keys wrap. $1 keys text[]; behind $2 tenant and $3 connection; $4 rows.
select tenant_id, connection, key_version, key_id, key_nonce, wrapped_key
from sync.vault_connection
where key_id = any($1::text []) and (tenant_id, connection) > ($2::text, $3::text)
order by tenant_id, connection
limit $4;

-- name: rewrap
-- Exchanges wrappings; one that was exchanged or set anew meanwhile is left alone. $1 the active key;
-- $2 tenants text[]; $3 connections text[]; $4 nonces as read bytea[]; $5 new nonces bytea[]; $6 wrapped keys bytea[].
update sync.vault_connection as held
set key_id = $1, key_nonce = given.nonce, wrapped_key = given.wrapped_key
from unnest($2::text [], $3::text [], $4::bytea [], $5::bytea [], $6::bytea [])
as given (tenant_id, connection, old_nonce, nonce, wrapped_key)
where
    held.tenant_id = given.tenant_id and held.connection = given.connection and held.key_nonce = given.old_nonce;

-- name: claim_refresh
-- Makes one process the one that refreshes a version; answers true when it is.
-- $1 tenant; $2 connection; $3 version; $4 holder; $5 seconds.
update sync.vault_connection
set refresh_by = $4, refresh_until = clock_timestamp() + make_interval(secs => $5)
where tenant_id = $1 and connection = $2 and version = $3 and refresh_until <= clock_timestamp()
returning true;

-- name: settle_refresh
-- Ends a refresh whose tokens were given, if the claim still holds and the secret was not set anew.
-- $1 tenant; $2 connection; $3 version; $4 key version; $5 holder; $6 life in seconds or null.
update sync.vault_connection
set
    version = version + 1, refresh_by = '', refresh_until = '-infinity', state = 'ready', finding = '',
    expire_time = clock_timestamp() + make_interval(secs => $6), update_time = clock_timestamp()
where tenant_id = $1 and connection = $2 and version = $3 and key_version = $4 and refresh_by = $5
returning true;

-- name: fail_refresh
-- Ends a refresh that failed; nobody tries again for a while. $1 tenant; $2 connection; $3 version; $4 holder;
-- $5 finding, empty to leave the state as it is; $6 seconds.
update sync.vault_connection
set
    refresh_by = '', refresh_until = clock_timestamp() + make_interval(secs => $6),
    state = case when nullif($5::text, '') is null then state else 'reauthorize' end,
    finding = coalesce(nullif($5::text, ''), finding),
    update_time = clock_timestamp()
where tenant_id = $1 and connection = $2 and version = $3 and refresh_by = $4;
