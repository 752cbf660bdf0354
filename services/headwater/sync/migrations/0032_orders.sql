-- Which orders of a job a run has fulfilled: one that was given while it ran asks for another.

alter table sync.schedule add column order_count bigint not null default 0 check (order_count >= 0);
comment on column sync.schedule.order_count is 'Runs ordered ever; a run that ends fulfils those given before it began.';
