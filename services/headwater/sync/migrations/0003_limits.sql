-- What accounts used of their vendors' limits, so that a successor never exceeds a window.

create table sync.usage (
    tenant_id text collate "C" not null,
    connector text collate "C" not null,
    fence bigint not null check (fence > 0),
    windows jsonb not null default '{}',
    write_time timestamptz not null default clock_timestamp(),
    primary key (tenant_id, connector)
)
with (fillfactor = 50);
comment on table sync.usage is
'The books of each account''s sliding windows; only the actor of the fence may write them.';
comment on column sync.usage.windows is
'Windows and pauses as durations from write_time; empty when nobody ever called. As sync/domain/usage.py.';

alter table sync.quota
add column tokens bigint not null default 0 check (tokens >= 0),
add column reserved_calls bigint not null default 0 check (reserved_calls >= 0),
add column reserved_tokens bigint not null default 0 check (reserved_tokens >= 0),
add column rate_per_s double precision not null default 0,
add column rate_time timestamptz,
add column refused bigint not null default 0 check (refused >= 0),
add column alert_time timestamptz,
add column forecast_time timestamptz;
comment on column sync.quota.reserved_calls is
'Calls that may have gone since the writing: a successor after a crash counts them as used.';
comment on column sync.quota.refused is 'Answers of the day that said: too many.';
comment on column sync.quota.alert_time is 'When the share that the policy names was passed; null before.';
comment on column sync.quota.forecast_time is
'When the day is used up at the recent rate, as of update_time; null when it lasts.';
