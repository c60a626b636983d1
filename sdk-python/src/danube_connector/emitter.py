"""How a source that is pushed to hands over its records."""

from __future__ import annotations

import asyncio
import concurrent.futures
from typing import Callable, Optional

from ._changes import Changes
from ._outbox import Outbox
from .errors import SourceStopped
from .records import SourceRecord


class Emitter:
    """Takes records of `Source.stream`, as many as the sidecar wants.

    What it returns is done when the record is committed, or fails with `RecordRejected` or `SourceStopped`; to wait for it is
    optional. It survives lost sessions."""

    def __init__(self, outbox: Outbox, changes: Changes, accepts: Callable[[], bool], is_stopping: Callable[[], bool]) -> None:
        self._outbox = outbox
        self._changes = changes
        self._accepts = accepts
        self._is_stopping = is_stopping
        self._turn = asyncio.Lock()
        self._loop = asyncio.get_running_loop()

    async def emit(self, record: SourceRecord) -> asyncio.Future[None]:
        """Waits until there is room, takes the record, and returns a future of its commit: `await (await emitter.emit(record))`.

        Raises SourceStopped when the source stops before it is taken, and RecordTooLarge when no frame can carry it."""
        async with self._turn:
            await self._changes.until(lambda: self._is_stopping() or self._has_room())
            return self._take(record)

    def try_emit(self, record: SourceRecord) -> Optional[asyncio.Future[None]]:
        """Like `emit`, but returns None at once when there is no room (an HTTP source answers 429 then)."""
        if not self._is_stopping() and (self._turn.locked() or not self._has_room()):
            return None
        return self._take(record)

    def emit_from_thread(self, record: SourceRecord, timeout: Optional[float] = None) -> concurrent.futures.Future[None]:
        """`emit` for other threads, as a plain `stream` is one: blocks until there is room.

        Raises also TimeoutError after `timeout` seconds, in which case the record was not taken."""
        try:
            return asyncio.run_coroutine_threadsafe(self._hand_over(record, timeout), self._loop).result()
        except (RuntimeError, concurrent.futures.CancelledError):  # The loop is closed, or about to be.
            raise SourceStopped("the source has stopped") from None

    @property
    def stopping(self) -> bool:
        """Whether the source stops: nothing is taken any more."""
        return self._is_stopping()

    async def _hand_over(self, record: SourceRecord, timeout: Optional[float]) -> concurrent.futures.Future[None]:
        try:
            committed = await asyncio.wait_for(self.emit(record), timeout)
        except asyncio.TimeoutError:
            raise TimeoutError(f"there was no room for the record within {timeout} s") from None
        mirror: concurrent.futures.Future[None] = concurrent.futures.Future()
        committed.add_done_callback(lambda done: _copy(done, mirror))
        return mirror

    def _has_room(self) -> bool:
        return self._accepts() and self._outbox.has_room()

    def _take(self, record: SourceRecord) -> asyncio.Future[None]:
        if self._is_stopping():
            raise SourceStopped("the source stops: the record was not taken")
        committed: asyncio.Future[None] = self._loop.create_future()
        # Nobody has to wait for it: its failure is looked at here.
        committed.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._outbox.add(record, committed)
        self._changes.notify()
        return committed


def _copy(done: asyncio.Future[None], mirror: concurrent.futures.Future[None]) -> None:
    if mirror.cancelled():
        return
    error = SourceStopped("the source has stopped") if done.cancelled() else done.exception()
    if error is not None:
        mirror.set_exception(error)
    else:
        mirror.set_result(None)
