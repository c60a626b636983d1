"""A source's run: its sessions, its outbox, its end."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Iterable, List, Optional

from . import _convert
from ._calls import Thread, start
from ._changes import Changes
from ._connection import until_first
from ._health import HealthCheck, fault
from ._notices import Notices
from ._outbox import Entry, Outbox
from ._reader import Reader
from ._session import FAREWELL_TIMEOUT, OPENED_TIMEOUT, SOURCE, Session, SessionLost
from ._stream import Stream
from .errors import RecordRejected, RecordTooLarge, SourceStopped
from .options import SourceOptions
from .outcomes import seconds
from .source import Source
from .stop import Stopping

log = logging.getLogger("danube_connector")

POLL_INTERVAL = 0.1


class SourceRun:
    """See the module."""

    service = SOURCE

    def __init__(
        self, source: Source, thread: Thread, name: str, options: SourceOptions, changes: Changes, stopping: Stopping
    ) -> None:
        self._open_frame = _convert.source_open(name, options)
        self._changes = changes
        self._stopping = stopping
        self._outbox = Outbox()
        self._notices = Notices(source, thread, changes)
        interval = seconds("poll_interval", options.get("poll_interval", POLL_INTERVAL))
        assert interval is not None
        self._reader = Reader(source, thread, self._outbox, self._notices, changes, stopping, interval.total_seconds())
        self._health = HealthCheck(source, lambda: self._reader.is_open, changes)
        self._misfit: Optional[RecordTooLarge] = None

    def open_frame(self) -> Any:
        """How the source introduces itself."""
        return self._open_frame

    @property
    def is_open(self) -> bool:
        """Whether the source's `open` succeeded."""
        return self._reader.is_open

    @property
    def fault(self) -> Optional[BaseException]:
        """Why the source cannot go on."""
        return self._reader.fault or self._notices.fault or self._misfit

    def is_finished(self) -> bool:
        """Whether no further session is needed."""
        return self.fault is not None or self._stopping.overdue or (self._reader.is_settled() and self._outbox.is_empty())

    def start(self) -> None:
        """Begins to read, in the running loop."""
        self._notices.start()
        self._reader.start()

    async def end(self) -> None:
        """Tells who waits for a commit that none will come, and reads no more."""
        await self._notices.end(FAREWELL_TIMEOUT)
        for entry in self._outbox.clear():
            _settle(entry, SourceStopped("the source has stopped: whether the record is committed is not known"))
        await self._reader.end()
        self._health.end()

    async def serve(self, session: Session) -> None:
        """Serves a session until it ends."""
        positions = _convert.positions(await _all_positions(session))
        self._settle_all(self._outbox.reopen(session.opened.limits.max_inbound_frame_bytes, positions))
        stream = _SourceStream(session, self, self._health)
        self._reader.attach(session, positions, lambda: session.is_open and not stream.draining)
        receiving = start(stream.receive())
        await until_first(receiving, start(self._send(session, stream, receiving)))

    async def _send(self, session: Session, stream: _SourceStream, receiving: asyncio.Future[Any]) -> None:
        """Sends what demand allows, then that no more follow; waits for the end."""
        while not self._has_sent_all(stream):
            if self._outbox.can_send():
                await self._send_frame(session)
            else:
                await self._changes.until(lambda: self._outbox.can_send() or self._has_sent_all(stream))
        if self.fault is None:
            await session.drained()
        await self._changes.until(self.is_finished)
        if self.fault is not None:
            await session.send(fault=fault(self.fault))
        await session.half_close()
        await asyncio.wait({receiving}, timeout=FAREWELL_TIMEOUT)

    async def _send_frame(self, session: Session) -> None:
        try:
            frame = self._outbox.next_frame()
        except RecordTooLarge as error:
            self._misfit = error
            return
        self._changes.notify()  # Where nothing waits any more, it is time to poll.
        await session.send(records=frame)

    def _has_sent_all(self, stream: _SourceStream) -> bool:
        if self.fault is not None or self._stopping.overdue or stream.draining:
            return True
        return self._reader.is_settled() and self._outbox.is_sent()

    def allow(self, demand: Any) -> None:
        """The sidecar wants records."""
        self._outbox.allow(demand.records, demand.bytes)
        self._changes.notify()

    def drain(self) -> None:
        """The sidecar wants no more records in this session."""
        self._changes.notify()

    def commit(self, number: int) -> None:
        """Records up to this number are safe."""
        self._settle_all(self._outbox.commit(number))

    def reject(self, rejected: Any) -> None:
        """A record can never be published."""
        entry = self._outbox.entry(rejected.number)
        if entry is None:
            log.warning("record %d, which is not in flight, was rejected (%s)", rejected.number, rejected.code)
            return
        _settle(entry, RecordRejected(rejected.code, rejected.message))
        self._notices.rejected(entry.record, rejected.code, rejected.message)

    def _settle_all(self, committed: Iterable[Entry]) -> None:
        positions: List[Any] = []
        for entry in committed:
            _settle(entry, None)
            if entry.record.position is not None:
                positions.append(entry.record.position)
        self._notices.committed(positions)
        self._changes.notify()


class _SourceStream(Stream):
    """The frames of one session."""

    def __init__(self, session: Session, run: SourceRun, health: HealthCheck) -> None:
        super().__init__(session, health)
        self._run = run
        self.draining = False

    def take(self, kind: str, frame: Any) -> None:
        """Takes demand, commits, rejections or a drain."""
        if kind == "demand":
            self._run.allow(frame.demand)
        elif kind == "committed":
            self._run.commit(frame.committed.number)
        elif kind == "rejected":
            self._run.reject(frame.rejected)
        elif kind == "drain":
            self.draining = True
            self._run.drain()


async def _all_positions(session: Session) -> List[Any]:
    """Those of `opened`, and of the pages that follow it."""
    positions = list(session.opened.positions)
    more = session.opened.more_positions
    while more:
        try:
            frame = await asyncio.wait_for(session.receive(), OPENED_TIMEOUT)
        except asyncio.TimeoutError:
            raise SessionLost(f"the next positions did not come within {OPENED_TIMEOUT:.0f} s") from None
        if frame is None or frame.WhichOneof("frame") != "positions":
            raise SessionLost("the sidecar broke the protocol: positions were to follow")
        positions += frame.positions.positions
        more = frame.positions.more
    return positions


def _settle(entry: Entry, error: Optional[Exception]) -> None:
    """Tells who waits for a record, once."""
    committed = entry.committed
    if committed is None or committed.done():
        return
    if error is None:
        committed.set_result(None)
    else:
        committed.set_exception(error)
