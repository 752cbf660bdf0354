-- Enrichment: which entities are to be looked at, what providers said, and what that cost.

create table sync.enrichment (
    tenant_id text collate "C" not null,
    entity_id uuid not null,
    object text collate "C" not null,
    wanted_version bigint not null,
    seen_version bigint not null default 0,
    wanted_time timestamptz not null default clock_timestamp(),
    due_time timestamptz,
    forced boolean not null default false,
    tries integer not null default 0,
    told jsonb not null default '{}',
    settle_time timestamptz,
    primary key (tenant_id, entity_id)
)
with (fillfactor = 70);
create index enrichment_due on sync.enrichment (tenant_id, due_time) where due_time is not null;
comment on table sync.enrichment is
'Entities of tenants whose policy enriches: wanted as of a version, looked at as of another. Written by the projector '
'in its transaction, worked on by whoever holds the tenant''s lease. No row, and no statement, for other tenants.';
comment on column sync.enrichment.due_time is
'When it is to be looked at: at once after a change, later for a retry or a refresh; null when nothing is to be done.';
comment on column sync.enrichment.told is
'Provider to what it said last: outcome, digest of its inputs, time, fields it fills, names of its values, reason.';

create table sync.enrichment_answer (
    tenant_id text collate "C" not null,
    provider text collate "C" not null,
    digest text collate "C" not null,
    answer json not null,
    answer_time timestamptz not null,
    expire_time timestamptz not null,
    primary key (tenant_id, provider, digest)
);
create index enrichment_answer_expiry on sync.enrichment_answer (tenant_id, expire_time);
comment on table sync.enrichment_answer is
'Answers by provider and digest of its inputs, so that the same question is paid for once, also across a crash.';

create table sync.enrichment_usage (
    tenant_id text collate "C" not null,
    provider text collate "C" not null,
    day date not null,
    call_count bigint not null default 0 check (call_count >= 0),
    cost double precision not null default 0,
    hit_count bigint not null default 0,
    miss_count bigint not null default 0,
    failed_count bigint not null default 0,
    cached_count bigint not null default 0,
    refused_count bigint not null default 0,
    primary key (tenant_id, provider, day)
)
with (fillfactor = 50);
comment on table sync.enrichment_usage is
'The ledger of calls by UTC day, written before each call: a crash in between counts it, and never lets one too many go.';
comment on column sync.enrichment_usage.refused_count is 'Calls that the day''s budget did not allow.';

create table sync.enrichment_provider (
    tenant_id text collate "C" not null,
    provider text collate "C" not null,
    breaker json not null default '{}',
    last_error text not null default '',
    last_error_time timestamptz,
    primary key (tenant_id, provider)
);
comment on table sync.enrichment_provider is 'How a provider fares: its breaker, so that a restart does not forget it.';
