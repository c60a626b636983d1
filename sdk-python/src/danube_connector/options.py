"""What can be said to `run`. What the operator's file says wins; what is not said is the sidecar's default."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Optional, Sequence, TypedDict

from .outcomes import Seconds

if TYPE_CHECKING:
    from .stop import Stop


class SubscriptionType(enum.IntEnum):
    """Danube's subscription types."""

    EXCLUSIVE = 1
    """One consumer, in order."""
    SHARED = 2
    """Several consumers share the messages."""
    FAILOVER = 3
    """One active consumer."""
    KEY_SHARED = 4
    """Keys are spread over consumers. Refused unless the operator allows it."""


class Ordering(enum.IntEnum):
    """Which records are delivered one after the other."""

    KEY = 1
    """Those of one routing key; records without a key wait for nobody."""
    PARTITION = 2
    """Those of one partition."""
    NONE = 3
    """None."""


@dataclass(frozen=True)
class Subscription:
    """A Danube subscription."""

    topic: str
    """As "/namespace/topic". All its partitions are consumed."""
    name: str = ""
    """The subscription's name. Empty: the connector's name."""
    type: Optional[SubscriptionType] = None
    """None: EXCLUSIVE."""
    consumer_name: str = ""
    """Must be unique. Empty: the connector's name."""
    key_filters: Sequence[str] = ()
    """Glob patterns of routing keys; KEY_SHARED only."""


@dataclass(frozen=True)
class RetrySettings:
    """How failed records are offered again."""

    max_retries: Optional[int] = None
    """Failed attempts after the first one before a record counts as exhausted. None: 3."""
    initial_backoff: Optional[Seconds] = None
    """Before the first retry; doubled for each further one. None: 1 s."""
    max_backoff: Optional[Seconds] = None
    """Upper bound of the backoff. None: 30 s."""


@dataclass(frozen=True)
class Producer:
    """A Danube topic to publish to."""

    topic: str
    """As "/namespace/topic". It is created where it does not exist."""
    partitions: int = 0
    """Records are spread over them by their key. 0: a topic without partitions."""
    reliable: Optional[bool] = None
    """Whether Danube stores messages until they are acked. None: True."""
    schema_subject: str = ""
    """Subject in Danube's registry whose latest version is attached to each message. Empty: none."""


class Options(TypedDict, total=False):
    """Options of sinks and sources."""

    name: str
    """The connector's name: the sidecar's key for configuration and metrics. Default: the environment's CONNECTOR_NAME."""
    address: str
    """Where the sidecar listens: http://HOST:PORT or unix:///PATH. Default: DANUBE_SIDECAR_ADDRESS, else http://127.0.0.1:6670."""
    token: str
    """Sent as bearer token. Default: DANUBE_SIDECAR_TOKEN, else none."""
    worker_id: str
    """Tells the processes of one connector apart in logs and status. Default: given by the sidecar."""
    stop: Stop
    """Ends the run when it is requested."""
    stop_timeout: Seconds
    """How long a stop waits for what is in hand. Default: 10 s."""
    handle_signals: bool
    """Whether SIGTERM and SIGINT request a stop; a second one ends the process at once. Default: True in `run`, False in `serve`."""


class SinkOptions(Options, total=False):
    """Options of sinks."""

    subscriptions: Sequence[Subscription]
    """What to consume, unless the operator's file names subscriptions."""
    window_records: int
    """Most records that may be unresolved at this process. Default: 1000."""
    window_bytes: int
    """Most encoded bytes that may be unresolved at this process. Default: 16 MiB."""
    max_batch_records: int
    """Most records in a batch. Default: half the window, and 1000 at most."""
    max_batch_bytes: int
    """Most encoded bytes in a batch. Default: 1 MiB."""
    linger: Seconds
    """How long a batch that is not full may wait for more records. Default: 0."""
    ordering: Ordering
    """Which records wait for each other. Default: KEY."""
    retry: RetrySettings
    """How failed records are offered again."""


class SourceOptions(Options, total=False):
    """Options of sources."""

    producers: Sequence[Producer]
    """The topics to publish to, unless the operator's file names producers."""
    poll_interval: Seconds
    """Rest after an empty poll. Default: 100 ms."""
