import os, queue, grpc
from danube.connector.v1 import sink_pb2 as pb, sink_pb2_grpc

def requests(answers):  # What this sink says: `open` once, then an answer for each batch.
    yield pb.SinkServiceRunRequest(open=pb.SinkOpen(
        connector="hello", subscriptions=[pb.Subscription(topic="/default/hello")]))
    yield from iter(answers.get, None)

address = os.environ.get("DANUBE_SIDECAR_ADDRESS", "http://127.0.0.1:6670").removeprefix("http://")
answers = queue.SimpleQueue()
with grpc.insecure_channel(address, [("grpc.default_authority", "localhost")]) as channel:
    for frame in sink_pb2_grpc.SinkServiceStub(channel).Run(requests(answers)):
        if frame.HasField("batch"):
            records = frame.batch.records
            for record in records:  # Write them where you want them; `dedup_id` makes writes idempotent.
                print(record.dedup_id, record.key, record.payload.decode(), flush=True)
            written = pb.DeliveryRange(first=records[0].delivery_id, last=records[-1].delivery_id)
            answers.put(pb.SinkServiceRunRequest(results=pb.SinkResults(acked=[written])))
