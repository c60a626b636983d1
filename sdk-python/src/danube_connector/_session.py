"""One session with the sidecar: a gRPC stream, from `opened` to its end."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any, Awaitable, Dict, FrozenSet, List, Optional, Tuple

import grpc
import grpc.aio

from . import _wire
from ._address import grpc_target
from ._calls import error_of, start
from ._status import status_of
from .errors import ConfigError, SidecarRefused, TakenOver

CONNECT_TIMEOUT = 5.0
OPENED_TIMEOUT = 60.0
FAREWELL_TIMEOUT = 5.0
"""How long the sidecar may take to end a stream that the connector is done with."""

_REFUSALS = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
    }
)
_STREAM_ERRORS = (grpc.aio.AioRpcError, grpc.aio.BaseError, asyncio.InvalidStateError)
"""What gRPC raises when something is done with a stream that has ended."""
_CHANNEL_OPTIONS = (
    ("grpc.default_authority", "localhost"),
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    # Without it, a new channel waits for the backoff of the one before.
    ("grpc.use_local_subchannel_pool", 1),
)


class SessionLost(Exception):
    """There is no session, and trying again may help."""

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unreachable(SessionLost):
    """Nobody answers at the address."""


@dataclass(frozen=True)
class Service:
    """What differs between the two protocols."""

    stub: Any
    request: Any
    """The type of the frames that go to the sidecar."""
    taken_over: FrozenSet[grpc.StatusCode]
    """Codes that say that another process is there now."""


SINK = Service(_wire.sink_grpc.SinkServiceStub, _wire.sink.SinkServiceRunRequest, frozenset())
SOURCE = Service(
    _wire.source_grpc.SourceServiceStub, _wire.source.SourceServiceRunRequest, frozenset({grpc.StatusCode.ABORTED})
)


@dataclass(frozen=True)
class Sidecar:
    """Where the sidecar is, and how it is greeted."""

    address: str
    token: Optional[str] = field(default=None, repr=False)

    def __post_init__(self) -> None:
        grpc_target(self.address)
        if self.token and not (self.token.isascii() and self.token.isprintable()):
            raise ConfigError("the token (DANUBE_SIDECAR_TOKEN) has characters that no header may have: expected printable ASCII")

    async def open(self, service: Service, frame: Any) -> Session:
        """Connects, and opens a session with this `open` frame. Raises SessionLost or SidecarRefused."""
        channel = grpc.aio.insecure_channel(grpc_target(self.address), options=_CHANNEL_OPTIONS)
        try:
            await self._connect(channel)
            call = service.stub(channel).Run(metadata=self._metadata())
            session = Session(service, channel, call)
            await session.open(frame)
            return session
        except BaseException:
            await channel.close()
            raise

    async def _connect(self, channel: grpc.aio.Channel) -> None:
        try:
            await asyncio.wait_for(_ready(channel), CONNECT_TIMEOUT)
        except (asyncio.TimeoutError, ConnectionError):
            raise Unreachable(f"no sidecar answers at {self.address}") from None

    def _metadata(self) -> List[Tuple[str, str]]:
        return [("authorization", f"Bearer {self.token}")] if self.token else []


async def _ready(channel: grpc.aio.Channel) -> None:
    while (state := channel.get_state(try_to_connect=True)) is not grpc.ChannelConnectivity.READY:
        if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
            raise ConnectionError
        await channel.wait_for_state_change(state)


class Session:
    """A stream. One task receives; any may send."""

    def __init__(self, service: Service, channel: grpc.aio.Channel, call: Any) -> None:
        self._service = service
        self._channel = channel
        self._call = call
        self._writing = asyncio.Lock()
        self.opened: Any = None
        self.is_open = True
        """Whether what is sent may still arrive."""
        self._said_drained = False

    @property
    def settings(self) -> Dict[str, Any]:
        """The connector's own settings, from the operator's file."""
        settings: Dict[str, Any] = json.loads(self.opened.settings_json or "{}")
        return settings

    async def open(self, frame: Any) -> None:
        """Greets, and waits for `opened`."""
        await self.send(open=frame)
        try:
            first = await asyncio.wait_for(self.receive(), OPENED_TIMEOUT)
        except asyncio.TimeoutError:
            raise SessionLost(f"the sidecar did not open the session within {OPENED_TIMEOUT:.0f} s") from None
        if first is None:
            raise SessionLost("the sidecar ended the session before it opened it")
        if first.WhichOneof("frame") != "opened":
            raise SessionLost("the sidecar broke the protocol: its first frame is not `opened`")
        self.opened = first.opened
        self._check_settings()

    def _check_settings(self) -> None:
        try:
            settings = self.settings
        except ValueError:
            settings = None
        if not isinstance(settings, dict):
            raise SessionLost("the sidecar broke the protocol: its settings are no JSON object")

    async def send(self, **frame: Any) -> None:
        """Sends a frame. On a stream that is lost nothing happens: `receive` says so.

        To cancel this is to cancel the stream."""
        async with self._writing:
            if self.is_open:
                await self._carry_out(self._call.write(self._service.request(**frame)))

    async def drained(self) -> None:
        """Says, once, that nothing is in hand and nothing more will come."""
        if not self._said_drained:
            self._said_drained = True
            await self.send(drained=_wire.common.Drained())

    async def receive(self) -> Any:
        """The next frame, or None when the sidecar ended the stream. Raises SessionLost or SidecarRefused.

        To cancel this is to cancel the stream."""
        try:
            frame = await self._call.read()
        except grpc.aio.AioRpcError as error:
            self.is_open = False
            raise self._lost(error) from None
        if frame is grpc.aio.EOF or frame is None:
            self.is_open = False
            return None
        return frame

    async def half_close(self) -> None:
        """Says that nothing more is sent."""
        async with self._writing:
            await self._carry_out(self._call.done_writing())

    async def _carry_out(self, operation: Awaitable[Any]) -> None:
        """Does something with the stream, in a task of its own: gRPC raises CancelledError out of a stream that was closed, and that
        must not end who sends."""
        task = start(operation)
        try:
            await asyncio.wait({task})
        finally:
            task.cancel()
        error = error_of(task)
        if error is None:
            return
        self.is_open = False
        if not task.cancelled() and not isinstance(error, _STREAM_ERRORS):
            raise error

    async def close(self) -> None:
        """Lets go of the stream and its connection."""
        self.is_open = False
        self._call.cancel()
        await self._channel.close()

    def _lost(self, error: grpc.aio.AioRpcError) -> Exception:
        status = status_of(error)
        if status.code in self._service.taken_over:
            return TakenOver(status.code.name, status.reason, status.message)
        if status.code in _REFUSALS:
            return SidecarRefused(status.code.name, status.reason, status.message)
        return SessionLost(f"the session broke ({status.code.name}): {status.message}", status.retry_after)
