"""What a sink says of a record that it did not write.

All of them are exceptions: `process` raises them, `process_batch` raises them for the whole batch or returns them for single
records. Any other exception counts as `Retry` with the code EXCEPTION. Codes are short constants in UPPER_SNAKE, for logs and
dead letters; messages are for the operator (cut at 1 KiB): put no payloads and no secrets there.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Optional, Union

Seconds = Union[int, float, timedelta]
"""A duration: a number of seconds, or a timedelta."""


class Outcome(Exception):
    """The base of `Retry`, `Busy`, `Reject`, `Filtered` and `Fatal`."""

    default_code = ""

    def __init__(self, message: str = "", *, code: Optional[str] = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code


class Retry(Outcome):
    """Not written this time: the sidecar offers it again after its backoff, and not before `after` has passed.

    The records behind it in its order (those of its key) wait for it.
    """

    default_code = "RETRY"

    def __init__(self, message: str = "", *, code: Optional[str] = None, after: Optional[Seconds] = None) -> None:
        super().__init__(message, code=code)
        self.after = seconds("after", after)


class Busy(Outcome):
    """The external system takes nothing at present, whatever the record: a rate limit (HTTP 429, 503), maintenance, a failover.

    Never an attempt of a record. Nothing more is written until `after` has passed (1 s where it is not given): what is in hand
    is handed back without a call, and the sidecar goes on with one small batch then.
    """

    default_code = "BUSY"

    def __init__(self, message: str = "", *, code: Optional[str] = None, after: Optional[Seconds] = None) -> None:
        super().__init__(message, code=code)
        self.after = seconds("after", after)


class Reject(Outcome):
    """The record can never be written: it becomes a dead letter."""

    default_code = "REJECTED"


class Filtered(Outcome):
    """Deliberately not written: done with, and counted apart."""

    default_code = "FILTERED"


class Fatal(Outcome):
    """The connector cannot go on: the sidecar is told why, and `run` raises this. Nothing is lost or dead-lettered.

    Sources may raise it from every hook too.
    """

    default_code = "FATAL"


class InvalidPayload(Reject, ValueError):
    """`Record.text()` or `Record.json()` of a payload that is none: where the sink does not catch it, the record is rejected."""

    default_code = "INVALID_PAYLOAD"


def seconds(name: str, value: Optional[Seconds]) -> Optional[timedelta]:
    """A duration as timedelta. Raises ValueError when it is negative."""
    if value is None:
        return None
    duration = value if isinstance(value, timedelta) else timedelta(seconds=value)
    if duration < timedelta():
        raise ValueError(f"{name} is {value}: expected a duration that is not negative")
    return duration
