"""Ctrl-C and SIGTERM, noted instead of obeyed, so that work can end where it is whole.

Guarantees: the first signal is only noted; a second one raises KeyboardInterrupt at once; handlers
are put back as they were. No torch.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def noted() -> Iterator[list[int]]:
    """Collect the numbers of the signals that come inside the block."""
    received: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        if len(received) > 1:
            raise KeyboardInterrupt

    # Only the main thread may set handlers; elsewhere signals keep doing what they did.
    mine = STOP_SIGNALS if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, note) for number in mine}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
