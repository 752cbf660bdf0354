-- Walls between tenants: erasing runs with the owner's rights (access.toml), for nobody else may update the audit. So it
-- asks itself whether the caller may see the tenant.

create function sync.sees(p_tenant text) returns boolean
language sql stable
return
    coalesce(nullif(pg_catalog.current_setting('role'), 'none'), session_user) !~ '_tenant$'
    or coalesce(pg_catalog.current_setting('headwater.tenant', true), '') = p_tenant;

comment on function sync.sees(text) is
'Whether who is connected may see a tenant''s rows: the role that it took on, not the owner of the function that asks.';

create or replace function sync.erase_audit(p_tenant text, p_entity uuid, p_actor text, p_reason text) returns integer
language plpgsql
as $$
declare
    v_head sync.audit_head;
    v_order bigint;
    v_one record;
    v_count integer := 0;
begin
    if not sync.sees(p_tenant) then
        raise exception 'the call is not for the tenant %', p_tenant using errcode = 'insufficient_privilege';
    end if;
    insert into sync.audit_head (tenant_id) values (p_tenant) on conflict do nothing;
    select held.* into v_head from sync.audit_head as held where held.tenant_id = p_tenant for update;
    insert into sync.audit (tenant_id, action, actor, entity_id, changes)
    values (
        p_tenant, 'values_erased', p_actor, p_entity,
        json_build_array(json_build_object('field', '#reason', 'before', null, 'after', p_reason, 'rule', 'erasure'))
    )
    returning audit_id into v_order;
    perform set_config('headwater.audit_order', 'audit', true);
    for v_one in
        select
            entry.xid, entry.audit_id, entry.changes, place.tile,
            array_position(place.audit_ids, entry.audit_id) as n
        from sync.audit as entry
        left join lateral (
            select tile.tile, tile.audit_ids
            from sync.audit_tile as tile
            where
                tile.tenant_id = p_tenant and tile.tier = 0
                and (tile.last_xid, tile.last_audit_id) >= (entry.xid, entry.audit_id)
            order by tile.tile
            limit 1
        ) as place on (entry.xid, entry.audit_id) <= (v_head.xid, v_head.audit_id)
        where
            entry.tenant_id = p_tenant and entry.entity_id = p_entity and entry.action <> 'values_erased'
            and entry.changes::text <> sync.erased()::text
    loop
        if v_one.n is not null then
            insert into sync.audit_erasure (tenant_id, audit_id, seq, commitment, order_id)
            select
                p_tenant, v_one.audit_id, v_one.tile * 256 + v_one.n,
                sync.audit_commitment(substr(held.salts, v_one.n * 16 - 15, 16), v_one.changes), v_order
            from sync.audit_salt as held
            where held.tenant_id = p_tenant and held.tile = v_one.tile;
            update sync.audit_salt as held
            set salts = overlay(held.salts placing decode(repeat('00', 16), 'hex') from v_one.n * 16 - 15)
            where held.tenant_id = p_tenant and held.tile = v_one.tile;
        end if;
        update sync.audit as entry set changes = sync.erased()
        where entry.tenant_id = p_tenant and entry.xid = v_one.xid and entry.audit_id = v_one.audit_id;
        v_count := v_count + 1;
    end loop;
    perform set_config('headwater.audit_order', '', true);
    return v_count;
end
$$;

create function sync.account_holder(p_tenant text, p_connector text) returns text
language sql stable
return (
    select held.holder
    from sync.lease as held
    where
        sync.sees(p_tenant) and held.name = 'connector/' || p_tenant || '/' || p_connector
        and held.expire_time > clock_timestamp()
        and not exists (
            select from sync.process as process
            where process.holder = held.holder and process.expire_time <= clock_timestamp()
        )
);

comment on function sync.account_holder(text, text) is 'The process that has a connector account now; null for none.';

create function sync.note_denials(
    p_tenants text [], p_subjects text [], p_methods text [], p_reasons text [], p_named text [], p_counts bigint []
) returns void
language sql
as $$
    insert into sync.audit (tenant_id, action, actor, changes)
    select
        item.tenant_id, 'access_denied', item.subject,
        json_build_array(
            json_build_object('field', '#method', 'before', null, 'after', item.method, 'rule', item.reason),
            json_build_object('field', '#tenant', 'before', null, 'after', item.named, 'rule', item.reason),
            json_build_object('field', '#calls', 'before', null, 'after', item.calls, 'rule', item.reason)
        )
    from unnest(p_tenants, p_subjects, p_methods, p_reasons, p_named, p_counts)
        as item (tenant_id, subject, method, reason, named, calls)
    order by item.tenant_id
$$;

comment on function sync.note_denials(text [], text [], text [], text [], text [], bigint []) is
'Writes refused calls into the audit of their callers'' tenants; published for the doors of every service. #tenant is the '
'tenant that was named, where it was refused for that; #calls how many were refused alike since the entry before.';
