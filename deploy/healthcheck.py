"""Asks the service at HEADWATER_HEALTH_ADDRESS (host:port) for its gRPC health; exits 0 when it serves.

Speaks TLS where HEADWATER_TLS_CA is set, with the service's own certificate (HEADWATER_TLS_CERT, HEADWATER_TLS_KEY).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

TIMEOUT_S = 2.0


def open_channel() -> grpc.Channel:
    """Return a channel to the service."""
    address = os.environ["HEADWATER_HEALTH_ADDRESS"]
    names = ("HEADWATER_TLS_CA", "HEADWATER_TLS_KEY", "HEADWATER_TLS_CERT")
    ca, key, cert = (os.environ.get(name, "").strip() for name in names)
    if not cert:
        return grpc.insecure_channel(address)
    shown = (Path(key).read_bytes(), Path(cert).read_bytes()) if ca else (None, None)
    # Without an authority of our own the certificate is believed as it is: it is the one that this service shows.
    believed = Path(ca or cert).read_bytes()
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(believed, *shown))


def main() -> int:
    """Return 0 when the service answers SERVING within TIMEOUT_S, otherwise 1."""
    with open_channel() as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            sys.stderr.write(f"{error}\n")
            return 1
    return 0 if answer.status == health_pb2.HealthCheckResponse.SERVING else 1


if __name__ == "__main__":
    sys.exit(main())
