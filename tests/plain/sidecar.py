"""A sidecar that plays a script: the test says which frames a sink is sent, and sees what it answers."""

import queue
from concurrent import futures

import grpc
from danube.connector.v1 import common_pb2, sink_pb2, sink_pb2_grpc

PATIENCE = 30  # Seconds until a test gives up on a frame. JVMs start slowly on busy machines.


class Session:
    """One stream, seen from the sidecar's side."""

    def __init__(self, requests, context):
        self.open = next(requests).open
        self._requests = requests
        self._context = context
        self._received = queue.SimpleQueue()
        self._to_send = queue.SimpleQueue()
        self._end = (grpc.StatusCode.OK, "")
        self._next_delivery = 1

    def send(self, **frame):
        self._to_send.put(sink_pb2.SinkServiceRunResponse(**frame))

    def send_opened(self, settings="{}"):
        self.send(opened=sink_pb2.SinkOpened(session_id="s-1", epoch=1, protocol_version=1, settings_json=settings))

    def offer(self, *records):
        """Sends a batch; gives the delivery ids."""
        ids = range(self._next_delivery, self._next_delivery + len(records))
        self._next_delivery += len(records)
        for delivery_id, record in zip(ids, records):
            record.delivery_id = delivery_id
        self.send(batch=sink_pb2.SinkBatch(records=records, epoch=1))
        return list(ids)

    def receive(self):
        """The sink's next frame, None when it has closed its side."""
        return self._received.get(timeout=PATIENCE)

    def results(self):
        frame = self.receive()
        assert frame is not None and frame.WhichOneof("frame") == "results", frame
        return frame.results

    def end(self, code=grpc.StatusCode.OK, message=""):
        self._end = (code, message)
        self._to_send.put(None)

    def read(self):
        try:
            for request in self._requests:
                self._received.put(request)
        except grpc.RpcError:
            pass  # The sink is gone.
        self._received.put(None)

    def frames(self):
        yield from iter(self._to_send.get, None)
        code, message = self._end
        if code is not grpc.StatusCode.OK:
            self._context.abort(code, message)


class Sidecar(sink_pb2_grpc.SinkServiceServicer):
    """Serves SinkService on one address, until `stop`."""

    def __init__(self, address):
        self._sessions = queue.SimpleQueue()
        self._pool = futures.ThreadPoolExecutor(max_workers=8)
        self._server = grpc.server(self._pool)
        sink_pb2_grpc.add_SinkServiceServicer_to_server(self, self._server)
        if address.startswith("unix:"):
            self._server.add_insecure_port(address)
            self.address = address
        else:
            self.address = f"http://127.0.0.1:{self._server.add_insecure_port(address)}"
        self._server.start()

    def Run(self, request_iterator, context):
        session = Session(request_iterator, context)
        context.add_callback(session.end)
        self._pool.submit(session.read)
        self._sessions.put(session)
        return session.frames()

    def session(self):
        """The next stream that a sink has opened."""
        return self._sessions.get(timeout=PATIENCE)

    def opened_session(self, **opened):
        session = self.session()
        session.send_opened(**opened)
        return session

    def stop(self):
        self._server.stop(grace=None).wait()
        self._pool.shutdown()


def record(name, payload=None, attempt=1, key=None):
    """A record whose identity is `name`."""
    return sink_pb2.SinkRecord(
        attempt=attempt,
        topic="/default/events",
        partition_topic="/default/events-part-0",
        payload=f'{{"name": "{name}"}}'.encode() if payload is None else payload,
        key=key,
        dedup_id=f"{name:0>32}",
    )


def acked_ids(results):
    """The ids that `results` resolves as written: a failure beats a range."""
    failed = {failure.delivery_id for failure in results.failures}
    acked = [i for reach in results.acked for i in range(reach.first, reach.last + 1)]
    return [i for i in acked if i not in failed]


DRAIN = common_pb2.Drain()
