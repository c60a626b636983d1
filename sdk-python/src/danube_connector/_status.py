"""What a gRPC status of the sidecar means: its code, and the details of google.rpc."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional

import grpc
from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, duration_pb2, message_factory, text_format
from google.protobuf.message import DecodeError

_DETAILS_KEY = "grpc-status-details-bin"

# The few fields of google/rpc/{status,error_details}.proto that matter here. In a pool of their own, so that they never meet the
# complete ones of another package.
_FILE = """
name: "danube_connector/status_details.proto" package: "google.rpc" syntax: "proto3"
dependency: "google/protobuf/any.proto" dependency: "google/protobuf/duration.proto"
message_type { name: "Status" field {
  name: "details" number: 3 type: TYPE_MESSAGE label: LABEL_REPEATED type_name: ".google.protobuf.Any" } }
message_type { name: "ErrorInfo" field { name: "reason" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL } }
message_type { name: "RetryInfo" field {
  name: "retry_delay" number: 1 type: TYPE_MESSAGE label: LABEL_OPTIONAL type_name: ".google.protobuf.Duration" } }
"""


def _pool() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    for file in (any_pb2.DESCRIPTOR, duration_pb2.DESCRIPTOR):
        pool.AddSerializedFile(file.serialized_pb)
    own = text_format.Parse(_FILE, descriptor_pb2.FileDescriptorProto())
    pool.AddSerializedFile(own.SerializeToString())
    return pool


_POOL = _pool()


def message_class(name: str) -> Any:
    """The class of a message of google.rpc: Status, ErrorInfo or RetryInfo."""
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"google.rpc.{name}"))


@dataclass(frozen=True)
class Status:
    """How a stream ended."""

    code: grpc.StatusCode
    message: str
    reason: str
    """The sidecar's constant for it; the code's name where it gave none."""
    retry_after: float
    """How long the sidecar asks to wait, in seconds."""


def status_of(error: grpc.aio.AioRpcError) -> Status:
    """Reads the status that a call ended with."""
    reason = error.code().name
    retry_after = 0.0
    for detail in _details(error):
        kind = detail.type_url.rpartition("/")[2]
        if kind == "google.rpc.ErrorInfo":
            reason = message_class("ErrorInfo").FromString(detail.value).reason or reason
        elif kind == "google.rpc.RetryInfo":
            delay = message_class("RetryInfo").FromString(detail.value).retry_delay
            retry_after = max(0.0, delay.seconds + delay.nanos / 1e9)
    return Status(error.code(), error.details() or "", reason, retry_after)


def _details(error: grpc.aio.AioRpcError) -> Any:
    encoded: Optional[Any] = next((value for key, value in error.trailing_metadata() or () if key == _DETAILS_KEY), None)
    if encoded is None:
        return ()
    try:
        return message_class("Status").FromString(encoded).details
    except DecodeError:
        return ()
