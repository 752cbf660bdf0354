"""Who may act: everybody, by name, or as a member of a role."""

from __future__ import annotations

import pytest

from headwater.policy.authority import may_act
from headwater.policy.writing import Role

ROLES = {
    "stewards": Role(members=("user:ann", "user:*@acme.com")),
    "odd": Role(members=("user:[a-z]?",)),
}


@pytest.mark.parametrize(
    ("allowed", "actor", "may"),
    [
        (("operator",), "anybody", True),
        ((), "user:ann", False),
        (("user:ann",), "user:ann", True),
        (("user:ann",), "user:bob", False),
        (("role:stewards",), "user:ann", True),
        (("role:stewards",), "user:eve@acme.com", True),
        (("role:stewards",), "user:eve@acme.com.evil.org", False),
        (("role:stewards",), "USER:ANN", False),
        (("role:stewards",), "", False),
        (("role:stewards",), "role:stewards", False),
        (("role:nobody",), "user:ann", False),
        (("role:odd",), "user:ab", False),
        (("role:odd",), "user:[a-z]?", True),
    ],
)
def test_an_actor_may_what_its_names_and_roles_allow(
    *, allowed: tuple[str, ...], actor: str, may: bool
) -> None:
    """The star alone is special, and covers the whole of an id."""
    assert may_act(allowed, actor, ROLES) is may
