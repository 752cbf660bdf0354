-- What the planner has to know of tables that every event writes to, so that ANALYZE, which follows a growing table every
-- few seconds, costs little: it samples 300 rows for each unit of a column's target, 30,000 by default. The statements of
-- the hot path have fixed plans; all others begin with the key's first columns, for which a few thousand rows tell enough.
-- Of what no statement ever chooses rows by, nothing is kept: sorting documents costs most.

alter table sync.projection
alter column tenant_id set statistics 15, alter column event_key set statistics 15,
alter column rule set statistics 15, alter column superseded set statistics 15,
alter column poisoned set statistics 15, alter column project_time set statistics 15,
alter column error set statistics 0, alter column entity_ids set statistics 0, alter column versions set statistics 0,
alter column xid set statistics 0, alter column seq set statistics 0, alter column trace_id set statistics 0;

alter table sync.record
alter column tenant_id set statistics 15, alter column object set statistics 15,
alter column source set statistics 15, alter column external_id set statistics 15,
alter column entity_id set statistics 15, alter column deleted set statistics 15,
alter column fields set statistics 0, alter column delete_time set statistics 0, alter column home_seq set statistics 0;

alter table sync.entity
alter column tenant_id set statistics 15, alter column entity_id set statistics 15,
alter column object set statistics 15, alter column state set statistics 15,
alter column merged_into set statistics 15, alter column version set statistics 15,
alter column policy_version set statistics 15, alter column change_time set statistics 15,
alter column fields set statistics 0, alter column state_seq set statistics 0;

alter table sync.delivery
alter column tenant_id set statistics 15, alter column connector set statistics 15,
alter column entity_id set statistics 15, alter column object set statistics 15,
alter column state set statistics 15, alter column stopped set statistics 15,
alter column crm_object set statistics 15, alter column crm_id set statistics 15,
alter column desired_version set statistics 0, alter column delivered_version set statistics 0,
alter column known set statistics 0, alter column failure_count set statistics 15,
alter column try_count set statistics 0, alter column wait_since set statistics 15,
alter column lacks_reference set statistics 15, alter column reference_came set statistics 15,
alter column last_error_class set statistics 15, alter column last_error set statistics 0,
alter column discard_reason set statistics 0, alter column event_key set statistics 15,
alter column revived_key set statistics 0, alter column traceparent set statistics 0,
alter column tracestate set statistics 0, alter column last_traceparent set statistics 0,
alter column mark_time set statistics 15, alter column dirty_time set statistics 15,
alter column settle_time set statistics 15;

alter table sync.audit
alter column tenant_id set statistics 15, alter column xid set statistics 15,
alter column audit_id set statistics 15, alter column audit_time set statistics 15,
alter column action set statistics 15, alter column actor set statistics 15,
alter column entity_id set statistics 15, alter column event_key set statistics 15,
alter column connector set statistics 15, alter column outcome set statistics 15,
alter column changes set statistics 0, alter column policy_version set statistics 0,
alter column trace_id set statistics 0, alter column object set statistics 0,
alter column attempt_number set statistics 0, alter column version set statistics 0,
alter column start_time set statistics 15, alter column latency_ms set statistics 15,
alter column span_id set statistics 0;
