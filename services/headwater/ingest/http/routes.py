"""The routes of the HTTP door: each reads a call, asks one use case, and writes the answer.

The tenant of `/v1/events` is in the header Headwater-Tenant, which no page in a browser can set on a foreign
site; calls that name an Origin come from pages and are refused. Senders of webhooks are given a URL and no more,
so there the tenant may be in the query: the signature is what is trusted.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from importlib.resources import files
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from headwater.connectors.base.webhooks import Delivery
from headwater.ingest.domain.cloud_event import CloudEvent
from headwater.ingest.domain.event import Disposition, Outcome
from headwater.ingest.domain.refusal import refusal_error
from headwater.ingest.http import cloud_events
from headwater.ingest.http.admitting import Doorman
from headwater.ingest.http.answers import HttpRefused, json_answer, outcomes_answer, problem_answer, status_of
from headwater.ingest.http.bodies import Bodies, BodySettings
from headwater.ingest.http.json_events import misread, read_events
from headwater.ingest.usecases.receiving import Receiver, refused_all
from headwater.ingest.usecases.recording import Recorder
from headwater.kernel.errors import HeadwaterError
from headwater.kernel.lifecycle import Shutdown
from headwater.kernel.security.access import tenant_for
from headwater.kernel.security.principal import Principal
from headwater.kernel.telemetry.context import current
from headwater.kernel.telemetry.http import HttpServerTracing
from headwater.kernel.tenancy import serve_tenant

TENANT_HEADER: Final = "headwater-tenant"
TENANT_QUERY: Final = "tenant"
EVENTS: Final = "/v1/events"
WEBHOOKS: Final = "/v1/webhooks/{source}"
ACCEPTED: Final = ("application/json", cloud_events.STRUCTURED, cloud_events.BATCHED)
RETRY_AFTER_S: Final = 1.0
"""What a caller is told while the log cannot be written."""

Handle = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """How calls are held.

    Args:
        wait_s: longest wait for the commit of a call's events.
    """

    wait_s: float = 10.0
    bodies: BodySettings = field(default_factory=BodySettings)


class HttpDoor:
    """Answers the door's routes."""

    def __init__(
        self,
        recorder: Recorder,
        receiver: Receiver,
        tracing: HttpServerTracing,
        settings: HttpSettings,
        shutdown: Shutdown,
        doorman: Doorman | None = None,
    ) -> None:
        self._recorder = recorder
        self._receiver = receiver
        self._tracing = tracing
        self._settings = settings
        self._shutdown = shutdown
        self._doorman = doorman or Doorman()
        self._bodies = Bodies(settings.bodies)
        self._is_serving = True
        self._openapi = files(__package__).joinpath("openapi.json").read_bytes()

    def set_serving(self, serving: bool) -> None:  # noqa: FBT001 - as the gRPC server's
        """Tell probes from now on whether calls can be served; calls are taken all the same."""
        self._is_serving = serving

    def application(self) -> Starlette:
        """Return the application to serve."""
        return Starlette(
            routes=[
                Route(EVENTS, self._traced(EVENTS, self.record_events), methods=["POST"]),
                Route(WEBHOOKS, self._traced(WEBHOOKS, self.receive_webhook), methods=["POST"]),
                Route("/v1/openapi.json", self.openapi, methods=["GET"]),
                Route("/healthz", self.healthz, methods=["GET"]),
                Route("/readyz", self.readyz, methods=["GET"]),
            ],
            exception_handlers={HTTPException: _no_route},
        )

    async def record_events(self, request: Request) -> Response:
        """Record one event, a list of ours, or CloudEvents in any of their three forms."""
        principal = await self._doorman.admit(request, EVENTS)
        tenant_id = _tenant_of_events(request, principal)
        serve_tenant(tenant_id)
        headers = _headers(request)
        kind = _media_type(request)
        async with self._bodies.reading(request) as body:
            if kind == cloud_events.STRUCTURED:
                return await self._cloud_events(tenant_id, [cloud_events.read_structured(body)])
            if kind == cloud_events.BATCHED:
                return await self._cloud_events(tenant_id, cloud_events.read_batched(body), many=True)
            if cloud_events.is_binary(headers):
                return await self._cloud_events(tenant_id, [cloud_events.read_binary(headers, body)])
            arrivals, many = read_events(body)
            outcomes = await self._recorder.record(
                tenant_id, arrivals, call=current(), wait_s=self._settings.wait_s
            )
        return _answer(outcomes, many=many)

    async def receive_webhook(self, request: Request) -> Response:
        """Verify and record a webhook."""
        tenant_id = _tenant_of_webhook(request)
        serve_tenant(tenant_id)
        async with self._bodies.reading(request) as body:
            target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            delivery = Delivery(request.method, target, _headers(request), body)
            outcomes = await self._receiver.receive_webhook(
                tenant_id,
                request.path_params["source"],
                delivery,
                call=current(),
                wait_s=self._settings.wait_s,
            )
        if refused_all(outcomes):
            raise refusal_error(outcomes[0])
        return outcomes_answer(outcomes)

    async def openapi(self, request: Request) -> Response:
        """Return the description of this door."""
        del request
        return Response(self._openapi, media_type="application/json")

    async def healthz(self, request: Request) -> Response:
        """Say that the process answers."""
        del request
        return json_answer({"ok": True})

    async def readyz(self, request: Request) -> Response:
        """Say whether calls should be sent here: not without the database, nor once the end was asked for."""
        del request
        if self._shutdown.requested:
            return json_answer({"ready": False, "reason": "SHUTTING_DOWN"}, HTTPStatus.SERVICE_UNAVAILABLE)
        if not self._is_serving:
            return json_answer({"ready": False, "reason": "LOG_UNAVAILABLE"}, HTTPStatus.SERVICE_UNAVAILABLE)
        return json_answer({"ready": True})

    async def _cloud_events(
        self, tenant_id: str, events: Sequence[CloudEvent], *, many: bool = False
    ) -> Response:
        outcomes = await self._receiver.receive_cloud_events(
            tenant_id, events, call=current(), wait_s=self._settings.wait_s
        )
        return _answer(outcomes, many=many)

    def _traced(self, route: str, handle: Handle) -> Handle:
        """Return the handler inside its span, its errors turned into problem details."""

        async def answer(request: Request) -> Response:
            with self._tracing.serving(request.method, route, request.url.path, _headers(request)) as call:
                try:
                    response = await handle(request)
                    call.answered(response.status_code)
                except Exception as error:  # noqa: BLE001 - the door's edge: whatever comes is told in one form
                    self._doorman.note(route, error)
                    reason = error.reason if isinstance(error, HeadwaterError) else type(error).__qualname__
                    call.answered(status_of(error), reason)
                    response = problem_answer(error, retry_after_s=RETRY_AFTER_S)
                return response

        return answer


