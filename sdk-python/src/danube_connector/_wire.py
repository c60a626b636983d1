"""The generated stubs, under short names: the only place that imports them."""

from danube.connector.v1 import common_pb2 as common
from danube.connector.v1 import sink_pb2 as sink
from danube.connector.v1 import sink_pb2_grpc as sink_grpc
from danube.connector.v1 import source_pb2 as source
from danube.connector.v1 import source_pb2_grpc as source_grpc

PROTOCOL_VERSION = 1
"""The only version of the protocol that this SDK speaks."""

SDK = "danube-connector-python/0.1.0"
"""What the sidecar's logs call this SDK."""

__all__ = ["PROTOCOL_VERSION", "SDK", "common", "sink", "sink_grpc", "source", "source_grpc"]
