"""A sidecar that does what a test says, and what tests run against it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from typing import Any, AsyncIterator, Awaitable, Callable, List, Optional

import grpc
import grpc.aio

from danube_connector import Sink, Source, Stop, serve
from danube_connector._wire import common, sink, sink_grpc, source, source_grpc

LIMIT = 10.0
"""No step of a test may take longer, in seconds."""
TOPIC = "/default/t"


def scenario(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Runs a test in an event loop of its own."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(asyncio.wait_for(test(*args, **kwargs), 3 * LIMIT))

    return run


async def within(awaitable: Awaitable[Any]) -> Any:
    """Waits, but not for ever."""
    return await asyncio.wait_for(awaitable, LIMIT)


class Script:
    """One session, seen from the sidecar."""

    def __init__(self, context: Any, response: Any, first: Any) -> None:
        self._context = context
        self._response = response
        self.open = first.open
        self.metadata = dict(context.invocation_metadata())
        self.ending: asyncio.Future[Optional[tuple[Any, ...]]] = asyncio.get_running_loop().create_future()
        self._deliveries = 0
        self._probes = 0

    async def send(self, **frame: Any) -> None:
        """Sends a frame."""
        await within(self._context.write(self._response(**frame)))

    async def receive(self, kind: str) -> Any:
        """The next frame, which must be of this kind."""
        frame = await within(self._context.read())
        assert frame is not grpc.aio.EOF, f"the connector ended the stream, instead of {kind}"
        assert frame.WhichOneof("frame") == kind, frame
        return getattr(frame, kind)

    async def expect_end(self) -> None:
        """The connector sends nothing more, and has closed its side."""
        assert await within(self._context.read()) is grpc.aio.EOF

    def end(self) -> None:
        """Ends the stream."""
        self.ending.set_result(None)

    def fail(self, code: grpc.StatusCode, message: str = "", details: bytes = b"") -> None:
        """Ends the stream with an error."""
        self.ending.set_result((code, message, (("grpc-status-details-bin", details),) if details else ()))

    async def opened(self, settings_json: str = "{}", epoch: int = 1, **fields: Any) -> None:
        """Opens the session."""
        opened = {"session_id": "s", "epoch": epoch, "protocol_version": 1, "settings_json": settings_json, **fields}
        await self.send(opened=opened)

    async def batch(self, *records: Any, epoch: int = 1) -> None:
        """Sends records, numbered through the session."""
        for record in records:
            self._deliveries += 1
            record.delivery_id = record.delivery_id or self._deliveries
        await self.send(batch=sink.SinkBatch(records=records, epoch=epoch))

    async def probe(self) -> Any:
        """Asks for health, and returns the answer: also a barrier, for probes are answered at once."""
        self._probes += 1
        await self.send(probe=common.Probe(probe_id=self._probes))
        health = await self.receive("health")
        assert health.probe_id == self._probes
        return health

    async def demand(self, records: int, size: int = 1 << 30) -> None:
        """Wants records of a source."""
        await self.send(demand=source.SourceDemand(records=records, bytes=size))

    async def committed(self, number: int) -> None:
        """Says what is safe."""
        await self.send(committed=source.SourceCommitted(number=number))

    async def texts(self, first: int) -> List[str]:
        """The payloads of the next records, whose first number must be this one."""
        frame = await self.receive("records")
        assert frame.first_number == first
        return [record.payload.decode() for record in frame.records]


class ScriptedSidecar:
    """A gRPC server whose sessions are given to the test, one after the other."""

    def __init__(self, listen: str = "127.0.0.1:0") -> None:
        self._listen = listen
        self._sessions: asyncio.Queue[Script] = asyncio.Queue()
        self._server: Any = None
        self.address = ""

    async def __aenter__(self) -> ScriptedSidecar:
        self._server = grpc.aio.server()
        sink_grpc.add_SinkServiceServicer_to_server(_Servicer(self._sessions, sink.SinkServiceRunResponse), self._server)
        source_grpc.add_SourceServiceServicer_to_server(_Servicer(self._sessions, source.SourceServiceRunResponse), self._server)
        port = self._server.add_insecure_port(self._listen)
        self.address = self._listen if self._listen.startswith("unix:") else f"http://127.0.0.1:{port}"
        await self._server.start()
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self._server.stop(None)

    async def session(self) -> Script:
        """The next session, whose `open` was received."""
        script: Script = await within(self._sessions.get())
        return script

    async def open(self, **fields: Any) -> Script:
        """The next session, opened."""
        script = await self.session()
        await script.opened(**fields)
        return script


class _Servicer:
    def __init__(self, sessions: asyncio.Queue[Script], response: Any) -> None:
        self._sessions = sessions
        self._response = response

    async def Run(self, requests: Any, context: Any) -> None:
        script = Script(context, self._response, await context.read())
        self._sessions.put_nowait(script)
        failure = await script.ending
        if failure is not None:
            code, message, metadata = failure
            await context.abort(code, message, metadata)


class Running:
    """A connector that runs in this loop."""

    def __init__(self, task: asyncio.Task[None], stop: Stop) -> None:
        self.task = task
        self._stop = stop

    def stop(self) -> None:
        """Asks it to stop."""
        self._stop.request()

    async def ended(self) -> None:
        """Waits for its end; raises what it failed with."""
        await within(asyncio.shield(self.task))


@contextlib.asynccontextmanager
async def running(connector: Sink | Source, sidecar: ScriptedSidecar, **options: Any) -> AsyncIterator[Running]:
    """Runs a connector for as long as the block lasts."""
    stop = Stop()
    options = {"name": "tested", "address": sidecar.address, "stop": stop, **options}
    task = asyncio.ensure_future(serve(connector, **options))
    try:
        yield Running(task, stop)
    finally:
        task.cancel()
        await asyncio.wait({task}, timeout=LIMIT)


def record(payload: str = "x", key: Optional[str] = None, attempt: int = 1, **fields: Any) -> Any:
    """A record for a sink."""
    fields = {"topic": TOPIC, "dedup_id": f"id-{payload}", **fields}
    return sink.SinkRecord(payload=payload.encode(), key=key, attempt=attempt, **fields)


def ranges(results: Any) -> List[tuple[int, int]]:
    """What was written."""
    return [(each.first, each.last) for each in results.acked]


def failures(results: Any) -> List[tuple[int, int, str]]:
    """What was not."""
    return [(each.delivery_id, each.outcome, each.code) for each in results.failures]


RETRY, REJECT, FILTERED, BUSY = sink.OUTCOME_RETRY, sink.OUTCOME_REJECT, sink.OUTCOME_FILTERED, sink.OUTCOME_BUSY
