"""Asks the service at HEADWATER_HEALTH_ADDRESS (host:port) for its gRPC health; exits 0 when it serves."""

from __future__ import annotations

import os
import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

TIMEOUT_S = 2.0


def main() -> int:
    """Return 0 when the service answers SERVING within TIMEOUT_S, otherwise 1."""
    with grpc.insecure_channel(os.environ["HEADWATER_HEALTH_ADDRESS"]) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            sys.stderr.write(f"{error}\n")
            return 1
    return 0 if answer.status == health_pb2.HealthCheckResponse.SERVING else 1


if __name__ == "__main__":
    sys.exit(main())
