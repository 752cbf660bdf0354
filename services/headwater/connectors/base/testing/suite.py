"""How a conformance test says what it proves and what it needs, and is left out where a connector declares less."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Final, TypeVar

from headwater.connectors.base.testing.lab import Subject

_Test = TypeVar("_Test", bound=Callable[..., Any])
_NEEDS: Final = "headwater_needs"
OPERATION: Final = "headwater_operation"


def proves(operation: str, *, needs: tuple[str, ...] = ()) -> Callable[[_Test], _Test]:
    """Mark a test: the operation that it is evidence of, and the capabilities without which it does not apply.

    Args:
        needs: names of `Capabilities`; `limits.daily` for one of the limits, `!name` for one that must not be there.
    """

    def mark(test: _Test) -> _Test:
        setattr(test, OPERATION, operation)
        setattr(test, _NEEDS, needs)
        return test

    return mark


class Suite:
    """A set of conformance tests; a subclass that names its subject keeps those that apply."""

    subject: ClassVar[Subject]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "subject" not in cls.__dict__:
            return
        for name in dir(cls):
            needs = getattr(getattr(cls, name), _NEEDS, ())
            if name.startswith("test_") and not all(_has(cls.subject, need) for need in needs):
                setattr(cls, name, None)


def _has(subject: Subject, need: str) -> bool:
    capabilities = subject.vendor.capabilities
    if need.startswith("limits."):
        return need.removeprefix("limits.") in capabilities.limits
    if need.startswith("!"):
        return not capabilities.has(need[1:])
    return capabilities.has(need)