def _answer(outcomes: Sequence[Outcome], *, many: bool) -> Response:
    if not many and outcomes[0].disposition is Disposition.REFUSED:
        raise refusal_error(outcomes[0])
    return outcomes_answer(outcomes)


def _tenant_of_events(request: Request, principal: Principal | None) -> str:
    if "origin" in request.headers:
        message = "calls from pages in a browser are not accepted"
        raise HttpRefused(HTTPStatus.FORBIDDEN, "BROWSER_ORIGIN", message, closes=True)
    named = request.headers.getlist(TENANT_HEADER)
    if principal is None:
        return _tenant(named, "header Headwater-Tenant")
    return tenant_for(principal, _tenant(named, "header Headwater-Tenant") if named else "")


def _tenant_of_webhook(request: Request) -> str:
    named = (*request.query_params.getlist(TENANT_QUERY), *request.headers.getlist(TENANT_HEADER))
    return _tenant(named, "query parameter tenant, or header Headwater-Tenant")


def _tenant(named: Sequence[str], where: str) -> str:
    if len(named) != 1:
        raise misread("tenant_id", "required", f"name the tenant once, in {where}")
    return named[0]


def _media_type(request: Request) -> str:
    """Return the media type, in lower case, of a call in any mode but binary."""
    text, _, parameters = request.headers.get("content-type", "").partition(";")
    kind = text.strip().lower()
    charset = parameters.replace('"', "").replace(" ", "").lower()
    foreign = "charset=" in charset and "charset=utf-8" not in charset
    binary = "ce-specversion" in request.headers
    if (kind in ACCEPTED or binary) and not foreign:
        return kind
    raise HttpRefused(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "MEDIA_TYPE",
        f"the body must be UTF-8 of one of {', '.join(ACCEPTED)}, or a CloudEvent in binary mode",
        headers={"Accept": ", ".join(ACCEPTED)},
        closes=True,
    )


def _headers(request: Request) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw]


async def _no_route(request: Request, error: Exception) -> Response:
    """Answer a path or a method that nobody serves."""
    del request
    if not isinstance(error, HTTPException):
        return problem_answer(error, retry_after_s=RETRY_AFTER_S)
    status = HTTPStatus(error.status_code)
    reason = {404: "NO_SUCH_PATH", 405: "METHOD_NOT_ALLOWED"}.get(status, "HTTP")
    refused = HttpRefused(status, reason, status.phrase, headers=dict(error.headers or {}), closes=True)
    return problem_answer(refused, retry_after_s=RETRY_AFTER_S)
