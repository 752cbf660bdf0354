"""Asks a provider for JSON; a client of the connectors' HTTP, so that limits, spans and failures are as theirs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from headwater.connectors.base import CallFailed, CallGate, ErrorClass, LimitFacts, VendorError
from headwater.connectors.base.enriching import EnricherAccount, Proposal, Proposed
from headwater.connectors.base.http import (
    HttpCaller,
    Request,
    failure_of_status,
    required_json,
    retry_after_s,
    tls_settings,
)
from headwater.connectors.base.transport import CheckedTransport
from headwater.kernel.errors import InvalidInput
from headwater.kernel.ids import ObjectName
from headwater.kernel.net import AddressRefused, check_url, reach_named

PATH: Final = "/v1/enrich"
OPTIONS: Final = frozenset({"path", "method", "values"})
VALUES_MAX: Final = 256
"""Values of one answer; a provider that sends more is not the one that was described."""
_UNKNOWN: Final = frozenset({204, 404})
_OK: Final = 200


class HttpKind:
    """Providers that speak JSON."""

    name = "http"
    calls = True
    evidence = "own sandbox only"

    def open(self, account: EnricherAccount, gate: CallGate) -> HttpProvider:
        """Return a provider; see the port."""
        strange = sorted(set(account.options) - OPTIONS)
        if strange:
            raise InvalidInput(f"no such option: {', '.join(strange)}", reason="UNKNOWN_OPTION")
        if account.options.get("method", "post") not in {"get", "post"}:
            raise InvalidInput("method must be get or post", reason="BAD_OPTION")
        path = account.options.get("path", PATH)
        if not path.startswith("/") or "?" in path or "//" in path:
            raise InvalidInput("path must begin with one slash and have no parameters", reason="BAD_OPTION")
        reach = reach_named(account.account.base_url)
        check_url(account.account.base_url, reach)
        way = CheckedTransport(tls_settings(trust_env=False), reach)
        return HttpProvider(account, HttpCaller(account.account, gate, _limits, transport=way))


class HttpProvider:
    """One provider over HTTP."""

    def __init__(self, account: EnricherAccount, caller: HttpCaller) -> None:
        self._caller = caller
        self._key = account.account.credentials.get("api_key", "")
        self._path = account.options.get("path", PATH)
        self._gets = account.options.get("method", "post") == "get"
        self._values = account.options.get("values", "values").split(".")

    async def ask(self, object_name: ObjectName, inputs: Mapping[str, str]) -> Proposed:
        """Return what the provider knows; see the port."""
        path = self._path.replace("{object}", object_name)
        request = (
            Request("GET", path, self._path, "read", query=inputs)
            if self._gets
            else Request("POST", path, self._path, "read", body={"object": object_name, "inputs": inputs})
        )
        try:
            answer = await self._caller.send(request, token=self._key)
        except AddressRefused as error:
            raise CallFailed(VendorError(ErrorClass.AUTH, error.reason, error.message)) from error
        if answer.status in _UNKNOWN:
            return Proposed({})
        if answer.status != _OK:
            raise CallFailed(failure_of_status(answer, writes=False))
        return read_answer(required_json(answer, writes=False), self._values)

    async def aclose(self) -> None:
        """Close connections."""
        await self._caller.aclose()


def read_answer(body: Any, place: list[str]) -> Proposed:
    """Return the values of an answer's body. Raises: CallFailed SERVER when it has another form."""
    found = body
    for part in place:
        found = found.get(part) if isinstance(found, Mapping) else None
    if found is None and isinstance(body, Mapping):
        return Proposed({})
    if not isinstance(found, Mapping) or len(found) > VALUES_MAX:
        text = f"the answer has no object of at most {VALUES_MAX} values under {'.'.join(place)}"
        raise CallFailed(VendorError(ErrorClass.SERVER, "ANSWER_SHAPE", text, _OK))
    values = {str(word): _proposal(item) for word, item in found.items()}
    reference = body.get("id", "") if isinstance(body, Mapping) else ""
    return Proposed(values, str(reference)[:128])


def _proposal(item: Any) -> Proposal:
    if isinstance(item, Mapping):
        confidence = item.get("confidence", 1.0)
        known = isinstance(confidence, (int, float)) and 0 <= confidence <= 1
        return Proposal(_plain(item.get("value")), float(confidence) if known else 0.0)
    return Proposal(_plain(item))


def _plain(value: Any) -> Any:
    return value if isinstance(value, (str, int, float, bool)) else None


def _limits(headers: Mapping[str, str]) -> LimitFacts:
    return LimitFacts(retry_after_s=retry_after_s(headers))
