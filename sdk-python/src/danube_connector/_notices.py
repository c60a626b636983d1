"""Tells a source what became of its records: commits and rejections, in order."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Any, Callable, Deque, List, Optional, Tuple

from ._calls import Thread, call, leave, start, text_of
from ._changes import Changes
from ._text import message
from .outcomes import Fatal
from .records import Position, SourceRecord
from .source import Source

log = logging.getLogger("danube_connector")

MOST = 10_000
"""Nothing new is read while the source has not yet heard of this many notices."""


class Notices:
    """A queue to the source's `commit` and `rejected`. Bounded by what is in flight, and by `has_room`."""

    def __init__(self, source: Source, thread: Thread, changes: Changes) -> None:
        self._source = source
        self._thread = thread
        self._changes = changes
        self._waiting: Deque[Tuple[Callable[..., Any], Tuple[Any, ...]]] = deque()
        self._busy = False
        self._task: Optional[asyncio.Future[Any]] = None
        self.hooks = asyncio.Lock()
        """Held while `poll`, `commit` or `rejected` runs."""
        self.fault: Optional[BaseException] = None
        """Why the source cannot go on."""

    def committed(self, positions: List[Position]) -> None:
        """These positions are safe."""
        if positions:
            self._add(self._source.commit, positions)

    def rejected(self, record: SourceRecord, code: str, text: str) -> None:
        """This record can never be published."""
        self._add(self._source.rejected, record, code, text)

    def _add(self, hook: Callable[..., Any], *args: Any) -> None:
        self._waiting.append((hook, args))
        self._changes.notify()

    def has_room(self) -> bool:
        """Whether the source keeps up."""
        return len(self._waiting) < MOST

    def is_idle(self) -> bool:
        """Whether the source has heard of everything."""
        return not self._waiting and not self._busy

    def start(self) -> None:
        """Begins to tell, in the running loop."""
        self._task = start(self._run())

    async def end(self, timeout: float) -> None:
        """Tells what is left, for a limited time."""
        await self._changes.until(lambda: self.is_idle() or self.fault is not None, timeout=timeout)
        if self._task is not None:
            await leave(self._task, timeout)

    async def _run(self) -> None:
        while self.fault is None:
            await self._changes.until(lambda: self._waiting)
            self._busy = True
            hook, args = self._waiting.popleft()
            try:
                async with self.hooks:
                    await call(self._thread, hook, *args)
            except Fatal as error:
                self.fault = error
            except Exception as error:
                name = getattr(hook, "__name__", "hook")
                log.warning("%s() raised %s: %s", name, type(error).__name__, message(text_of(error)))
                log.debug("%s() raised it here", name, exc_info=error)
            finally:
                self._busy = False
                self._changes.notify()
