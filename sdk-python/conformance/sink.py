"""The sink of the conformance kit: the first word of each payload says what becomes of it.

    CONFORMANCE_FILE=/tmp/f [CONFORMANCE_MODE=single] python conformance/sink.py
"""

from __future__ import annotations

import asyncio
import os
from typing import Any, Dict, List, Optional

from journal import Journal

from danube_connector import Busy, Fatal, Filtered, Record, Reject, Retry, Sink, Subscription, run


class ConformanceSink(Sink):
    """What both modes do."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def open(self, settings: Dict[str, Any]) -> None:
        self._journal.append(f"opened {settings.get('conformance', {}).get('word', '-')}")

    async def health(self) -> None:
        self._journal.check_health()

    async def close(self) -> None:
        self._journal.append("closed")

    async def write(self, record: Record) -> None:
        """Obeys, and writes unless told otherwise."""
        words = [*record.text().split(), ""]
        await self._obey(words[0], words[1], first=record.attempt == 1)
        subject = record.schema.subject if record.schema else "-"
        self._journal.append(f"written {record.dedup_id} {record.attempt} {subject}")

    async def _obey(self, word: str, argument: str, first: bool) -> None:
        if word == "reject":
            raise Reject("told to reject", code="TOLD_TO")
        if word == "filter":
            raise Filtered("told to filter", code="TOLD_TO")
        if word == "fatal":
            raise Fatal("told to fail", code="TOLD_TO")
        if word == "retry" and first:
            raise Retry("told to retry", code="TOLD_TO")
        if word == "retry-after" and first:
            raise Retry("told to retry later", code="TOLD_TO", after=int(argument) / 1000)
        if word == "busy" and first:
            raise Busy("told to be busy", code="TOLD_TO", after=int(argument) / 1000)
        if word == "error" and first:
            raise RuntimeError("told to throw")
        if word == "slow":
            await asyncio.sleep(int(argument) / 1000)


class Single(ConformanceSink):
    """One record at a time."""

    async def process(self, record: Record) -> None:
        await self.write(record)


class Batch(ConformanceSink):
    """A batch at a time. The records behind one that is retried are written by key: they wait for it."""

    async def process_batch(self, records: List[Record]) -> List[Optional[Exception]]:
        outcomes: List[Optional[Exception]] = []
        waiting = set()
        for record in records:
            lane = (record.topic, record.key)
            outcome = Retry("an earlier record of the key is retried", code="HELD") if lane in waiting else await self._outcome(record)
            if isinstance(outcome, (Retry, Busy)) and record.key is not None:
                waiting.add(lane)
            outcomes.append(outcome)
        return outcomes

    async def _outcome(self, record: Record) -> Optional[Exception]:
        try:
            await self.write(record)
        except (Retry, Busy, Reject, Filtered) as outcome:
            return outcome
        return None


if __name__ == "__main__":
    sink = Single if os.environ.get("CONFORMANCE_MODE") == "single" else Batch
    run(
        sink(Journal.from_env()),
        name=os.environ.get("CONNECTOR_NAME", "conformance"),
        subscriptions=[Subscription("/default/conformance")],
    )
