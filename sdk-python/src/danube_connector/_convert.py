"""Between wire messages and what connectors see."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional, Tuple

from . import _wire
from .options import Producer, RetrySettings, SinkOptions, SourceOptions, Subscription
from .outcomes import Seconds, seconds
from .records import Position, Record, Schema, SourceRecord

Delivery = Tuple[int, Record]
"""A record, and the id of its offer."""

SchemaKey = Tuple[int, int]


def sink_open(name: str, options: SinkOptions) -> Any:
    """The first frame of a sink."""
    frame = _wire.sink.SinkOpen(
        **_introduction(name, options.get("worker_id", "")),
        subscriptions=[_subscription(each) for each in options.get("subscriptions", ())],
        window_records=options.get("window_records", 0),
        window_bytes=options.get("window_bytes", 0),
        max_batch_records=options.get("max_batch_records", 0),
        max_batch_bytes=options.get("max_batch_bytes", 0),
        ordering=options.get("ordering"),
        retry=_retry(options["retry"]) if "retry" in options else None,
    )
    frame.capabilities.append(_wire.common.CAPABILITY_SCHEMA)
    _set_duration(frame, "linger", options.get("linger"))
    return frame


def source_open(name: str, options: SourceOptions) -> Any:
    """The first frame of a source."""
    frame = _wire.source.SourceOpen(
        **_introduction(name, options.get("worker_id", "")),
        producers=[_producer(each) for each in options.get("producers", ())],
    )
    frame.capabilities.append(_wire.common.CAPABILITY_POSITION_PAGES)
    return frame


def _introduction(name: str, worker_id: str) -> Dict[str, Any]:
    return {
        "connector": name,
        "worker_id": worker_id,
        "min_protocol_version": _wire.PROTOCOL_VERSION,
        "max_protocol_version": _wire.PROTOCOL_VERSION,
        "capabilities": [_wire.common.CAPABILITY_PROBE, _wire.common.CAPABILITY_DRAIN],
        "sdk": _wire.SDK,
    }


def _subscription(subscription: Subscription) -> Any:
    return _wire.sink.Subscription(
        topic=subscription.topic,
        subscription=subscription.name,
        type=subscription.type,
        consumer_name=subscription.consumer_name,
        key_filters=subscription.key_filters,
    )


def _retry(retry: RetrySettings) -> Any:
    settings = _wire.common.RetrySettings(max_retries=retry.max_retries)
    _set_duration(settings, "initial_backoff", retry.initial_backoff)
    _set_duration(settings, "max_backoff", retry.max_backoff)
    return settings


def _set_duration(message: Any, name: str, value: Optional[Seconds]) -> None:
    duration = seconds(name, value)
    if duration is not None:
        getattr(message, name).FromTimedelta(duration)


def _producer(producer: Producer) -> Any:
    return _wire.source.Producer(
        topic=producer.topic,
        partitions=producer.partitions,
        reliable=producer.reliable,
        schema_subject=producer.schema_subject,
    )


def schema(frame: Any) -> Tuple[SchemaKey, Schema]:
    """A schema, and what records refer to it by."""
    key = (frame.ref.schema_id, frame.ref.version)
    return key, Schema(*key, subject=frame.subject, type=frame.type, definition=frame.definition)


def deliveries(batch: Any, schema_of: Callable[[SchemaKey], Optional[Schema]]) -> List[Delivery]:
    """The records of a batch."""
    return [(record.delivery_id, _record(record, batch.epoch, schema_of)) for record in batch.records]


def _record(record: Any, epoch: int, schema_of: Callable[[SchemaKey], Optional[Schema]]) -> Record:
    return Record(
        payload=record.payload,
        topic=record.topic,
        key=record.key if record.HasField("key") else None,
        attributes=dict(record.attributes),
        dedup_id=record.dedup_id,
        attempt=record.attempt,
        partition_topic=record.partition_topic,
        offset=record.offset,
        publish_time_ms=record.publish_time_ms,
        producer_name=record.producer_name,
        subscription=record.subscription,
        schema=schema_of((record.schema.schema_id, record.schema.version)) if record.HasField("schema") else None,
        epoch=epoch,
    )


def source_record(record: SourceRecord) -> Any:
    """A record for the wire."""
    position = record.position
    return _wire.source.SourceRecord(
        topic=record.topic,
        payload=record.payload,
        key=record.key,
        attributes=dict(record.attributes),
        position=None
        if position is None
        else _wire.common.Position(source_partition=position.partition, offset=position.offset, metadata=position.metadata),
    )


def positions(wire: Any) -> Dict[str, Position]:
    """Where to go on, by source partition."""
    return {
        each.source_partition: Position(
            each.source_partition, each.offset, each.metadata if each.HasField("metadata") else None
        )
        for each in wire
    }
