"""Every method and door against every way to be no good at it: refused with the right code, and nothing reached.

Owns the cases and the running of them; `__main__` prints, `test_matrix` asserts.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ssl
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import anyio
import grpc
import httpx
from google.protobuf import descriptor_pool, message_factory
from tests.integration.security.credentials import (
    OTHER_TENANT,
    TENANT,
    Credentials,
    Signer,
    confused,
    lacking,
    unsigned,
)
from tests.integration.security.world import Ports, open_world

from headwater.kernel.rpc import open_channel
from headwater.kernel.security.authority import Wanted
from headwater.kernel.security.calling import ChannelSecurity
from headwater.kernel.security.table import DOORS, METHODS, Rule

CALL_S: Final = 10.0
LET_IN: Final = "let in"
DENIED: Final = "PERMISSION_DENIED"
UNKNOWN: Final = "UNAUTHENTICATED"
NO_LINE: Final = "UNAVAILABLE"
REACHING: Final = frozenset({"FAILED_PRECONDITION", "INVALID_ARGUMENT"})
"""Codes of a call that came through: the part behind was reached, or the request's own rules were."""
HTTP_CODES: Final = {401: UNKNOWN, 403: DENIED, 412: "FAILED_PRECONDITION", 400: "INVALID_ARGUMENT"}
DOOR: Final = "POST /v1/events"

Token = Callable[[Credentials, Rule], str]


@dataclass(frozen=True, slots=True)
class Case:
    """One way to call.

    Args:
        expected: code that every method must answer with; `LET_IN` for the control.
        token: makes the bearer token for a method; None: none is brought.
        tenant: that the request names.
        shows: makes what the connection shows, where certificates are asked for.
        doors: whether the HTTP door, where a certificate is not asked for but taken, answers alike.
    """

    name: str
    expected: str
    token: Token | None = None
    tenant: str = TENANT
    shows: Callable[[Credentials], ChannelSecurity] | None = None
    doors: bool = True


def _of_jwt(**changed: Any) -> Token:
    return lambda made, _: made.signer.sign(**changed)


def _ended(made: Credentials, _: Rule) -> str:
    return made.signer.sign(exp=made.now - dt.timedelta(days=1))


def _forged(made: Credentials, _: Rule) -> str:
    return f"hwt_{made.token()[1].token_id}_{'A' * 43}"


def _revoked(made: Credentials, _: Rule) -> str:
    text, entry = made.token()
    made.tokens.revoke(entry.token_id, made.now)
    return text


def _shown(made: Credentials, kind: str, tenant: str) -> ChannelSecurity:
    """Issue a certificate of every role, or of one whose grant takes them all away."""
    name, roles = f"{kind}-{tenant}", ("admin", "service")
    made.authority.issue(Wanted(name, roles, (tenant,)), made.now)
    if kind == "none":
        made.grant(made.authority.find(name).names[0], (), tenant)
    return made.with_certificate(made.authority, name)


def _foreign(made: Credentials) -> ChannelSecurity:
    made.foreign.issue(Wanted("guest", ("admin", "service"), (TENANT,)), made.now)
    return made.with_certificate(made.foreign, "guest")


def _stale(made: Credentials) -> ChannelSecurity:
    begun = made.now - dt.timedelta(days=365)
    made.authority.issue(Wanted("stale", ("admin", "service"), (TENANT,)), begun)
    return made.with_certificate(made.authority, "stale")


BY_TOKEN: Final = (
    Case("right token (control)", LET_IN, lambda made, _: made.token()[0]),
    Case("right JWT (control)", LET_IN, _of_jwt()),
    Case("no credential", UNKNOWN),
    Case("wrong tenant", DENIED, lambda made, _: made.token(tenants=(OTHER_TENANT,))[0]),
    Case("missing scope", DENIED, lambda made, rule: made.token(scopes=lacking(rule))[0]),
    Case("expired token", UNKNOWN, lambda made, _: made.token(days=-1)[0]),
    Case("revoked token", UNKNOWN, _revoked),
    Case("token with another secret", UNKNOWN, _forged),
    Case("unknown token", UNKNOWN, lambda _, __: f"hwt_{'0' * 12}_{'A' * 43}"),
    Case("JWT: wrong tenant", DENIED, _of_jwt(tenants=[OTHER_TENANT])),
    Case("JWT: missing scope", DENIED, lambda made, rule: made.signer.sign(scope=" ".join(lacking(rule)))),
    Case("JWT: expired", UNKNOWN, _ended),
    Case("JWT: not yet valid", UNKNOWN, lambda made, _: made.signer.sign(nbf=made.now.timestamp() + 3600)),
    Case("JWT: wrong audience", UNKNOWN, _of_jwt(aud="another")),
    Case("JWT: wrong issuer", UNKNOWN, _of_jwt(iss="https://login.evil.example")),
    Case("JWT: no expiry", UNKNOWN, _of_jwt(exp=None)),
    Case("JWT: alg none", UNKNOWN, lambda made, _: unsigned(made.signer.sign())),
    Case("JWT: public key as secret", UNKNOWN, lambda made, _: confused(made.curve.sign(), made.curve)),
    Case("JWT: unknown key", UNKNOWN, lambda _, __: Signer.make("nobody's").sign()),
    Case("JWT: forged signature", UNKNOWN, lambda _, __: Signer.make("first").sign()),
)
BY_CERTIFICATE: Final = (
    Case("right certificate (control)", LET_IN, shows=lambda made: _shown(made, "every", TENANT)),
    Case("no certificate", NO_LINE, shows=lambda made: made.trusting(), doors=False),
    Case("certificate of another CA", NO_LINE, shows=_foreign, doors=False),
    Case("in the clear", NO_LINE, shows=lambda _: ChannelSecurity(), doors=False),
    Case("certificate: wrong tenant", DENIED, shows=lambda made: _shown(made, "every", OTHER_TENANT)),
    Case("certificate: missing scope", DENIED, shows=lambda made: _shown(made, "none", TENANT)),
    Case("certificate: expired", NO_LINE, shows=_stale, doors=False),
)


