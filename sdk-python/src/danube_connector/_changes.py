"""Waiting for something to hold, in one event loop."""

from __future__ import annotations

import asyncio
from typing import Callable, Optional, Set


class Changes:
    """Who changes what others may wait for calls `notify`; who waits says what for.

    No change is missed: nothing can run between a look at the predicate and the wait."""

    def __init__(self) -> None:
        self._waiters: Set[asyncio.Future[None]] = set()

    def notify(self) -> None:
        """Has everybody who waits look again. Only from the loop."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    async def until(self, predicate: Callable[[], object], timeout: Optional[float] = None) -> bool:
        """Waits until the predicate holds, or for `timeout` seconds. Tells whether it holds."""
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        while not predicate():
            left = None if deadline is None else deadline - loop.time()
            if left is not None and left <= 0:
                return False
            waiter: asyncio.Future[None] = loop.create_future()
            self._waiters.add(waiter)
            try:
                await asyncio.wait({waiter}, timeout=left)
            finally:
                self._waiters.discard(waiter)
        return True
