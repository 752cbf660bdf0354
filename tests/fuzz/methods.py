"""The methods of a service as its descriptor tells them: path, message types, kind. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from headwater.identity.v1 import identity_pb2
from headwater.ingest.v1 import ingest_pb2
from headwater.sync.v1 import sync_pb2


@dataclass(frozen=True, slots=True)
class Method:
    """One method of a service."""

    service: str
    name: str
    path: str
    request: type[Message]
    response: type[Message]
    streaming: bool


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it goes over the wire, and what it says where it can be decoded."""

    method: Method
    wire: bytes
    message: Message | None


def methods_of(service: ServiceDescriptor) -> Mapping[str, Method]:
    """Return a service's methods by name."""
    return {
        item.name: Method(
            service=service.name,
            name=item.name,
            path=f"/{service.full_name}/{item.name}",
            request=GetMessageClass(item.input_type),
            response=GetMessageClass(item.output_type),
            streaming=item.client_streaming,
        )
        for item in service.methods
    }


def request_of(method: Method, wire: bytes) -> Request:
    """Return the request that *wire* is, decoded as the service would."""
    try:
        return Request(method, wire, method.request.FromString(wire))
    except DecodeError:
        return Request(method, wire, None)


INGEST: Final = methods_of(ingest_pb2.DESCRIPTOR.services_by_name["IngestService"])
IDENTITY: Final = methods_of(identity_pb2.DESCRIPTOR.services_by_name["IdentityService"])
SYNC: Final = methods_of(sync_pb2.DESCRIPTOR.services_by_name["SyncService"])
SERVICES: Final = {"ingest": INGEST, "identity": IDENTITY, "sync": SYNC}
