# The Python sink of the benchmark, on the plain stubs: reads of each record what the README's first sink reads, acks
# each batch, and tells how fast they came.
import json
import os
import queue
import sys
import time

import grpc
from danube.connector.v1 import sink_pb2 as pb, sink_pb2_grpc

total = int(sys.argv[1])
batch, window = int(sys.argv[2]), int(sys.argv[3])
address = os.environ["DANUBE_SIDECAR_ADDRESS"].removeprefix("http://")
answers = queue.SimpleQueue()


def requests():
    subscription = pb.Subscription(topic="/default/bench")
    yield pb.SinkServiceRunRequest(open=pb.SinkOpen(
        connector="bench", subscriptions=[subscription], max_batch_records=batch, window_records=window))
    yield from iter(answers.get, None)


seen, warm, since = 0, None, 0.0
with grpc.insecure_channel(address, [("grpc.default_authority", "localhost")]) as channel:
    for frame in sink_pb2_grpc.SinkServiceStub(channel).Run(requests()):
        if not frame.HasField("batch"):
            continue
        records = frame.batch.records
        written = pb.DeliveryRange(first=records[0].delivery_id, last=records[-1].delivery_id)
        answers.put(pb.SinkServiceRunRequest(results=pb.SinkResults(acked=[written])))
        for record in records:
            record.dedup_id, record.key, record.payload
        seen += len(records)
        if warm is None and seen >= total // 10:
            warm, since = seen, time.monotonic()
        if seen >= total:
            rate = (seen - warm) / (time.monotonic() - since)
            print(json.dumps({"rate": rate, "records": seen}), flush=True)
            break
    answers.put(None)
