-- Policy changes whose values are staged: who is under the newer policy at each place of the log.

alter table sync.policy_version add column staged jsonb;
comment on column sync.policy_version.staged is
'The newer policy that holds for some entities already, and for whom, as the event says it; null unless a change is '
'staged.';

alter table sync.policy_change
add column by_stages boolean not null default false,
add column wanted_stage smallint,
add column staged jsonb,
add column put_stage smallint;
comment on column sync.policy_change.wanted_stage is
'The stage that the log is to be told next: from 0; 100: the new policy is whole; null: none, or the change is not staged.';
comment on column sync.policy_change.staged is 'What the event of that stage says beside the policy before.';
comment on column sync.policy_change.put_stage is 'The stage that the log has told.';

alter table sync.rollout drop constraint rollout_kind_check;
alter table sync.rollout add constraint rollout_kind_check check (kind between 1 and 3);
alter table sync.rollout drop constraint rollout_check;
alter table sync.rollout add constraint rollout_check check ((kind <> 2) = (change_id is not null));
comment on column sync.rollout.connector is 'Account; empty where values are staged, which concerns all of them.';

alter table sync.rollout_member add column kinds text [] not null default '{}';
comment on column sync.rollout_member.kinds is
'Of a member whose values are staged what changes of it: fields, and CRM fields of accounts by their mapping alone.';
create index rollout_member_by_entity on sync.rollout_member (tenant_id, rollout_id, entity_id) where fate = 0;
