-- The quarterly review of which fields an account uses is a job of reconciliation as the others are.

alter table sync.parity_run drop constraint parity_run_job_check;
alter table sync.parity_run add constraint parity_run_job_check
check (job in ('daily', 'weekly', 'monthly', 'quarterly'));
alter table sync.parity_order drop constraint parity_order_job_check;
alter table sync.parity_order add constraint parity_order_job_check
check (job in ('daily', 'weekly', 'monthly', 'quarterly'));
