-- Projecting the log again: by the policy of each moment, or, on request, by the newest one throughout.

alter table sync.rebuild add column by_newest boolean not null default false;
comment on column sync.rebuild.by_newest is
'Whether every event is read by the newest policy; else each by the one that was in force at its place in the log.';
