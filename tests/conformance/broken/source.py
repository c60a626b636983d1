"""A source with one mistake, named by its argument; without one it is right."""

import os
import queue
import sys

import grpc
from danube.connector.v1 import common_pb2, source_pb2 as pb, source_pb2_grpc

MISTAKE = sys.argv[1] if len(sys.argv) > 1 else None


def frame(number, offset):
    position = common_pb2.Position(source_partition="numbers", offset=offset)
    record = pb.SourceRecord(payload=f"record {offset}".encode(), position=position)
    return pb.SourceServiceRunRequest(records=pb.SourceRecords(first_number=number, records=[record]))


def requests(frames):
    yield pb.SourceServiceRunRequest(open=pb.SourceOpen(
        connector="broken", producers=[pb.Producer(topic="/default/conformance")]))
    yield from iter(frames.get, None)


frames = queue.SimpleQueue()
start, sent, sent_bytes = 0, 0, 0
address = os.environ["DANUBE_SIDECAR_ADDRESS"].removeprefix("http://")
with grpc.insecure_channel(address, [("grpc.default_authority", "localhost")]) as channel:
    for response in source_pb2_grpc.SourceServiceStub(channel).Run(requests(frames)):
        if response.HasField("opened") and MISTAKE != "loses-the-position":
            start = max((position.offset for position in response.opened.positions), default=0)
        if response.HasField("demand"):
            allowed = response.demand.records + (1 if MISTAKE == "ignores-the-demand" else 0)
            while sent < allowed and sent_bytes < response.demand.bytes:
                sent += 1
                request = frame(sent, start + sent)
                sent_bytes += request.records.records[0].ByteSize()
                frames.put(request)