@dataclass(frozen=True, slots=True)
class Result:
    """What one method answered in one case."""

    method: str
    case: Case
    code: str
    leaked: bool

    @property
    def is_right(self) -> bool:
        """Whether it is what it should be."""
        if self.case.expected == LET_IN:
            return self.code in REACHING
        return self.code == self.case.expected and not self.leaked


async def run_matrix(directory: Path) -> list[Result]:
    """Run every case against every method and door."""
    made = Credentials(directory)
    results: list[Result] = []
    prepared = [(case, _tokens(case, made)) for case in BY_TOKEN]
    async with open_world(made.settings) as ports:
        for case, tokens in prepared:
            results += await _run_case(ports, made.trusting(), case, tokens)
    shown = [(case, case.shows(made)) for case in BY_CERTIFICATE if case.shows is not None]
    async with open_world(made.settings_of_certificates | made.granting) as ports:
        for case, security in shown:
            results += await _run_case(ports, security, case, {})
    return results


def _tokens(case: Case, made: Credentials) -> dict[str, str]:
    """Return the token of each method; those with one rule share it."""
    if case.token is None:
        return {}
    by_rule: dict[frozenset[str], str] = {}
    found = {}
    for method, rule in [*guarded_methods(), (DOOR, DOORS["POST", "/v1/events"])]:
        if rule.scopes not in by_rule:
            by_rule[rule.scopes] = case.token(made, rule)
        found[method] = by_rule[rule.scopes]
    return found


def guarded_methods() -> Iterator[tuple[str, Rule]]:
    """Yield every method that asks for a credential."""
    yield from ((method, rule) for method, rule in METHODS.items() if not rule.public)


async def _run_case(
    ports: Ports, security: ChannelSecurity, case: Case, tokens: dict[str, str]
) -> list[Result]:
    results = []
    channels = {
        port: open_channel(f"127.0.0.1:{port}", retries=False, security=security)
        for port in ports.rpc.values()
    }
    try:
        for method, _ in guarded_methods():
            channel = channels[ports.port_of(method)]
            before = ports.touched.reached_count
            code = await _call(channel, method, tokens.get(method), case.tenant)
            results.append(Result(method, case, code, ports.touched.reached_count > before))
        if case.doors:
            before = ports.touched.reached_count
            code = await _post(ports.http, security, tokens.get(DOOR), case.tenant)
            results.append(Result(DOOR, case, code, ports.touched.reached_count > before))
    finally:
        for channel in channels.values():
            await channel.close()
    return results


async def _call(channel: grpc.aio.Channel, method: str, token: str | None, tenant_id: str) -> str:
    """Call a method and return the name of the code that it ends with."""
    found = descriptor_pool.Default().FindMethodByName(method.strip("/").replace("/", "."))
    request = message_factory.GetMessageClass(found.input_type)(tenant_id=tenant_id)
    metadata = [("authorization", f"Bearer {token}")] if token else []
    kind = (
        f"{'stream' if found.client_streaming else 'unary'}_{'stream' if found.server_streaming else 'unary'}"
    )
    call = getattr(channel, kind)(method, type(request).SerializeToString, bytes)
    try:
        if found.client_streaming:
            return await _converse(call(metadata=metadata, timeout=CALL_S), request)
        answer = call(request, metadata=metadata, timeout=CALL_S)
        await _drained(answer) if found.server_streaming else await answer
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"


async def _converse(call: Any, message: Any) -> str:
    """Write one message and return the code that the server ends with, which may come while it is written."""
    with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
        await call.write(message)
        await call.done_writing()
    code: grpc.StatusCode = await call.code()
    return code.name


async def _drained(answers: Any) -> None:
    async for _ in answers:
        pass


async def _post(port: int, security: ChannelSecurity, token: str | None, tenant_id: str) -> str:
    """Post an event and return the gRPC name of its status."""
    context = ssl.create_default_context(cafile=security.ca)
    if security.cert:
        context.load_cert_chain(security.cert, security.key)
    headers = {"headwater-tenant": tenant_id, "content-type": "application/json"}
    headers |= {"authorization": f"Bearer {token}"} if token else {}
    async with httpx.AsyncClient(verify=context, trust_env=False, timeout=CALL_S) as client:
        answer = await client.post(
            f"https://127.0.0.1:{port}/v1/events", headers=headers, content=b'{"events": []}'
        )
    return HTTP_CODES.get(answer.status_code, str(answer.status_code))


def faults(results: Sequence[Result]) -> list[str]:
    """Return a sentence for each answer that is wrong."""
    return [
        f"{one.method}, {one.case.name}: {one.code}{' and reached a handler' if one.leaked else ''}, "
        f"not {one.case.expected}"
        for one in results
        if not one.is_right
    ]


def main_of(directory: Path) -> list[Result]:
    """Run the matrix from a program without an event loop."""
    ask: Callable[[Path], Awaitable[list[Result]]] = run_matrix
    return anyio.run(ask, directory)
