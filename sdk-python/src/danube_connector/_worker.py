"""Hands records to a sink, one call at a time, and answers for them. It outlives sessions."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Any, Deque, List, Optional, Sequence

from ._calls import Thread, call, error_of, leave, start
from ._changes import Changes
from ._convert import Delivery
from ._lanes import HeldLanes
from ._pause import Pause
from ._results import HELD, Results, outcome_of
from ._session import Session
from ._text import message
from .outcomes import Busy, Fatal, Outcome, Retry
from .records import Record
from .sink import Sink

log = logging.getLogger("danube_connector")

LEAVE_TIMEOUT = 1.0
"""How long a hook that is cancelled may take to notice."""


class Worker:
    """A sink, and the batches that it has in hand.

    The queue is bounded by the window, which the sidecar keeps."""

    def __init__(self, sink: Sink, thread: Thread, changes: Changes) -> None:
        self._sink = sink
        self._thread = thread
        self._changes = changes
        self._singly = type(sink).process_batch is Sink.process_batch
        self._session: Optional[Session] = None
        self._batches: Deque[List[Delivery]] = deque()
        self._lanes = HeldLanes()
        self._received = 0
        self._pause = Pause()
        self._busy = False
        self.is_open = False
        """Whether the sink's `open` succeeded."""
        self.fault: Optional[BaseException] = None
        """Why the sink cannot go on."""

    def attach(self, session: Session) -> None:
        """A new session begins: nothing is in hand, whatever is still being written."""
        self._session = session
        self._batches.clear()
        self._lanes = HeldLanes()
        self._changes.notify()

    def detach(self) -> None:
        """The session is lost: drops what waits. The sidecar offers it again."""
        self._batches.clear()
        self._changes.notify()

    def take(self, batch: List[Delivery]) -> None:
        """Takes a batch in hand."""
        self._batches.append(batch)
        self._received = batch[-1][0] if batch else self._received
        self._changes.notify()

    def is_idle(self) -> bool:
        """Whether nothing is in hand, and all that was is answered."""
        return not self._busy and not self._batches

    async def run(self) -> None:
        """Works until it is cancelled, or the sink cannot go on."""
        try:
            await self._work()
        except Exception as error:
            self.fault = error
        finally:
            self._busy = False
            self._changes.notify()

    async def _work(self) -> None:
        await self._changes.until(lambda: self._session is not None)
        self._busy = True
        assert self._session is not None
        await call(self._thread, self._sink.open, self._session.settings)
        self.is_open = True
        while True:
            self._busy = False
            self._changes.notify()
            await self._changes.until(lambda: self._batches)
            self._busy = True
            batch = self._batches.popleft()
            # Of a session that is lost but not detached yet nothing more is written: it would overtake what comes again.
            if self._session.is_open:
                await (self._one_by_one if self._singly else self._at_once)(self._session, batch)

    async def _one_by_one(self, session: Session, batch: List[Delivery]) -> None:
        results = Results()
        for delivery_id, record in batch:
            outcome = self._pause.left() or self._held(delivery_id, record)
            if outcome is None:
                outcome = self._said(await self._patiently(session, results, record))
            if isinstance(outcome, Fatal):
                await _send(session, results)
                raise outcome
            if not session.is_open:
                return
            self._settle(results, delivery_id, record, outcome)
        await _send(session, results)

    async def _patiently(self, session: Session, results: Results, record: Record) -> Optional[BaseException]:
        """Has one record written, and sends meanwhile what has waited long enough."""
        writing = start(call(self._thread, self._sink.process, record))
        try:
            while True:
                await asyncio.wait({writing}, timeout=results.patience())
                if results.patience() == 0:
                    await _send(session, results)
                if writing.done():
                    return _complained(error_of(writing))
        finally:
            await leave(writing, LEAVE_TIMEOUT)

    async def _at_once(self, session: Session, batch: List[Delivery]) -> None:
        busy = self._pause.left()
        refusals = [busy or self._held(delivery_id, record) for delivery_id, record in batch]
        outcomes = iter(await self._outcomes([record for (_, record), refusal in zip(batch, refusals) if refusal is None]))
        results = Results()
        fatal: Optional[Fatal] = None
        for (delivery_id, record), refusal in zip(batch, refusals):
            outcome = refusal or self._said(next(outcomes))
            if isinstance(outcome, Fatal):
                fatal = outcome
            elif session.is_open:
                self._settle(results, delivery_id, record, outcome)
        await _send(session, results)
        if fatal is not None:
            raise fatal

    async def _outcomes(self, records: List[Record]) -> Sequence[Optional[BaseException]]:
        if not records:
            return ()
        writing = start(call(self._thread, self._sink.process_batch, list(records)))
        try:
            await asyncio.wait({writing})
        finally:
            await leave(writing, LEAVE_TIMEOUT)
        error = _complained(error_of(writing))
        if error is not None:
            return [error] * len(records)
        returned = writing.result()
        return [None] * len(records) if returned is None else _checked(returned, len(records))

    def _held(self, delivery_id: int, record: Record) -> Optional[Outcome]:
        """What is answered for a record that must not overtake another one; None: it may be written."""
        return None if self._lanes.admits(record, delivery_id) else HELD

    def _said(self, error: Optional[BaseException]) -> Optional[Outcome]:
        """What the sink says of a record; where the external system is busy, it is left alone from now on."""
        outcome = outcome_of(error)
        if isinstance(outcome, Busy):
            self._pause.begin(outcome)
        return outcome

    def _settle(self, results: Results, delivery_id: int, record: Record, outcome: Optional[Outcome]) -> None:
        if isinstance(outcome, (Retry, Busy)):
            self._lanes.hold(record, self._received)
        results.add(delivery_id, outcome)


def _checked(returned: Any, count: int) -> Sequence[Optional[BaseException]]:
    outcomes = list(returned)
    if len(outcomes) != count:
        raise Fatal(f"process_batch returned {len(outcomes)} outcomes for {count} records: expected one for each, or None")
    for outcome in outcomes:
        if outcome is not None and not isinstance(outcome, Exception):
            raise Fatal(f"process_batch returned an outcome of type {type(outcome).__name__}: expected None or an exception")
    return outcomes


def _complained(error: Optional[BaseException]) -> Optional[BaseException]:
    """Logs an exception that is no outcome: nobody meant it. Where it was raised is shown at level DEBUG."""
    if error is not None and not isinstance(error, Outcome):
        log.warning("the sink raised %s: %s", type(error).__name__, message(str(error)))
        log.debug("the sink raised it here", exc_info=error)
    return error


async def _send(session: Session, results: Results) -> None:
    for frame in results.take():
        await session.send(results=frame)
