"""Which messages belong together: RFC 5322 threads as sets of message ids that name each other. Pure.

A message joins whatever it names, whether that came or never will; so a thread is a connected set, and is the same
in whatever order its messages come. It bears the smallest of its ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def join_threads(
    named: Iterable[Iterable[str]], held: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Join what messages name with the threads that are held already.

    Args:
        named: of each message, its own id and those that it names.
        held: id to the thread it is in, for all ids of *named* that are known.

    Returns: id to thread, of ids that are new; and former thread to the one that takes it in.
    """
    parents: dict[str, str] = {}

    def root(name: str) -> str:
        parents.setdefault(name, name)
        while parents[name] != name:
            parents[name] = parents[parents[name]]
            name = parents[name]
        return name

    def join(one: str, other: str) -> None:
        first, second = sorted((root(one), root(other)))
        parents[second] = first

    for name, thread in held.items():
        join(name, thread)
    for names in named:
        ids = list(names)
        for name in ids:
            join(ids[0], name)
    former = {thread: root(thread) for thread in held.values() if root(thread) != thread}
    return {name: root(name) for name in list(parents) if name not in held}, former
