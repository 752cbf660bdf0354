-- The few deliveries that stand still, for the operators' lists; the many others are not in it.

create index delivery_stopped on sync.delivery (tenant_id, connector, entity_id)
where state in (5, 6);
