"""The base of sinks."""

from __future__ import annotations

from typing import Any, Awaitable, Dict, List, Optional, Sequence, TypeVar, Union

from .records import Record

T = TypeVar("T")

MaybeAwaitable = Union[T, Awaitable[T]]
"""What a hook returns: hooks are `async def`, or plain functions, which run in a thread."""


class Sink:
    """Writes records to an external system. Override `process` or `process_batch`, and what else is needed.

    Each method may be `async def`, or a plain `def` that may block: plain ones run in a thread, all in the same (except
    `health`, which has its own), so that what is bound to a thread (a sqlite3 connection) can be used. `process` and
    `process_batch` are never called twice at the same time.
    """

    def open(self, settings: Dict[str, Any]) -> MaybeAwaitable[None]:
        """Called once, when the sidecar was reached and before any record, with the connector's settings from the operator's
        file. An error here ends `run`."""

    def process(self, record: Record) -> MaybeAwaitable[None]:
        """Writes one record, durably: when this returns, the record is done with. Raise `Retry`, `Reject`, `Filtered` or
        `Fatal` where it is not written; any other exception counts as `Retry`."""
        raise NotImplementedError

    def process_batch(self, records: List[Record]) -> MaybeAwaitable[Optional[Sequence[Optional[Exception]]]]:
        """Writes a batch, durably. Returns None when all of it is written; else one outcome for each record, in their order:
        None for written, or a `Retry`, `Reject` or `Filtered` (not raised). What it raises holds for every record of the batch.

        Records of one key are in order. Where one of them is to be retried, answer `Retry` for the later ones of its key too,
        or they overtake it."""
        raise NotImplementedError

    def health(self) -> MaybeAwaitable[None]:
        """Checks the external system, within 4 s. Returns when it is well, raises when it is not: the message is for the
        operator. May be called while records are written."""

    def close(self) -> MaybeAwaitable[None]:
        """Called once, at the end, where `open` succeeded."""
