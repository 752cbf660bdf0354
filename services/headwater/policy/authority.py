"""Who may do what: actors by name, by role, or everybody. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Final

from headwater.policy.writing import Role

EVERY_OPERATOR: Final = "operator"
"""The word for everybody who may act at all."""
ROLE: Final = "role:"
"""How the name of a role begins among actors."""


def may_act(allowed: Iterable[str], actor: str, roles: Mapping[str, Role]) -> bool:
    """Return whether *actor* is among *allowed*: by `operator`, by name, or as a member of a role."""
    return any(
        _is_member(roles.get(item.removeprefix(ROLE)), actor)
        if item.startswith(ROLE)
        else item in {EVERY_OPERATOR, actor}
        for item in allowed
    )


def _is_member(role: Role | None, actor: str) -> bool:
    if role is None or not actor:
        return False
    return any(fnmatchcase(actor, _pattern(member)) for member in role.members)


def _pattern(member: str) -> str:
    """Return *member* as a pattern in which the star alone is special."""
    return member.replace("[", "[[]").replace("?", "[?]")
