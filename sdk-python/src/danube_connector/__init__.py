"""Write Danube connectors: sinks, which take records from Danube, and sources, which bring them there.

A connector is a thin client of the Danube sidecar, which owns connections, acks, retries, order, dead letters and positions:

    from danube_connector import Record, Sink, Subscription, run

    class Hello(Sink):
        async def process(self, record: Record) -> None:
            print(record.key, record.text())

    run(Hello(), name="hello", subscriptions=[Subscription("/default/hello")])
"""

from .emitter import Emitter
from .errors import (
    ConfigError,
    ConnectorError,
    RecordRejected,
    RecordTooLarge,
    SidecarRefused,
    SourceStopped,
    TakenOver,
)
from .options import (
    Ordering,
    Producer,
    RetrySettings,
    SinkOptions,
    SourceOptions,
    Subscription,
    SubscriptionType,
)
from .outcomes import Busy, Fatal, Filtered, InvalidPayload, Outcome, Reject, Retry
from .records import Position, Record, Schema, SourceRecord
from .running import run, serve
from .sink import Sink
from .source import Source
from .stop import Stop

__version__ = "0.1.0"

__all__ = [
    "Busy",
    "ConfigError",
    "ConnectorError",
    "Emitter",
    "Fatal",
    "Filtered",
    "InvalidPayload",
    "Ordering",
    "Outcome",
    "Position",
    "Producer",
    "Record",
    "RecordRejected",
    "RecordTooLarge",
    "Reject",
    "Retry",
    "RetrySettings",
    "Schema",
    "SidecarRefused",
    "Sink",
    "SinkOptions",
    "Source",
    "SourceOptions",
    "SourceRecord",
    "SourceStopped",
    "Stop",
    "Subscription",
    "SubscriptionType",
    "TakenOver",
    "run",
    "serve",
]
