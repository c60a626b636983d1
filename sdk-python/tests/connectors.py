"""Connectors that do what a test says."""

from __future__ import annotations

import asyncio
from typing import Any, Awaitable, Callable, Dict, List, Mapping, Optional, Sequence

from danube_connector import Emitter, Position, Record, Sink, Source, SourceRecord

from scripted import TOPIC, within


class Gate:
    """Says when it is reached, and opens when it is told to."""

    def __init__(self) -> None:
        self._reached = asyncio.Event()
        self._open = asyncio.Event()

    async def pass_through(self) -> None:
        self._reached.set()
        await self._open.wait()

    async def reached(self) -> None:
        await within(self._reached.wait())

    def open(self) -> None:
        self._open.set()


class Journal:
    """What was called, and waiting for it."""

    def __init__(self) -> None:
        self.calls: List[str] = []
        self._added = asyncio.Event()

    def note(self, call: str) -> None:
        self.calls.append(call)
        self._added.set()

    async def until(self, call: str) -> None:
        while call not in self.calls:
            self._added.clear()
            await within(self._added.wait())


class ASink(Sink):
    """What both kinds of sinks do."""

    def __init__(self) -> None:
        self.journal = Journal()
        self.settings: Dict[str, Any] = {}
        self.records: List[Record] = []
        self.gates: Dict[str, Gate] = {}
        self.raises: Dict[str, Exception] = {}
        self.active = 0
        self.most_active = 0

    async def open(self, settings: Dict[str, Any]) -> None:
        self.settings = settings
        self.journal.note("open")

    async def close(self) -> None:
        self.journal.note("close")

    async def act(self, record: Record) -> None:
        self.records.append(record)
        text = record.text()
        self.active += 1
        self.most_active = max(self.most_active, self.active)
        try:
            if text in self.gates:
                await self.gates[text].pass_through()
        finally:
            self.active -= 1
        if text in self.raises and record.attempt == 1:
            raise self.raises[text]
        self.journal.note(text)

    def gate(self, text: str) -> Gate:
        return self.gates.setdefault(text, Gate())


class Singly(ASink):
    async def process(self, record: Record) -> None:
        await self.act(record)


class Batches(ASink):
    """Returns outcomes for what `raises` names; raises what `breaks` says."""

    def __init__(self) -> None:
        super().__init__()
        self.breaks: Optional[Exception] = None

    async def process_batch(self, records: List[Record]) -> List[Optional[Exception]]:
        if self.breaks:
            raise self.breaks
        return [await self._outcome(record) for record in records]

    async def _outcome(self, record: Record) -> Optional[Exception]:
        try:
            await self.act(record)
        except Exception as error:
            return error
        return None


class ASource(Source):
    """What both kinds of sources do."""

    def __init__(self) -> None:
        self.journal = Journal()
        self.rejects: List[tuple[SourceRecord, str, str]] = []
        self.positions: Mapping[str, Position] = {}

    async def restore(self, positions: Mapping[str, Position]) -> None:
        self.positions = positions
        self.journal.note("restore")

    async def commit(self, positions: List[Position]) -> None:
        for position in positions:
            self.journal.note(f"commit {position.partition}:{position.offset}")

    async def rejected(self, record: SourceRecord, code: str, message: str) -> None:
        self.rejects.append((record, code, message))
        self.journal.note("rejected")

    async def close(self) -> None:
        self.journal.note("close")


class Polled(ASource):
    """Returns these polls, then none, or its end."""

    def __init__(self, *polls: Sequence[SourceRecord], ends: bool = False) -> None:
        super().__init__()
        self._polls = list(polls)
        self._ends = ends

    async def poll(self) -> Optional[Sequence[SourceRecord]]:
        if self._polls:
            self.journal.note("poll")
            return self._polls.pop(0)
        self.journal.note("empty poll")
        return None if self._ends else []


class Pushed(ASource):
    """Streams with the function that it is given."""

    def __init__(self, stream: Callable[[Emitter], Awaitable[None]]) -> None:
        super().__init__()
        self._stream = stream

    async def stream(self, emitter: Emitter) -> None:
        await self._stream(emitter)


def source_record(text: str, offset: Optional[int] = None, partition: str = "p") -> SourceRecord:
    position = None if offset is None else Position(partition, offset)
    return SourceRecord(text.encode(), topic=TOPIC, position=position)


def numbered(*texts: str, start: int = 1) -> List[SourceRecord]:
    """Records at consecutive offsets."""
    return [source_record(text, offset) for offset, text in enumerate(texts, start)]
