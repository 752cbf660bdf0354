"""From a batch to one outcome per record, although vendors refuse whole calls for one bad record.

Owns the splitting. A refused call that names its bad records loses those and is sent again; one that names
nobody is cut in half. n records with k bad ones take at most about 2k log2(n) further calls, 2n - 1 at worst.
Sending a refused call again is safe because nothing of it was kept. Records that an answer passes over in
silence are sent again only where the vendor promises that a repeat is safe; else they are PARTIAL: looked up first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from headwater.connectors.base.errors import CallFailed, ErrorClass, VendorError
from headwater.connectors.base.port import Failed, Outcome, Write

Key = TypeVar("Key", bound=Hashable)

_NO_OUTCOME: Final = VendorError(
    ErrorClass.PARTIAL, "NO_OUTCOME", "the vendor's answer says nothing about this record"
)


@dataclass(frozen=True, slots=True)
class Refused:
    """A whole call was refused because of some of its records; nothing of it was kept.

    Args:
        error: the refusal.
        keys: the records it is about; empty when the vendor does not say.
    """

    error: VendorError
    keys: Collection[Hashable] = ()


async def settle(
    parts: Sequence[Sequence[Key]],
    send: Callable[[Sequence[Key]], Awaitable[Mapping[Key, Outcome] | Refused]],
    *,
    repeat_safe: bool = True,
) -> dict[Key, Outcome]:
    """Send every part and return one outcome per key.

    Args:
        repeat_safe: whether a record that an answer is silent about may be sent again without a look-up.

    Raises: CallFailed when a call failed before anything was settled; afterwards its records and those not
        yet sent become `Failed` values.
    Cancellation: parts already sent were applied.
    """
    outcomes: dict[Key, Outcome] = {}
    doubtful: set[Key] = set()
    waiting = [tuple(part) for part in reversed(parts) if part]
    while waiting:
        part = waiting.pop()
        try:
            answer = await send(part)
        except CallFailed as failed:
            if not outcomes and not doubtful:
                raise
            return outcomes | _given_up(failed.error, part, waiting, doubtful)
        if not isinstance(answer, Refused):
            doubtful.update(key for key in part if key not in answer)
        settled, again = _take(part, answer, repeat_safe=repeat_safe)
        outcomes |= settled
        waiting.extend(reversed(again))
    return outcomes


async def settle_each(writes: Sequence[Write], send: Callable[[Write], Awaitable[Outcome]]) -> list[Outcome]:
    """Send one record a call, creates first, and return one outcome per write, in their order.

    Raises: CallFailed when the first call failed; later, its record and those not yet sent become `Failed` values.
    Cancellation: records already sent were written.
    """
    by_key = {write.external_id: write for write in writes}
    creates, updates, outcomes = parts_of(writes)

    async def send_one(keys: Sequence[str]) -> Mapping[str, Outcome]:
        [key] = keys
        return {key: await send(by_key[key])}

    outcomes |= await settle([[key] for key in (*creates, *updates)], send_one, repeat_safe=False)
    return [outcomes[write.external_id] for write in writes]


def check_batch(writes: Sequence[Write], records_max: int) -> None:
    """Refuse a batch that breaks the port's contract: a defect of the caller.

    Raises:
        ValueError: no write, too many, or two of the same external id.
    """
    if not 1 <= len(writes) <= records_max:
        raise ValueError(f"a batch has 1..{records_max} writes, not {len(writes)}")
    if len({write.external_id for write in writes}) != len(writes):
        raise ValueError("two writes of a batch have the same external id")


def parts_of(writes: Sequence[Write]) -> tuple[list[str], list[str], dict[str, Outcome]]:
    """Return the external ids to upsert, those to update by CRM id, and refusals known without a call.

    Two records of one batch that claim the same CRM record would overwrite each other: the second is refused.
    """
    upserts, updates, refused = [], [], dict[str, Outcome]()
    taken: set[str] = set()
    for write in writes:
        if not write.crm_id:
            upserts.append(write.external_id)
        elif write.crm_id in taken:
            refused[write.external_id] = Failed(_claimed_twice(write.crm_id))
        else:
            taken.add(write.crm_id)
            updates.append(write.external_id)
    return upserts, updates, refused


def _take(
    part: Sequence[Key], answer: Mapping[Key, Outcome] | Refused, *, repeat_safe: bool
) -> tuple[Mapping[Key, Outcome], list[tuple[Key, ...]]]:
    if isinstance(answer, Refused):
        return _divide(part, answer.error, answer.keys)
    silent = tuple(key for key in part if key not in answer)
    if not silent:
        return answer, []
    if not repeat_safe:
        return {**answer, **dict.fromkeys(silent, Failed(_NO_OUTCOME))}, []
    if len(silent) < len(part):
        return answer, [silent]
    return _divide(silent, _NO_OUTCOME, ())


def _divide(
    part: Sequence[Key], error: VendorError, bad: Collection[Hashable]
) -> tuple[dict[Key, Outcome], list[tuple[Key, ...]]]:
    named = [key for key in part if key in bad]
    if named or len(part) == 1:
        lost = named or part
        rest = tuple(key for key in part if key not in lost)
        return dict.fromkeys(lost, Failed(error)), [rest] if rest else []
    middle = len(part) // 2
    return {}, [tuple(part[:middle]), tuple(part[middle:])]


def _given_up(
    error: VendorError, part: Sequence[Key], waiting: Sequence[Sequence[Key]], doubtful: Collection[Key]
) -> dict[Key, Outcome]:
    """Return the outcomes after a failed call: its own records share the error, the others were not sent.

    A record that an answer before was silent about stays in doubt.
    """
    own: dict[Key, Outcome] = dict.fromkeys(part, Failed(error))
    unsent: dict[Key, Outcome] = {key: Failed(_unsent(error)) for rest in waiting for key in rest}
    return {key: Failed(_NO_OUTCOME) if key in doubtful else lost for key, lost in (own | unsent).items()}


def _unsent(error: VendorError) -> VendorError:
    error_class = ErrorClass.NETWORK if error.error_class is ErrorClass.IN_DOUBT else error.error_class
    return replace(
        error, error_class=error_class, message=f"not sent, since a call before failed: {error.message}"[:512]
    )


def _claimed_twice(crm_id: str) -> VendorError:
    return VendorError(
        ErrorClass.VALIDATION, "CRM_ID_TWICE", f"another record of the batch claims the CRM record {crm_id}"
    )
