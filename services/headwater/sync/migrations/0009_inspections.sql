-- What accounts tell of their automations before a rollout, and what operators acknowledged of it.

create table sync.inspection (
    tenant_id text collate "C" not null,
    connector text collate "C" not null,
    inspection_id uuid not null,
    crm_objects text [] not null,
    ask_time timestamptz not null default clock_timestamp(),
    answer jsonb,
    primary key (tenant_id, connector, inspection_id)
);
create index inspection_by_time on sync.inspection (tenant_id, ask_time);
comment on table sync.inspection is
'Questions to accounts, answered by the process that holds the account; forgotten after an hour.';
comment on column sync.inspection.answer is
'Null: not answered yet. Conditions by CRM object, or a hindrance that kept the account from being asked.';

alter table sync.rollout add column acknowledged text [] not null default '{}';
comment on column sync.rollout.acknowledged is
'What was found before it began, automations and required fields, and was acknowledged by name.';
