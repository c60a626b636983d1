"""The base of sources."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence

from .records import Position, SourceRecord
from .sink import MaybeAwaitable

if TYPE_CHECKING:
    from .emitter import Emitter

log = logging.getLogger("danube_connector")


class Source:
    """Reads an external system. Override `poll`, or `stream`, and what else is needed.

    Each method may be `async def`, or a plain `def` that may block: plain ones run in a thread, all in the same (except `health`
    and `stream`, which have their own). `poll`, `commit` and `rejected` are never called at the same time.
    """

    def open(self, settings: Dict[str, Any]) -> MaybeAwaitable[None]:
        """Called once, when the sidecar was reached, with the connector's settings from the operator's file. An error here
        ends `run`."""

    def restore(self, positions: Mapping[str, Position]) -> MaybeAwaitable[None]:
        """Called once, after `open` and before anything is read, with the last committed position of each source partition:
        resume behind them."""

    def poll(self) -> MaybeAwaitable[Optional[Sequence[SourceRecord]]]:
        """Returns the next records: none of them where nothing is there yet, or None when no more will ever come, which ends
        `run` once all is committed. Called only while the sidecar wants records.

        Return within a second or so: at a stop one that takes longer is cancelled, and its records are read again by the next
        run. After an exception other than `Fatal` it is called again after a backoff."""
        raise NotImplementedError

    def stream(self, emitter: Emitter) -> MaybeAwaitable[None]:
        """Reads, and hands over each record with `emitter`. When it returns, `run` ends once all is committed; when it raises,
        `run` raises that. At a stop it is cancelled after all that can be was committed."""
        raise NotImplementedError

    def commit(self, positions: List[Position]) -> MaybeAwaitable[None]:
        """These positions are safe: confirmed by Danube and stored, in the order of their records. Positions of rejected records
        are among them."""

    def rejected(self, record: SourceRecord, code: str, message: str) -> MaybeAwaitable[None]:
        """A record can never be published ("TOO_LARGE", "UNDECLARED_TOPIC", "SCHEMA_MISMATCH"). Logs a warning by default."""
        log.warning("a record for %r can never be published (%s): %s", record.topic, code, message)
        return None

    def health(self) -> MaybeAwaitable[None]:
        """Checks the external system, within 4 s. Returns when it is well, raises when it is not: the message is for the
        operator. May be called at any time after `open`."""

    def close(self) -> MaybeAwaitable[None]:
        """Called once, at the end, where `open` succeeded."""
