"""The frames that come in one session: what is alike for sinks and sources."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import Any, Awaitable, Set

from ._calls import start
from ._health import HealthCheck
from ._session import Session, SessionLost

MOST_PROBES = 16
"""Probes that are answered at the same time; the sidecar sends one now and then."""


class Stream(ABC):
    """Receives frames, and answers probes by itself. Frames and fields that are not known are ignored."""

    def __init__(self, session: Session, health: HealthCheck) -> None:
        self.session = session
        self._health = health
        self._tasks: Set[asyncio.Future[Any]] = set()

    @abstractmethod
    def take(self, kind: str, frame: Any) -> None:
        """Takes a frame. Must not wait: probes are behind it."""

    async def receive(self) -> None:
        """Takes frames until the sidecar ends the stream. Raises SessionLost or SidecarRefused."""
        try:
            while (frame := await self.session.receive()) is not None:
                self._sort(frame)
        finally:
            self.session.is_open = False
            for task in self._tasks:
                task.cancel()

    def spawn(self, work: Awaitable[Any]) -> None:
        """Does something that waits, for as long as the stream lasts."""
        task = start(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _sort(self, frame: Any) -> None:
        kind = frame.WhichOneof("frame")
        if kind == "opened":
            raise SessionLost("the sidecar broke the protocol: it sent `opened` twice")
        if kind == "probe":
            if len(self._tasks) < MOST_PROBES:
                self.spawn(self._answer(frame.probe.probe_id))
        elif kind is not None:
            self.take(kind, frame)

    async def _answer(self, probe_id: int) -> None:
        await self.session.send(health=await self._health.answer(probe_id))
