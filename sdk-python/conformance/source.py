"""The source of the conformance kit: counts.

    CONFORMANCE_FILE=/tmp/f [CONFORMANCE_MODE=push] [CONFORMANCE_END=1] python conformance/source.py
"""

from __future__ import annotations

import asyncio
import os
from typing import Any, Dict, List, Mapping, Optional

from journal import Journal

from danube_connector import Emitter, Position, Producer, Source, SourceRecord, run

PARTITION = "numbers"


class ConformanceSource(Source):
    """What both modes do."""

    def __init__(self, journal: Journal, ends: bool) -> None:
        self._journal = journal
        self._next = 1
        self._last = 1000
        self._size = 0
        self._place: Optional[int] = None
        self.ends = ends

    async def open(self, settings: Dict[str, Any]) -> None:
        conformance = settings.get("conformance", {})
        self._last = int(conformance.get("records", 1000))
        self._size = int(conformance.get("size", 0))
        self._place = conformance.get("offset")  # Of all records, if not each has its own.

    async def restore(self, positions: Mapping[str, Position]) -> None:
        position = positions.get(PARTITION)
        offset = position.offset if position else 0
        self._next = offset + 1
        self._journal.append(f"restored {offset}")

    async def commit(self, positions: List[Position]) -> None:
        for position in positions:
            self._journal.append(f"committed {position.offset}")

    async def rejected(self, record: SourceRecord, code: str, message: str) -> None:
        assert record.position is not None
        self._journal.append(f"rejected {record.position.offset} {code}")

    async def health(self) -> None:
        self._journal.check_health()

    async def close(self) -> None:
        self._journal.append("closed")

    def read(self, most: int) -> List[SourceRecord]:
        """The next records; none when all were read."""
        numbers = range(self._next, min(self._next + most, self._last + 1))
        self._next = numbers.stop if numbers else self._next
        return [self._record(number) for number in numbers]

    def _record(self, number: int) -> SourceRecord:
        return SourceRecord(
            f"record {number}".ljust(self._size, "x").encode(),
            topic="/default/conformance",
            key=f"k{number % 4}",
            attributes={"n": str(number)},
            position=Position(PARTITION, number if self._place is None else self._place, f"m{number}"),
        )


class Polled(ConformanceSource):
    """Is asked for records."""

    async def poll(self) -> Optional[List[SourceRecord]]:
        records = self.read(10)
        return None if self.ends and not records else records


class Pushed(ConformanceSource):
    """Hands over records by itself."""

    async def stream(self, emitter: Emitter) -> None:
        while records := self.read(1):
            await emitter.emit(records[0])
        if not self.ends:
            await asyncio.Event().wait()  # Idle until the stop.


if __name__ == "__main__":
    source = Pushed if os.environ.get("CONFORMANCE_MODE") == "push" else Polled
    run(
        source(Journal.from_env(), ends=os.environ.get("CONFORMANCE_END") == "1"),
        name=os.environ.get("CONNECTOR_NAME", "conformance"),
        producers=[Producer("/default/conformance")],
    )
