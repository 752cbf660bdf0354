-- The books of a connector account's limits.

-- name: take_over_usage
-- Claims the books for a fence and returns them, with a day's ledger; no row when a higher fence has them.
-- $1 tenant; $2 connector; $3 fence; $4 day.
with claimed as (
    insert into sync.usage as held (tenant_id, connector, fence) values ($1, $2, $3)
    on conflict (tenant_id, connector) do update set fence = excluded.fence
    where held.fence <= excluded.fence
    returning held.windows, held.write_time
)
select
    claimed.windows,
    (extract(epoch from clock_timestamp() - claimed.write_time) * 1000000000)::bigint as elapsed_ns,
    coalesce(quota.calls, 0) + coalesce(quota.reserved_calls, 0) as calls,
    coalesce(quota.tokens, 0) + coalesce(quota.reserved_tokens, 0) as tokens,
    coalesce(quota.reserved_calls, 0) as unseen_calls, coalesce(quota.reserved_tokens, 0) as unseen_tokens,
    quota.vendor_used, quota.vendor_limit, coalesce(quota.rate_per_s, 0) as rate_per_s, quota.rate_time,
    coalesce(quota.refused, 0) as refused, quota.alert_time
from claimed
left join sync.quota as quota on quota.tenant_id = $1 and quota.connector = $2 and quota.day = $4;

-- name: write_usage
-- Writes windows and the day's ledger; answers true when the fence still has the books.
-- $1 tenant; $2 connector; $3 fence; $4 windows jsonb; $5 day; $6 calls; $7 tokens; $8 and $9 reserved calls
-- and tokens; $10 vendor's count; $11 vendor's limit; $12 rate a second; $13 its time; $14 refused;
-- $15 alert's time; $16 forecast.
with written as (
    update sync.usage set windows = $4, write_time = clock_timestamp()
    where tenant_id = $1 and connector = $2 and fence = $3
    returning tenant_id, connector
)
insert into sync.quota as held (
    tenant_id, connector, day, calls, tokens, reserved_calls, reserved_tokens, vendor_used, vendor_limit,
    rate_per_s, rate_time, refused, alert_time, forecast_time
)
select
    written.tenant_id, written.connector, $5::date, $6::bigint, $7::bigint, $8::bigint, $9::bigint,
    $10::bigint, $11::bigint, $12::float8, $13::timestamptz, $14::bigint, $15::timestamptz, $16::timestamptz
from written
on conflict (tenant_id, connector, day) do update
set
    calls = excluded.calls, tokens = excluded.tokens,
    reserved_calls = excluded.reserved_calls, reserved_tokens = excluded.reserved_tokens,
    vendor_used = excluded.vendor_used, vendor_limit = excluded.vendor_limit,
    rate_per_s = excluded.rate_per_s, rate_time = excluded.rate_time, refused = excluded.refused,
    alert_time = excluded.alert_time, forecast_time = excluded.forecast_time,
    update_time = clock_timestamp()
returning true;

-- name: read_books
-- Windows and ledgers of connector accounts, for those who look. $1 tenant; $2 connectors text[]; $3 days date[].
select
    wanted.connector, wanted.day, coalesce(held.windows, '{}') as windows,
    coalesce((extract(epoch from clock_timestamp() - held.write_time) * 1000000000)::bigint, 0) as elapsed_ns,
    coalesce(quota.calls, 0) as calls, coalesce(quota.tokens, 0) as tokens,
    0::bigint as unseen_calls, 0::bigint as unseen_tokens,
    quota.vendor_used, quota.vendor_limit, coalesce(quota.rate_per_s, 0) as rate_per_s, quota.rate_time,
    coalesce(quota.refused, 0) as refused, quota.alert_time
from unnest($2::text [], $3::date []) as wanted (connector, day)
left join sync.usage as held on held.tenant_id = $1 and wanted.connector = held.connector
left join sync.quota as quota
    on quota.tenant_id = $1 and wanted.connector = quota.connector and wanted.day = quota.day;
