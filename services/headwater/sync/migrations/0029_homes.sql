-- While the log is projected again, records that have a home already are not asked about at identity.

create function sync.find_homes(p_tenants text [], p_objects text [], p_sources text [], p_ids text [])
returns table (tenant_id text, object text, source text, external_id text, entity_id uuid)
language plpgsql
stable
set plan_cache_mode = force_generic_plan
set enable_hashjoin = off
set enable_mergejoin = off
set enable_seqscan = off
set enable_bitmapscan = off
set enable_memoize = off
as $$
begin
    return query
    select wanted.tenant_id, wanted.object, wanted.source, wanted.external_id, held.entity_id
    from unnest(p_tenants, p_objects, p_sources, p_ids) as wanted (tenant_id, object, source, external_id)
    cross join lateral (
        select record.entity_id from sync.record as record
        where
            record.tenant_id = wanted.tenant_id and record.object = wanted.object
            and record.source = wanted.source and record.external_id = wanted.external_id
        offset 0
    ) as held;
end
$$;
comment on function sync.find_homes(text [], text [], text [], text []) is
'The entities of those of these records that are projected; one look-up each, also while the table is new to the planner.';
