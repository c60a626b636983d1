"""Answers to probes, and faults."""

from __future__ import annotations

import asyncio
from typing import Any, Callable, Union

from . import _wire
from ._calls import Thread, call, text_of
from ._changes import Changes
from ._text import message
from .outcomes import Outcome
from .sink import Sink
from .source import Source

CHECK_TIMEOUT = 4.0


class HealthCheck:
    """The connector's health check, in its own thread where it is a plain function."""

    def __init__(self, connector: Union[Sink, Source], is_open: Callable[[], bool], changes: Changes) -> None:
        self._check = connector.health
        self._has_check = type(connector).health not in (Sink.health, Source.health)
        self._is_open = is_open
        self._changes = changes
        self._thread = Thread("danube-connector-health")

    async def answer(self, probe_id: int) -> Any:
        """Asks the connector, for 4 s at most."""
        trouble = await self._trouble()
        health = _wire.common.Health
        if trouble is None:
            return health(probe_id=probe_id, status=health.STATUS_HEALTHY, checked=self._has_check)
        return health(probe_id=probe_id, status=health.STATUS_UNHEALTHY, message=message(trouble), checked=True)

    def end(self) -> None:
        """No more checks follow."""
        self._thread.end()

    async def _trouble(self) -> Union[str, None]:
        if not self._has_check:
            return None
        try:
            await asyncio.wait_for(self._checked(), CHECK_TIMEOUT)
        except asyncio.TimeoutError:
            return f"the health check took longer than {CHECK_TIMEOUT:.0f} s" if self._is_open() else "the connector is not open yet"
        except Exception as error:
            return text_of(error)
        return None

    async def _checked(self) -> None:
        await self._changes.until(self._is_open)
        await call(self._thread, self._check)


def fault(error: BaseException) -> Any:
    """What the sidecar is told when the connector cannot go on."""
    code = error.code if isinstance(error, Outcome) else "EXCEPTION"
    return _wire.common.Fault(code=code, message=message(text_of(error)))
