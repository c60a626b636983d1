"""Has a source read: its polls, or its stream. It outlives sessions."""

from __future__ import annotations

import asyncio
import inspect
import logging
from typing import Any, Callable, Mapping, Optional

from ._calls import Thread, call, error_of, leave, start, text_of
from ._changes import Changes
from ._notices import Notices
from ._outbox import Outbox
from ._session import Session
from ._text import message
from .emitter import Emitter
from .errors import SourceStopped
from .outcomes import Fatal
from .records import Position
from .source import Source
from .stop import Stopping

log = logging.getLogger("danube_connector")

POLL_GRACE = 1.0
"""How long a poll may go on after a stop was requested."""
LEAVE_TIMEOUT = 5.0
"""How long a stream may take to end when it is cancelled."""
FIRST_BACKOFF = 1.0
LONGEST_BACKOFF = 30.0


class Reader:
    """See the module."""

    def __init__(
        self,
        source: Source,
        thread: Thread,
        outbox: Outbox,
        notices: Notices,
        changes: Changes,
        stopping: Stopping,
        poll_interval: float,
    ) -> None:
        self._source = source
        self._thread = thread
        self._outbox = outbox
        self._notices = notices
        self._changes = changes
        self._stopping = stopping
        self._poll_interval = poll_interval
        self._session: Optional[Session] = None
        self._positions: Mapping[str, Position] = {}
        self._streaming: Optional[asyncio.Future[Any]] = None
        self._task: Optional[asyncio.Future[Any]] = None
        self._failures = 0
        self._may_poll: Callable[[], bool] = lambda: False
        self.is_open = False
        """Whether the source's `open` succeeded."""
        self.ended = False
        """Whether nothing more will be read."""
        self.fault: Optional[BaseException] = None
        """Why the source cannot go on."""

    def attach(self, session: Session, positions: Mapping[str, Position], may_poll: Callable[[], bool]) -> None:
        """A session begins, which tells whether it takes new records. The first one says where to go on."""
        self._may_poll = may_poll
        if self._session is None:
            self._session, self._positions = session, positions
        self._changes.notify()

    def start(self) -> None:
        """Begins to read, in the running loop, once there is a session."""
        self._task = start(self._run())

    def is_settled(self) -> bool:
        """Whether no record is added any more: it ended, or it streams and its emitter takes nothing."""
        return self.ended or (self._stopping.requested and self._streaming is not None)

    async def end(self) -> None:
        """Reads no more; cancels what still runs."""
        if self._task is not None:
            await leave(self._task, LEAVE_TIMEOUT)

    async def _run(self) -> None:
        try:
            await self._read()
        except Exception as error:
            self.fault = error
        finally:
            self.ended = True
            self._changes.notify()

    async def _read(self) -> None:
        await self._changes.until(lambda: self._session is not None or self._stopping.requested)
        if self._session is None:
            return
        await call(self._thread, self._source.open, self._session.settings)
        self.is_open = True
        self._changes.notify()
        await call(self._thread, self._source.restore, self._positions)
        if type(self._source).stream is Source.stream:
            await self._poll_on()
        else:
            await self._stream()

    async def _poll_on(self) -> None:
        rest = 0.0
        while True:
            await self._changes.until(lambda: self._stopping.requested, timeout=rest)
            await self._changes.until(lambda: self._stopping.requested or self._is_due())
            if self._stopping.requested:
                return
            records = await self._poll()
            if records is None:
                return
            for record in records:
                self._outbox.add(record)
            self._changes.notify()
            rest = 0.0 if records else self._rest()

    def _is_due(self) -> bool:
        return self._may_poll() and self._outbox.is_sent() and self._outbox.has_room() and self._notices.has_room()

    async def _poll(self) -> Any:
        async with self._notices.hooks:
            polling = start(call(self._thread, self._source.poll))
            polling.add_done_callback(lambda _: self._changes.notify())
            try:
                await self._changes.until(lambda: polling.done() or self._stopping.requested)
                await asyncio.wait({polling}, timeout=POLL_GRACE)
            finally:
                stuck = not polling.done()
                await leave(polling, POLL_GRACE)
        if stuck:
            log.warning("poll() did not return within %.0f s of the stop; leaving it", POLL_GRACE)
            return None
        return self._polled(polling)

    def _polled(self, polling: asyncio.Future[Any]) -> Any:
        error = error_of(polling)
        if error is None:
            self._failures = 0
            return polling.result()
        if isinstance(error, Fatal) or not isinstance(error, Exception):
            raise error
        self._failures += 1
        log.warning("poll() raised %s: %s; it is called again", type(error).__name__, message(text_of(error)))
        log.debug("poll() raised it here", exc_info=error)
        return ()

    def _rest(self) -> float:
        if self._failures == 0:
            return self._poll_interval
        return min(FIRST_BACKOFF * 2.0 ** min(self._failures - 1, 16), LONGEST_BACKOFF)

    async def _stream(self) -> None:
        emitter = Emitter(self._outbox, self._changes, self._notices.has_room, lambda: self._stopping.requested)
        thread = Thread("danube-connector-stream")
        plain = not inspect.iscoroutinefunction(self._source.stream)
        self._streaming = start(call(thread, self._source.stream, emitter))
        self._changes.notify()
        try:
            await asyncio.wait({self._streaming})
        finally:
            if plain:  # It cannot be cancelled, but it hears of the stop from its emitter.
                await asyncio.wait({self._streaming}, timeout=POLL_GRACE)
            await leave(self._streaming, LEAVE_TIMEOUT)
            thread.end()
        error = error_of(self._streaming)
        if error is not None and not (isinstance(error, SourceStopped) and self._stopping.requested):
            raise error
