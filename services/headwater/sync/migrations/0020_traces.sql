-- Erasing what an entity's values have left besides the audit: questions, answers, snapshots, messages of errors.

alter table sync.enrichment_answer add column entity_id uuid;
create index enrichment_answer_by_entity on sync.enrichment_answer (tenant_id, entity_id) where entity_id is not null;
comment on column sync.enrichment_answer.entity_id is
'For which it was asked last. Another one with the same inputs may use it; null: asked by an earlier release.';

create function sync.erase_traces(p_tenant text, p_entity uuid, out cleared bigint, out held bigint)
language plpgsql
as $$
declare
    v_rows bigint;
begin
    if not sync.sees(p_tenant) then
        raise exception 'the call is not for the tenant %', p_tenant using errcode = 'insufficient_privilege';
    end if;
    update sync.approval as one set changes = sync.erased()
    where one.tenant_id = p_tenant and one.entity_id = p_entity and one.changes::text <> sync.erased()::text;
    get diagnostics cleared = row_count;

    delete from sync.enrichment_answer as one
    where
        one.tenant_id = p_tenant
        and (
            one.entity_id = p_entity
            or (one.provider, one.digest) in (
                select said.key, said.value ->> 'digest'
                from sync.enrichment as work
                cross join lateral jsonb_each(work.told) as said
                where work.tenant_id = p_tenant and work.entity_id = p_entity
            )
        );
    get diagnostics v_rows = row_count;
    cleared := cleared + v_rows;
    update sync.enrichment as one set told = '{}'
    where one.tenant_id = p_tenant and one.entity_id = p_entity and one.told <> '{}';
    get diagnostics v_rows = row_count;
    cleared := cleared + v_rows;

    select count(*) into held
    from sync.record_merge as one
    where
        one.tenant_id = p_tenant and p_entity in (one.winner_id, one.loser_id) and one.is_open
        and (one.merged is not null or one.course is not null);
    update sync.record_merge as one set merged = null, course = null, finding = ''
    where
        one.tenant_id = p_tenant and p_entity in (one.winner_id, one.loser_id) and not one.is_open
        and (one.merged is not null or one.course is not null or one.finding <> '');
    get diagnostics v_rows = row_count;
    cleared := cleared + v_rows;
    delete from sync.merge_question as one
    where
        one.tenant_id = p_tenant
        and (strpos(one.body::text, p_entity::text) > 0 or strpos(one.answer::text, p_entity::text) > 0);
    get diagnostics v_rows = row_count;
    cleared := cleared + v_rows;

    update sync.error_group as one set last_message = one.message
    where
        one.tenant_id = p_tenant and one.last_message <> one.message
        and (
            p_entity = any(one.sample_entity_ids)
            or one.group_id in (
                select member.group_id from sync.error_member as member
                where member.tenant_id = p_tenant and member.entity_id = p_entity
            )
        );
    get diagnostics v_rows = row_count;
    cleared := cleared + v_rows;
    update sync.attempt as one set error_message = ''
    where one.tenant_id = p_tenant and one.entity_id = p_entity and one.error_message <> '';
    get diagnostics v_rows = row_count;
    cleared := cleared + v_rows;
    update sync.poll_refusal as one set message = ''
    where
        one.tenant_id = p_tenant and one.message <> ''
        and exists (
            select from sync.delivery as item
            where
                item.tenant_id = p_tenant and item.entity_id = p_entity and item.connector = one.connector
                and item.crm_object = one.crm_object and item.crm_id = one.crm_id
            union all
            select from sync.former_record as item
            where
                item.tenant_id = p_tenant and item.entity_id = p_entity and item.connector = one.connector
                and item.crm_object = one.crm_object and item.crm_id = one.crm_id
        );
    get diagnostics v_rows = row_count;
    cleared := cleared + v_rows;
    update sync.drift as one set fields = '[]'
    where one.tenant_id = p_tenant and one.entity_id = p_entity and one.fields::text <> '[]';
    get diagnostics v_rows = row_count;
    cleared := cleared + v_rows;
    update sync.parity_run as one
    set report = (
        one.report::jsonb || jsonb_build_object('objects', (
            select jsonb_object_agg(held.key, held.value || jsonb_build_object('examples', (
                select jsonb_agg(
                    case when item.value ->> 'entity_id' = p_entity::text
                        then item.value || '{"fields": []}' else item.value end
                )
                from jsonb_array_elements(held.value -> 'examples') as item
            )))
            from jsonb_each(one.report::jsonb -> 'objects') as held
        ))
    )::json
    where
        one.tenant_id = p_tenant and strpos(one.report::text, p_entity::text) > 0
        and jsonb_path_exists(
            one.report::jsonb, '$.objects.*.examples[*] ? (@.entity_id == $entity && @.fields.size() > 0)',
            jsonb_build_object('entity', p_entity::text)
        );
    get diagnostics v_rows = row_count;
    cleared := cleared + v_rows;
    update sync.delivery as one set last_error = ''
    where one.tenant_id = p_tenant and one.entity_id = p_entity and one.last_error <> '';
    get diagnostics v_rows = row_count;
    cleared := cleared + v_rows;
    update sync.assignment as one set reason = ''
    where one.tenant_id = p_tenant and p_entity in (one.entity_id, one.home_id) and one.reason <> '';
    get diagnostics v_rows = row_count;
    cleared := cleared + v_rows;
end
$$;
comment on function sync.erase_traces(text, uuid) is
'Takes an entity''s values out of everything that is neither what the entity is made from (log, records, what CRMs '
'hold) nor the audit. Returns how many rows lost theirs, and how many records'' merges are under way and keep them until '
'they end. Idempotent.';
