"""A policy event of the log: one policy, or one and a newer one that holds for some entities already. Pure.

While a change is staged, `document` is the policy before it, so that whoever knows nothing of stages goes on by that;
`staged` has the newer one and says whom it holds for. Each stage is such an event; the end of it is a plain one.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, ValidationError

from headwater.policy.document import PolicyDocument
from headwater.policy.faults import Fault
from headwater.policy.loading import load_policy, policy_digest
from headwater.policy.parsing import PolicyRefused
from headwater.policy.sharing import DRAW_MAX, NONE_DRAWN, Share
from headwater.policy.words import Part

ENTITIES_MAX = 1_000
"""Entities that a stage may name."""


class _Staged(Part):
    change_id: uuid.UUID
    stage: Annotated[int, Field(ge=0, le=99)]
    seed: uuid.UUID
    upto: Annotated[int, Field(ge=NONE_DRAWN, le=DRAW_MAX)]
    entities: Annotated[tuple[uuid.UUID, ...], Field(max_length=ENTITIES_MAX)]
    rate_per_s: Annotated[float, Field(gt=0)]
    document: str
    digest: str


@dataclass(frozen=True, slots=True)
class StagedText:
    """The newer policy of a change that is staged, and whom it holds for."""

    share: Share
    text: str

    @property
    def digest(self) -> str:
        """By which the newer policy is known."""
        return policy_digest(self.text)

    def as_json(self) -> dict[str, Any]:
        """Return it as a policy event carries it; the same bytes for the same stage."""
        share = self.share
        return {
            "change_id": str(share.change_id),
            "stage": share.stage,
            "seed": str(share.seed),
            "upto": share.upto,
            "entities": sorted(str(item) for item in share.entities),
            "rate_per_s": share.rate_per_s,
            "document": self.text,
            "digest": self.digest,
        }


def read_staged(part: Any) -> StagedText | None:
    """Return what `staged` of a policy event says; None where there is none.

    Raises:
        PolicyRefused: it is no stage.
    """
    if part is None:
        return None
    try:
        held = _Staged.model_validate(part, strict=False)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        path = ".".join(["staged", *(str(item) for item in first["loc"])])
        raise PolicyRefused((Fault(path, str(first["type"]), str(first["msg"])),)) from error
    if held.digest != policy_digest(held.document):
        fault = Fault("staged.digest", "digest", f"does not fit: it is {policy_digest(held.document)}")
        raise PolicyRefused((fault,))
    share = Share(held.change_id, held.stage, held.seed, held.upto, frozenset(held.entities), held.rate_per_s)
    return StagedText(share, held.document)


def load_staged(text: str, staged: StagedText | None) -> PolicyDocument:
    """Return the policy *text*, which for the entities of *staged* is the newer one. Raises: PolicyRefused."""
    document = load_policy(text)
    if staged is not None:
        document.stage(staged.share, load_policy(staged.text))
    return document


def load_event(payload: Mapping[str, Any]) -> PolicyDocument:
    """Return the policy that a policy event puts in force. Raises: PolicyRefused, KeyError."""
    return load_staged(payload["document"], read_staged(payload.get("staged")))
