"""Starts a sender process; people type `headwater load`."""

from __future__ import annotations

import gc
import sys

import anyio

from headwater.load.sender import serve_orders


def main() -> int:
    """Serve until stdin ends."""
    gc.freeze()
    gc.set_threshold(50_000)
    anyio.run(serve_orders, backend="asyncio", backend_options={"use_uvloop": sys.platform != "win32"})
    return 0


if __name__ == "__main__":
    sys.exit(main())
