"""Records that were read and are not committed yet.

They stay here until the sidecar says that they are safe, so that a lost session costs nothing: the next one gets them again,
numbered from one. What is here is bounded by the sidecar's demand, plus one poll."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Any, Deque, Dict, List, Mapping, Optional

from . import _convert, _wire
from ._session import SessionLost
from .errors import RecordTooLarge
from .records import Position, SourceRecord

GOOD_FRAME = 1 << 20
"""A frame is closed at this size, in bytes, to keep records moving."""
FRAME_OVERHEAD = 64
RECORD_OVERHEAD = 16
DEFAULT_LIMIT = (4 << 20) - (64 << 10)
"""The frame limit of a sidecar that names none."""


@dataclass
class Entry:
    """A record in the outbox."""

    record: SourceRecord
    wire: Any
    size: int
    """Encoded, in bytes."""
    committed: Optional[asyncio.Future[None]]
    """Who waits for the commit, if anybody."""


class Outbox:
    """Numbers, demand and frames of one session; records of all."""

    def __init__(self) -> None:
        self._sent: Deque[Entry] = deque()
        self._unsent: Deque[Entry] = deque()
        self._limit = DEFAULT_LIMIT
        self._unsent_bytes = 0
        self._known: Dict[str, int] = {}
        """By source partition, the last offset that is known to be committed."""
        self._reset()

    def _reset(self) -> None:
        self._allowed_records = 0
        self._allowed_bytes = 0
        self._sent_records = 0
        self._sent_bytes = 0

    def reopen(self, limit: int, positions: Mapping[str, Position]) -> List[Entry]:
        """A new session begins: everything is sent again, but for what these positions show to be committed. Returns that."""
        entries = [*self._sent, *self._unsent]
        news = {name: place.offset for name, place in positions.items() if self._known.get(name) != place.offset}
        committed = _committed_by(entries, news)
        self._known.update((name, place.offset) for name, place in positions.items())
        done = {id(entry) for entry in committed}
        self._sent.clear()
        self._unsent = deque(entry for entry in entries if id(entry) not in done)
        self._unsent_bytes = sum(entry.size for entry in self._unsent)
        self._limit = limit or DEFAULT_LIMIT
        self._reset()
        return committed

    def add(self, record: SourceRecord, committed: Optional[asyncio.Future[None]] = None) -> None:
        """Keeps a record. Raises RecordTooLarge when no frame can carry it."""
        wire = _convert.source_record(record)
        entry = Entry(record, wire, wire.ByteSize(), committed)
        self._check(entry)
        self._unsent.append(entry)
        self._unsent_bytes += entry.size

    def _check(self, entry: Entry) -> None:
        if entry.size + FRAME_OVERHEAD + RECORD_OVERHEAD > self._limit:
            raise RecordTooLarge(entry.record.topic, entry.size, self._limit)

    def allow(self, records: int, size: int) -> None:
        """The sidecar's latest word: counts since the session opened, which only grow."""
        self._allowed_records = max(self._allowed_records, records)
        self._allowed_bytes = max(self._allowed_bytes, size)

    def _demand_is_open(self) -> bool:
        return self._sent_records < self._allowed_records and self._sent_bytes < self._allowed_bytes

    def has_room(self) -> bool:
        """Whether one more record could be sent at once, behind those that wait. The one that reaches the byte count may exceed it."""
        return (
            self._sent_records + len(self._unsent) < self._allowed_records
            and self._sent_bytes + self._unsent_bytes < self._allowed_bytes
        )

    def is_sent(self) -> bool:
        """Whether nothing waits to be sent."""
        return not self._unsent

    def is_empty(self) -> bool:
        """Whether everything is committed."""
        return not self._unsent and not self._sent

    def can_send(self) -> bool:
        """Whether records wait and demand allows one."""
        return bool(self._unsent) and self._demand_is_open()

    def next_frame(self) -> Any:
        """The next records, as many as a frame and the demand take; `can_send` must hold."""
        frame = _wire.source.SourceRecords(first_number=self._sent_records + 1)
        good = min(GOOD_FRAME, self._limit)
        size = FRAME_OVERHEAD
        while self.can_send():
            entry = self._unsent[0]
            size += entry.size + RECORD_OVERHEAD
            if frame.records and size > good:
                break
            self._check(entry)
            frame.records.append(entry.wire)
            self._spend(self._unsent.popleft())
        return frame

    def _spend(self, entry: Entry) -> None:
        self._sent.append(entry)
        self._unsent_bytes -= entry.size
        self._sent_records += 1
        self._sent_bytes += entry.size

    def commit(self, number: int) -> List[Entry]:
        """Everything up to `number` is safe: forgets and returns it. Raises SessionLost when that number was never sent."""
        if number > self._sent_records:
            raise SessionLost(f"the sidecar broke the protocol: it committed record {number}, which was not sent")
        safe = number - self._first_held() + 1
        committed = [self._sent.popleft() for _ in range(max(safe, 0))]
        places = (entry.record.position for entry in committed)
        self._known.update((place.partition, place.offset) for place in places if place is not None)
        return committed

    def entry(self, number: int) -> Optional[Entry]:
        """The record of this number, if it was sent and is not committed."""
        index = number - self._first_held()
        return self._sent[index] if 0 <= index < len(self._sent) else None

    def _first_held(self) -> int:
        return self._sent_records - len(self._sent) + 1

    def clear(self) -> List[Entry]:
        """Forgets and returns everything: the run is over."""
        entries = [*self._sent, *self._unsent]
        self._sent.clear()
        self._unsent.clear()
        return entries


def _committed_by(entries: List[Entry], offsets: Mapping[str, int]) -> List[Entry]:
    """For each source partition, the records up to the first that stands at its offset; nothing where none does."""
    last: Dict[str, int] = {}
    for index, entry in enumerate(entries):
        place = entry.record.position
        if place is not None and offsets.get(place.partition) == place.offset:
            last.setdefault(place.partition, index)
    return [
        entry
        for index, entry in enumerate(entries)
        if entry.record.position is not None and index <= last.get(entry.record.position.partition, -1)
    ]
