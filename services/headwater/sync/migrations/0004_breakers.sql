-- Breakers per class of endpoints and by order of an operator; the verdict on writes in doubt.

alter table sync.attempt
add column verdict text not null default ''
check (verdict in ('', 'applied', 'not_applied', 'repeated'));
comment on column sync.attempt.verdict is
'What became of the write that was in doubt before this try: the CRM shows it, does not, or it was sent again.';

create view sync.try as
select
    tenant_id, attempt_id, connector, entity_id, object, attempt_number, version, event_key, start_time, end_time,
    outcome, error_class, error_code, error_message, http_status, latency_ms, trace_id, span_id, verdict
from sync.attempt
union all
select
    tenant_id, audit_id, connector, entity_id, object, attempt_number, version, event_key, start_time, audit_time,
    outcome, '', '', '', 0, latency_ms, trace_id, span_id, ''
from sync.audit
where outcome is not null;
comment on view sync.try is 'Every try: those that changed a record in a CRM are entries of the audit, the others attempts.';

alter table sync.connector_state
add constraint breaker_scope_known
check (coalesce(breaker ->> 'scope', 'account') in ('account', 'endpoint')),
add constraint breaker_mode_known
check (breaker -> 'forced' is null or coalesce(breaker -> 'forced' ->> 'mode', '') in ('open', 'closed'));
comment on column sync.connector_state.breaker is
'scope, breakers by key (failures, hold_s, probe_time, since_time), and forced: an operator''s order.';
comment on column sync.connector_state.breaker_generation is
'Raised by every order of an operator, so that the actor takes the order over its own memory.';
