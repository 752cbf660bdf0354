-- Projecting the log again: by the policy of each moment, or, on request, by the newest one throughout.

alter table sync.rebuild add column by_newest boolean not null default false;
comment on column sync.rebuild.by_newest is
'Whether every event is read by the newest policy; else each by the one that was in force at its place in the log.';

alter function sync.begin_rebuild(text) rename to empty_projection;
comment on function sync.empty_projection(text) is
'Empties what is made from the log; returns of how many events. What CRMs hold is not in the log: deliveries stay as '
'they stand, save for their versions, which are counted anew. Called by begin_rebuild.';

create function sync.begin_rebuild(p_actor text, p_policies text default 'recorded') returns bigint
language plpgsql
as $$
declare
    v_events bigint;
begin
    if p_policies not in ('recorded', 'newest') then
        raise exception 'policies are recorded (of each moment) or newest, not %', quote_literal(p_policies)
        using errcode = 'invalid_parameter_value';
    end if;
    v_events := sync.empty_projection(p_actor);
    update sync.rebuild set by_newest = (p_policies = 'newest');
    return v_events;
end
$$;
comment on function sync.begin_rebuild(text, text) is
'Empties what is made from the log, to have it made again; returns how many events that takes. recorded: each event is '
'read by the policy that was in force at its place in the log, and what entities show is decided by the one in force '
'now, as it was when they were renewed. newest: as if the policy in force had been the first.';
