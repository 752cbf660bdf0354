"""The child's side: a process ends when its supervisor does, however that ended.

The supervisor holds the other end of the child's stdin. Its end of file is seen on every system, while a parent's
death signal (Linux) would kill without a drain. A thread waits for it, so that a stuck event loop ends too.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from typing import Final

STDIN: Final = 0
GONE_EXIT_CODE: Final = 75

_log = logging.getLogger(__name__)


def watch_parent(on_gone: Callable[[], None], *, end_s: float, descriptor: int = STDIN) -> threading.Thread:
    """Call *on_gone* once the other end of *descriptor* is closed; end the process at once *end_s* after that.

    Args:
        on_gone: called in another thread.
    """
    watcher = threading.Thread(
        target=_watch, args=(on_gone, end_s, descriptor), name="parent-watch", daemon=True
    )
    watcher.start()
    return watcher


def _watch(on_gone: Callable[[], None], end_s: float, descriptor: int) -> None:
    while os.read(descriptor, 4096):
        pass
    _log.warning("the supervisor is gone: ending")
    on_gone()
    last = threading.Timer(end_s, os._exit, (GONE_EXIT_CODE,))
    last.daemon = True
    last.start()
