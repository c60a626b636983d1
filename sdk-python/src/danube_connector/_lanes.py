"""Order per key, while records are on their way."""

from __future__ import annotations

from typing import Optional, Set, Tuple

from .records import Record

MOST = 10_000
"""Lanes that are remembered. Beyond it all are forgotten, which gives up no more than the order of what is under way."""


class HeldLanes:
    """The lanes (topic and key) whose last record has to be offered again.

    The sidecar holds back what follows such a record; but what it had already sent when it heard of it must not overtake."""

    def __init__(self) -> None:
        self._held: Set[Tuple[str, str]] = set()

    def hold(self, record: Record) -> None:
        """The record is to be retried: hold what follows it. One without a key is followed by nothing."""
        lane = _lane(record)
        if lane is None:
            return
        if len(self._held) >= MOST:
            self._held.clear()
        self._held.add(lane)

    def admits(self, record: Record) -> bool:
        """Whether the record may be written. One that is offered again opens its lane: the sidecar decides what comes first."""
        if not self._held:
            return True
        lane = _lane(record)
        if lane is not None and record.attempt > 1:
            self._held.discard(lane)
        return lane not in self._held


def _lane(record: Record) -> Optional[Tuple[str, str]]:
    return None if record.key is None else (record.topic, record.key)
