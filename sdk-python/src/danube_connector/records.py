"""What sinks get and sources give."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Mapping, Optional

from .outcomes import InvalidPayload

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Schema:
    """A schema of Danube's registry."""

    id: int
    """The registry's id of the subject."""
    version: int
    """The version within the subject."""
    subject: str
    """The subject it is registered under."""
    type: str
    """"bytes", "string", "number", "avro", "json_schema" or "protobuf"."""
    definition: bytes
    """The schema itself, in the language of its type."""


@dataclass(frozen=True)
class Record:
    """A Danube message, offered to a sink. All fields but the payload have defaults, so that tests can make records too."""

    payload: bytes = field(repr=False)
    """The message."""
    topic: str = ""
    """As subscribed: "/default/orders"."""
    key: Optional[str] = None
    """Routing key, where the producer set one."""
    attributes: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The producer's attributes."""
    dedup_id: str = ""
    """The same at every offer of the same message, different for different ones. Make writes idempotent with it."""
    attempt: int = 1
    """1 for the first offer, counted up at each further one."""
    partition_topic: str = ""
    """The partition's own topic: "/default/orders-part-2"; the same as `topic` where there are no partitions."""
    offset: int = 0
    """Consecutive within the partition. It can repeat after a broker restart: use `dedup_id` for idempotence."""
    publish_time_ms: int = 0
    """When the producer published it, in milliseconds since the Unix epoch."""
    producer_name: str = ""
    """Who published it."""
    subscription: str = ""
    """The subscription it came from."""
    schema: Optional[Schema] = field(default=None, repr=False)
    """The schema of the payload, where it has one."""
    epoch: int = 0
    """Grows with every session of the connector: a fencing token for systems that can refuse the writes of an older one."""

    @property
    def publish_time(self) -> datetime:
        """When the producer published it, in UTC."""
        return _EPOCH + timedelta(milliseconds=self.publish_time_ms)

    def text(self) -> str:
        """The payload as UTF-8 text. Raises InvalidPayload, which rejects the record where it is not caught."""
        try:
            return self.payload.decode()
        except UnicodeDecodeError as error:
            raise InvalidPayload(f"the payload is not UTF-8 at byte {error.start}") from None

    def json(self) -> Any:
        """The payload as JSON. Raises InvalidPayload, which rejects the record where it is not caught."""
        text = self.text()
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            raise InvalidPayload(f"the payload is not JSON: {error.msg} at character {error.pos}") from None
        except (RecursionError, ValueError):  # Python's own limits.
            raise InvalidPayload("the payload is nested too deeply, or has a number of too many digits") from None


@dataclass(frozen=True)
class Position:
    """A place in the external system up to which a source has read."""

    partition: str
    """The independent sequence that `offset` counts in: a file, a table. Any name that is stable across restarts."""
    offset: int
    """Where in that sequence, 0 or more. The sidecar stores it and never computes with it."""
    metadata: Optional[str] = None
    """Whatever else is needed to resume there."""


@dataclass(frozen=True)
class SourceRecord:
    """A message to publish."""

    payload: bytes = field(repr=False)
    """The message."""
    topic: str = ""
    """One of the producers' topics. May be empty where there is only one."""
    key: Optional[str] = None
    """Routing key: chooses the partition; records of one key stay in order."""
    attributes: Mapping[str, str] = field(default_factory=dict, repr=False)
    """For the consumers. Names that begin with "x-source-" are the sidecar's."""
    position: Optional[Position] = None
    """Where this record stands in the external system. Stored once everything up to it is safe in Danube."""
