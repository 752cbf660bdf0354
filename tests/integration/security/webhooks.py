"""A thousand bad webhooks for each signature scheme, through the HTTP door of a running ingest: how many got in?

Every scheme that is installed has to have a signer here. First one genuine call is accepted, so that what follows is
refused for what is wrong with it. Then calls are forged (no secret), altered (one byte of a genuine call), replayed
(the genuine call itself, again) and stale (signed long ago, or ahead). Accepted is what became a new event.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import anyio
import httpx
from tests.integration.ingest.world import POLICY, TENANT, policy_event, quiet, settings
from tests.integration.ingest.world import client as grpc_client

from headwater.connectors.base.webhooks import scheme_names
from headwater.ingest.app import open_doors
from headwater.kernel.pg.embedded import EmbeddedPostgres
from headwater.kernel.testing.postgres import create_database, create_template

CALLS: Final = 1_000
KINDS: Final = ("forged", "altered", "replayed", "stale")
UNSIGNED: Final = frozenset({"dynamics", "pipedrive"})
"""Schemes of vendors that sign nothing: who knows the password may say anything, at any time."""
WINDOW_S: Final = 300.0
SECRET: Final = "hooks:a-secret-of-this-run"
_HOOK: Final = """\
  {name}:
    layer: record
    owner: web team
    backup: crm team
    runbook: docs/hooks
    inbound:
      contact:
        fields: {{email: email, name: full_name}}
    webhook:
      scheme: {scheme}
      options: {options}
      secrets: [env:{variable}]
      object: contact
      external_id: id
