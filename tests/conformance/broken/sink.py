"""A sink with one mistake, named by its argument; without one it is right."""

import os
import queue
import sys
import time

import grpc
from danube.connector.v1 import common_pb2, sink_pb2 as pb, sink_pb2_grpc

MISTAKE = sys.argv[1] if len(sys.argv) > 1 else None


def write(records):
    with open(os.environ["SINK_FILE"], "a") as file:
        for record in records:
            file.write(record.dedup_id + "\n")


def written(records):
    ids = pb.DeliveryRange(first=records[0].delivery_id, last=records[-1].delivery_id)
    return pb.SinkServiceRunRequest(results=pb.SinkResults(acked=[ids]))


def requests(answers):
    yield pb.SinkServiceRunRequest(open=pb.SinkOpen(
        connector="broken", window_records=100, capabilities=[common_pb2.CAPABILITY_DRAIN]))
    yield from iter(answers.get, None)


answers = queue.SimpleQueue()
kept = []
address = os.environ["DANUBE_SIDECAR_ADDRESS"].removeprefix("http://")
with grpc.insecure_channel(address, [("grpc.default_authority", "localhost")]) as channel:
    for frame in sink_pb2_grpc.SinkServiceStub(channel).Run(requests(answers)):
        if frame.HasField("batch"):
            records = list(frame.batch.records)
            if MISTAKE == "acks-before-the-write":
                answers.put(written(records))
                time.sleep(0.5)
                write(records)
                continue
            if MISTAKE == "ignores-the-window":
                kept += records
                if len(kept) <= 100:
                    continue
                records, kept = kept, []
            write(records)
            answers.put(written(records))
            if MISTAKE == "answers-twice":
                answers.put(written(records))
        elif frame.HasField("drain") and MISTAKE != "never-drains":
            answers.put(pb.SinkServiceRunRequest(drained=common_pb2.Drained()))
