"""gRPC as every service uses it: one server set-up, one error table, one client set-up.

Names are imported when first used: a client does not load what only servers need.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headwater.kernel.rpc.calls import CallSettings
    from headwater.kernel.rpc.client import open_channel
    from headwater.kernel.rpc.limits import ConnectionSettings, ServerSettings
    from headwater.kernel.rpc.server import RpcServer
    from headwater.kernel.rpc.status import abort_with, to_status

__all__ = [
    "CallSettings",
    "ConnectionSettings",
    "RpcServer",
    "ServerSettings",
    "abort_with",
    "open_channel",
    "to_status",
]

_MODULES = {
    "CallSettings": "calls",
    "ConnectionSettings": "limits",
    "RpcServer": "server",
    "ServerSettings": "limits",
    "abort_with": "status",
    "open_channel": "client",
    "to_status": "status",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
