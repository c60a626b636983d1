# A Danube sink on nothing but generated stubs: each record becomes one row of a SQLite table.
import asyncio
import json
import os
import signal
import sqlite3

import grpc
from danube.connector.v1 import common_pb2, sink_pb2 as pb, sink_pb2_grpc

# synchronous = FULL: a commit is on disk, so what is acked stays written.
SCHEMA = """PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE IF NOT EXISTS records (
    arrival INTEGER PRIMARY KEY, dedup_id TEXT NOT NULL UNIQUE, topic TEXT, partition_topic TEXT,
    offset INTEGER, key TEXT, payload TEXT, attempt INTEGER,
    CONSTRAINT json_object CHECK (CASE WHEN json_valid(payload) THEN json_type(payload) = 'object' ELSE 0 END))"""
# A record that is offered again finds its row there: no duplicates.
UPSERT = """INSERT INTO records (dedup_id, topic, partition_topic, offset, key, payload, attempt)
    VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (dedup_id) DO UPDATE SET attempt = max(attempt, excluded.attempt)"""


def row(r):
    return r.dedup_id, r.topic, r.partition_topic, r.offset, r.key if r.HasField("key") else None, r.payload.decode(), r.attempt


def failure(r, outcome, code, error):
    return pb.SinkFailure(delivery_id=r.delivery_id, outcome=outcome, code=code, message=str(error))


# Writes a batch in one transaction, and answers for each of its records.
def write(db, records):
    failures = []
    try:
        with db:
            for r in records:
                try:
                    db.execute(UPSERT, row(r))
                except (sqlite3.IntegrityError, UnicodeDecodeError) as e:  # No retry helps: dead letter.
                    failures.append(failure(r, pb.OUTCOME_REJECT, "NOT_A_JSON_OBJECT", e))
    except sqlite3.OperationalError as e:  # Locked, disk full: nothing is written, offer it again later.
        failures = [failure(r, pb.OUTCOME_RETRY, "SQLITE_UNAVAILABLE", e) for r in records]
    written = pb.DeliveryRange(first=records[0].delivery_id, last=records[-1].delivery_id)
    return pb.SinkResults(acked=[written], failures=failures)  # A failure beats the range.


async def main():
    answers = asyncio.Queue()

    async def requests():
        yield pb.SinkServiceRunRequest(open=pb.SinkOpen(
            connector=os.environ.get("CONNECTOR_NAME", "sqlite-sink"),
            subscriptions=[pb.Subscription(topic=os.environ.get("SINK_TOPIC", "/default/flights"))],
            capabilities=[common_pb2.CAPABILITY_DRAIN, common_pb2.CAPABILITY_PROBE]))
        while answer := await answers.get():
            yield answer
        yield pb.SinkServiceRunRequest(drained=common_pb2.Drained())

    for number in (signal.SIGTERM, signal.SIGINT):  # Acts between two batches, when nothing is in hand.
        asyncio.get_running_loop().add_signal_handler(number, answers.put_nowait, None)
    address = os.environ.get("DANUBE_SIDECAR_ADDRESS", "http://127.0.0.1:6670").removeprefix("http://")
    async with grpc.aio.insecure_channel(address, [("grpc.default_authority", "localhost")]) as channel:
        async for response in sink_pb2_grpc.SinkServiceStub(channel).Run(requests()):
            if response.HasField("opened"):
                settings = json.loads(response.opened.settings_json).get("sqlite", {})
                db = sqlite3.connect(settings.get("database", os.environ.get("SINK_DATABASE", "sink.db")))
                db.executescript(SCHEMA)
            elif response.HasField("batch"):
                answers.put_nowait(pb.SinkServiceRunRequest(results=write(db, response.batch.records)))
            elif response.HasField("probe"):
                health = common_pb2.Health(probe_id=response.probe.probe_id, status=common_pb2.Health.STATUS_HEALTHY)
                answers.put_nowait(pb.SinkServiceRunRequest(health=health))
            elif response.HasField("drain"):
                answers.put_nowait(None)


try:
    asyncio.run(main())
except grpc.aio.AioRpcError as e:
    raise SystemExit(f"sink: the stream to the sidecar ended: {e.code().name}: {e.details()}")
