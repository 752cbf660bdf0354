"""gRPC as every service uses it: one server set-up, one error table, one client set-up.

Names are imported when first used: a client does not load what only servers need.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headwater.kernel.rpc.client import open_channel
    from headwater.kernel.rpc.server import RpcServer, ServerSettings
    from headwater.kernel.rpc.status import StatusInterceptor, abort_with, to_status

__all__ = ["RpcServer", "ServerSettings", "StatusInterceptor", "abort_with", "open_channel", "to_status"]

_MODULES = {
    "RpcServer": "server",
    "ServerSettings": "server",
    "StatusInterceptor": "status",
    "abort_with": "status",
    "open_channel": "client",
    "to_status": "status",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