"""


@dataclass(frozen=True, slots=True)
class Call:
    """One call as it goes out."""

    target: str
    headers: Mapping[str, str]
    body: bytes


Signer = Callable[[str, bytes, str, float], Mapping[str, str]]
"""Signs a target and a body with a secret at a time."""


def _b64(secret: str, signed: bytes) -> str:
    return base64.b64encode(hmac.digest(secret.encode(), signed, hashlib.sha256)).decode()


def _standard(_target: str, body: bytes, secret: str, at_s: float) -> Mapping[str, str]:
    message_id, moment = f"msg_{hashlib.sha256(body).hexdigest()[:12]}", str(int(at_s))
    signed = f"{message_id}.{moment}.".encode() + body
    return {
        "webhook-id": message_id,
        "webhook-timestamp": moment,
        "webhook-signature": f"v1,{_b64(secret, signed)}",
    }


def _hmac(_target: str, body: bytes, secret: str, at_s: float) -> Mapping[str, str]:
    moment = str(int(at_s))
    return {"x-time": moment, "x-signature": _b64(secret, f"{moment}.".encode() + body)}


def _hubspot(target: str, body: bytes, secret: str, at_s: float) -> Mapping[str, str]:
    moment = str(int(at_s * 1000))
    signed = f"POSThttps://hooks.example.com{target}".encode() + body + moment.encode()
    return {"x-hubspot-request-timestamp": moment, "x-hubspot-signature-v3": _b64(secret, signed)}


def _basic(_target: str, _body: bytes, secret: str, _at_s: float) -> Mapping[str, str]:
    return {"authorization": f"Basic {base64.b64encode(secret.encode()).decode()}"}


def _key(_target: str, _body: bytes, secret: str, _at_s: float) -> Mapping[str, str]:
    return {"x-headwater-key": secret}


SIGNERS: Final[Mapping[str, tuple[Signer, Mapping[str, str]]]] = {
    "standard-webhooks": (_standard, {}),
    "hmac-sha256": (
        _hmac,
        {
            "header": "x-signature",
            "encoding": "base64",
            "signed": "timestamp.body",
            "timestamp_header": "x-time",
        },
    ),
    "hubspot-v3": (_hubspot, {"origin": "https://hooks.example.com"}),
    "pipedrive": (_basic, {}),
    "dynamics": (_key, {"header": "X-Headwater-Key"}),
}
"""Scheme to how it signs and the options under which it does."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of one scheme's calls.

    Args:
        accepted: bad calls of which something was recorded.
        let_in: whether the genuine call before was accepted.
    """

    scheme: str
    calls: int
    accepted: int
    let_in: bool
    answers: Mapping[str, int]

    @property
    def is_right(self) -> bool:
        """Whether the genuine call got in and no other did."""
        return self.let_in and self.accepted == 0


def tally_of(directory: Path, calls: int = CALLS) -> list[Tally]:
    """Run the calls of every scheme against a server of their own in *directory*."""
    directory.chmod(0o755)
    server = EmbeddedPostgres(directory / "pg-webhooks")
    url = server.start()
    try:
        return anyio.run(_tallies, url, calls)
    finally:
        server.stop("immediate")


async def _tallies(url: str, calls: int) -> list[Tally]:
    database = await create_database(url, await create_template(url, ("ingest",)))
    return await tallies(database, calls)


async def tallies(url: str, calls: int) -> list[Tally]:
    """Return what became of *calls* bad calls of every scheme, at an ingest on the database *url*."""
    names = {scheme: f"hook{number}" for number, scheme in enumerate(sorted({*scheme_names(), *SIGNERS}))}
    known = [scheme for scheme in names if scheme in scheme_names()]
    hooks = "".join(
        _HOOK.format(
            name=names[scheme],
            variable=names[scheme].upper(),
            scheme=scheme,
            options=json.dumps(dict(SIGNERS[scheme][1])),
        )
        for scheme in known
    )
    owners = ", ".join(["webshop", *(names[scheme] for scheme in known)])
    policy = POLICY.replace("objects:\n", hooks + "objects:\n", 1).replace(
        "owners: [webshop]", f"owners: [{owners}]"
    )
    secrets = {f"env:{names[scheme].upper()}": _secret(scheme, SECRET) for scheme in known}
    chosen = settings(url, http_address="127.0.0.1:0")
    async with open_doors(chosen, quiet(), secrets=_Known(secrets)) as ports, grpc_client(ports.port) as grpc:
        await grpc.record(policy_event(policy))
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{ports.http_port}", timeout=15.0) as http:
            return [
                await _tally(http, scheme, f"/v1/webhooks/{names[scheme]}?tenant={TENANT}", calls)
                for scheme in known
            ]


@dataclass(frozen=True, slots=True)
class _Known:
    values: Mapping[str, str]

    async def read(self, tenant_id: str, source: str, reference: str) -> str | None:  # noqa: ARG002 - the port's
        return self.values.get(reference)


async def _tally(http: httpx.AsyncClient, scheme: str, target: str, calls: int) -> Tally:
    chance = random.Random(scheme)
    now_s = time.time()
    genuine = _signed(scheme, target, _body(0), SECRET, now_s)
    first = await _send(http, genuine)
    answers: Counter[str] = Counter()
    accepted = 0
    for number in range(calls):
        kinds = kinds_of(scheme)
        kind = kinds[number % len(kinds)]
        told, taken = _read(await _send(http, _bad(kind, scheme, genuine, number, chance)))
        answers[f"{kind}: {told}"] += 1
        accepted += taken
    return Tally(scheme, calls, accepted, _read(first)[1] == 1, dict(sorted(answers.items())))


def _bad(kind: str, scheme: str, genuine: Call, number: int, chance: random.Random) -> Call:
    body, now_s = _body(number + 1), time.time()
    match kind:
        case "forged":
            return _signed(scheme, genuine.target, body, f"hooks:guess-{chance.getrandbits(64):x}", now_s)
        case "altered":
            changed = bytearray(genuine.body)
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(7)
            return replace(genuine, body=bytes(changed))
        case "stale":
            away_s = chance.uniform(WINDOW_S + 5, 30 * 86_400) * chance.choice((1, 1, -1))
            return _signed(scheme, genuine.target, body, SECRET, now_s - away_s)
        case _:
            return genuine


def _signed(scheme: str, target: str, body: bytes, secret: str, at_s: float) -> Call:
    return Call(target, SIGNERS[scheme][0](target, body, secret, at_s), body)


def kinds_of(scheme: str) -> Sequence[str]:
    """Return what a bad call of a scheme can be."""
    return ("forged", "replayed") if scheme in UNSIGNED else KINDS


def _secret(scheme: str, text: str) -> str:
    """Return a secret in the form in which a scheme's settings take it."""
    return "whsec_" + base64.b64encode(text.encode()).decode() if scheme == "standard-webhooks" else text


def _body(number: int) -> bytes:
    return json.dumps(
        {"id": f"c-{number}", "email": f"p{number}@example.com", "name": f"P {number}"}
    ).encode()


async def _send(http: httpx.AsyncClient, call: Call) -> httpx.Response:
    headers = {**call.headers, "content-type": "application/json"}
    return await http.post(call.target, content=call.body, headers=headers)


def _read(answer: httpx.Response) -> tuple[str, int]:
    """Return what an answer says, and how many new events it tells of."""
    if answer.status_code != 200:
        return str(answer.json().get("reason")), 0
    fates = [str(item["disposition"]) for item in answer.json()["outcomes"]]
    return ",".join(fates), sum(fate != "DUPLICATE" for fate in fates)
