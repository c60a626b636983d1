"""Order per key, while records are on their way."""

from __future__ import annotations

from typing import Dict, Optional, Tuple

from .records import Record

MOST = 10_000
"""Lanes that are remembered. Beyond it all are forgotten, which gives up no more than the order of what is under way."""


class HeldLanes:
    """The lanes (topic and key) whose last record has to be offered again.

    The sidecar holds back what follows such a record; but what it had already sent when it heard of it must not overtake."""

    def __init__(self) -> None:
        self._held: Dict[Tuple[str, str], int] = {}
        """The last delivery that was in hand when the lane was held first."""

    def hold(self, record: Record, in_hand: int) -> None:
        """The record is to come again: hold what follows it. One without a key is followed by nothing.

        `in_hand` is the last delivery that was received."""
        lane = _lane(record)
        if lane is None:
            return
        if len(self._held) >= MOST:
            self._held.clear()
        self._held.setdefault(lane, in_hand)

    def admits(self, record: Record, delivery_id: int) -> bool:
        """Whether the record may be written. One that is offered again opens its lane: the sidecar decides what comes first.
        What had been in hand before is no such offer, whatever its attempt."""
        if not self._held:
            return True
        lane = _lane(record)
        if lane is not None and record.attempt > 1 and delivery_id > self._held.get(lane, 0):
            self._held.pop(lane, None)
        return lane not in self._held


def _lane(record: Record) -> Optional[Tuple[str, str]]:
    return None if record.key is None else (record.topic, record.key)
