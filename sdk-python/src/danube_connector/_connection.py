"""A connector's session with the sidecar, again and again, until the run is over."""

from __future__ import annotations

import asyncio
from typing import Any, Optional, Protocol

from ._calls import leave, start
from ._changes import Changes
from ._reconnect import Reconnect
from ._session import FAREWELL_TIMEOUT, Service, Session, SessionLost, Sidecar


class Side(Protocol):
    """What a sink or a source does with sessions."""

    service: Service

    def open_frame(self) -> Any:
        """How it introduces itself."""

    def is_finished(self) -> bool:
        """Whether no further session is needed."""

    async def serve(self, session: Session) -> None:
        """Serves one session until it ends. Raises SessionLost or SidecarRefused where it broke."""


async def keep_connected(sidecar: Sidecar, side: Side, changes: Changes) -> None:
    """Gives the side one session after the other until it is finished. Raises SidecarRefused."""
    reconnect = Reconnect(sidecar.address)
    while not side.is_finished():
        try:
            session = await _open(sidecar, side, changes)
            if session is None:
                return
            reconnect.opened(session.opened.session_id)
            try:
                await side.serve(session)
            finally:
                await session.close()
            lost = SessionLost("the sidecar ended it")
        except SessionLost as error:
            lost = error
        if not side.is_finished():
            await changes.until(side.is_finished, timeout=reconnect.lost(lost))


async def _open(sidecar: Sidecar, side: Side, changes: Changes) -> Optional[Session]:
    """None: the side finished meanwhile."""
    opening = start(sidecar.open(side.service, side.open_frame()))
    opening.add_done_callback(lambda _: changes.notify())
    try:
        await changes.until(lambda: opening.done() or side.is_finished())
        return opening.result() if opening.done() else None
    finally:
        await leave(opening, FAREWELL_TIMEOUT)


async def until_first(*tasks: asyncio.Future[Any]) -> None:
    """Waits until one of them ends, and then leaves the others; raises what the first that failed raised."""
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task in done:
                task.result()
    finally:
        for task in tasks:
            await leave(task, FAREWELL_TIMEOUT)
