"""What became of records, until it is sent."""

from __future__ import annotations

import asyncio
from typing import Any, Iterator, List, Optional

from . import _wire
from ._calls import text_of
from ._text import message
from .outcomes import Busy, Filtered, Outcome, Reject, Retry

PATIENCE = 0.05
"""An answer waits this many seconds for company at most …"""
MOST_FAILURES = 1000
"""… and no more failures than this go into one frame, which bounds its size."""

HELD = Retry("an earlier record of the same key has to be written first", code="HELD")

_OUTCOMES = (
    (Filtered, _wire.sink.OUTCOME_FILTERED),
    (Reject, _wire.sink.OUTCOME_REJECT),
    (Busy, _wire.sink.OUTCOME_BUSY),
)


def outcome_of(error: Optional[BaseException]) -> Optional[Outcome]:
    """What an exception means: itself, or `Retry` where it is an ordinary one. None: written."""
    if error is None or isinstance(error, Outcome):
        return error
    return Retry(text_of(error), code="EXCEPTION")


class Results:
    """Answers in the order of their delivery ids. Consecutive written ones become a range."""

    def __init__(self) -> None:
        self._ranges: List[Any] = []
        self._failures: List[Any] = []
        self._since: Optional[float] = None

    def add(self, delivery_id: int, outcome: Optional[Outcome]) -> None:
        """Notes what became of a record; None: written."""
        if self._since is None:
            self._since = asyncio.get_running_loop().time()
        if outcome is None:
            self._written(delivery_id)
        else:
            self._failures.append(_failure(delivery_id, outcome))

    def _written(self, delivery_id: int) -> None:
        # Never across an id that is not ours, or that failed.
        if self._ranges and self._ranges[-1].last == delivery_id - 1:
            self._ranges[-1].last = delivery_id
        else:
            self._ranges.append(_wire.sink.DeliveryRange(first=delivery_id, last=delivery_id))

    def patience(self) -> Optional[float]:
        """Seconds until what is there has to be sent; None while nothing is."""
        if self._since is None:
            return None
        if len(self._failures) >= MOST_FAILURES:
            return 0.0
        return max(0.0, self._since + PATIENCE - asyncio.get_running_loop().time())

    def take(self) -> Iterator[Any]:
        """The frames to send; then nothing is left."""
        ranges, failures = self._ranges, self._failures
        self._ranges, self._failures, self._since = [], [], None
        for first in range(0, max(len(failures), 1), MOST_FAILURES):
            some = failures[first : first + MOST_FAILURES]
            if ranges or some:
                yield _wire.sink.SinkResults(acked=ranges, failures=some)
            ranges = []


def _failure(delivery_id: int, outcome: Outcome) -> Any:
    wire = next((wire for kind, wire in _OUTCOMES if isinstance(outcome, kind)), _wire.sink.OUTCOME_RETRY)
    failure = _wire.sink.SinkFailure(
        delivery_id=delivery_id, outcome=wire, code=message(outcome.code), message=message(outcome.message)
    )
    if isinstance(outcome, (Retry, Busy)) and outcome.after is not None:
        failure.retry_after.FromTimedelta(outcome.after)
    return failure
