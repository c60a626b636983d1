"""A sink's run: its sessions, its worker, its end."""

from __future__ import annotations

import asyncio
from typing import Any, Dict, Optional

from . import _convert
from ._calls import Thread, start
from ._changes import Changes
from ._connection import until_first
from ._health import HealthCheck, fault
from ._session import FAREWELL_TIMEOUT, SINK, Session
from ._stream import Stream
from ._worker import Worker
from .options import SinkOptions
from .records import Schema
from .sink import Sink
from .stop import Stopping


class SinkRun:
    """See the module."""

    service = SINK

    def __init__(self, sink: Sink, thread: Thread, name: str, options: SinkOptions, changes: Changes, stopping: Stopping) -> None:
        self._open_frame = _convert.sink_open(name, options)
        self._changes = changes
        self._stopping = stopping
        self._worker = Worker(sink, thread, changes)
        self._health = HealthCheck(sink, lambda: self._worker.is_open, changes)
        self._working: Optional[asyncio.Future[Any]] = None

    def open_frame(self) -> Any:
        """How the sink introduces itself."""
        return self._open_frame

    @property
    def is_open(self) -> bool:
        """Whether the sink's `open` succeeded."""
        return self._worker.is_open

    @property
    def fault(self) -> Optional[BaseException]:
        """Why the sink cannot go on."""
        return self._worker.fault

    def is_finished(self) -> bool:
        """Whether no further session is needed: what is unanswered is offered to others."""
        return self._stopping.requested or self.fault is not None

    def start(self) -> None:
        """Begins to work, in the running loop."""
        self._working = start(self._worker.run())

    async def end(self) -> None:
        """Lets the call that runs finish in the time that is left, and works no more."""
        await self._changes.until(lambda: self._worker.is_idle() or self._stopping.overdue or self.fault)
        if self._working is not None:
            self._working.cancel()
            await asyncio.wait({self._working}, timeout=FAREWELL_TIMEOUT)
        self._health.end()

    async def serve(self, session: Session) -> None:
        """Serves a session until it ends."""
        self._worker.attach(session)
        try:
            receiving = start(_SinkStream(session, self._worker, self._health, self._changes, self._stopping).receive())
            await until_first(receiving, start(self._leave(session, receiving)))
        finally:
            self._worker.detach()

    async def _leave(self, session: Session, receiving: asyncio.Future[Any]) -> None:
        """Waits until it is time to go, and goes in good order."""
        await self._changes.until(self.is_finished)
        await self._changes.until(lambda: self._worker.is_idle() or self._stopping.overdue or self.fault)
        if self.fault is not None:
            await session.send(fault=fault(self.fault))
        else:
            await session.drained()
        await session.half_close()
        await asyncio.wait({receiving}, timeout=FAREWELL_TIMEOUT)


class _SinkStream(Stream):
    """The frames of one session."""

    def __init__(self, session: Session, worker: Worker, health: HealthCheck, changes: Changes, stopping: Stopping) -> None:
        super().__init__(session, health)
        self._worker = worker
        self._changes = changes
        self._stopping = stopping
        self._schemas: Dict[_convert.SchemaKey, Schema] = {}

    def take(self, kind: str, frame: Any) -> None:
        """Takes a batch, a schema or a drain."""
        if kind == "batch":
            # At a stop nothing new is taken: the sidecar offers it again.
            if not self._stopping.requested:
                self._worker.take(_convert.deliveries(frame.batch, self._schemas.get))
        elif kind == "schema":
            key, schema = _convert.schema(frame.schema)
            self._schemas[key] = schema
        elif kind == "drain":
            self.spawn(self._drain())

    async def _drain(self) -> None:
        await self._changes.until(self._worker.is_idle)
        await self.session.drained()
