"""Running connectors."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from typing import TYPE_CHECKING, Any, Union, cast, overload

from . import _address
from ._calls import Thread, call, start
from ._changes import Changes
from ._connection import keep_connected
from ._session import Sidecar
from ._sink_run import SinkRun
from ._source_run import SourceRun
from .errors import ConfigError
from .options import Options, SinkOptions, SourceOptions
from .outcomes import seconds
from .sink import Sink
from .source import Source
from .stop import Stop, Stopping, on_signals

if TYPE_CHECKING:
    from typing_extensions import Unpack

log = logging.getLogger("danube_connector")

STOP_TIMEOUT = 10.0
CLOSE_TIMEOUT = 10.0
"""How long the connector's `close` may take."""


@overload
def run(connector: Sink, **options: Unpack[SinkOptions]) -> None: ...
@overload
def run(connector: Source, **options: Unpack[SourceOptions]) -> None: ...
def run(connector: Union[Sink, Source], **options: Any) -> None:
    """Runs a sink or a source until it is stopped (SIGTERM, SIGINT, or `stop`), or a source has ended by itself.

    The sidecar may come and go: `run` waits for it, for ever. Options: see `SinkOptions` and `SourceOptions`.

    Raises ConfigError for options that cannot be used; SidecarRefused (TakenOver) when the sidecar refuses the connector for good;
    and what the connector could not go on for: its `Fatal`, or what its `open` raised.
    """
    asyncio.run(serve(connector, **{"handle_signals": True, **options}))


@overload
async def serve(connector: Sink, **options: Unpack[SinkOptions]) -> None: ...
@overload
async def serve(connector: Source, **options: Unpack[SourceOptions]) -> None: ...
async def serve(connector: Union[Sink, Source], **options: Any) -> None:
    """`run` for programs with an event loop of their own. Signals are theirs, unless `handle_signals` is True."""
    common = _checked(connector, options)
    stop = common.get("stop") or Stop()
    changes = Changes()
    timeout = seconds("stop_timeout", common.get("stop_timeout", STOP_TIMEOUT))
    assert timeout is not None
    stopping = Stopping(changes, timeout.total_seconds())
    sidecar = _sidecar(common)
    thread = Thread("danube-connector")
    side = _side(connector, thread, _name(common), options, changes, stopping)
    with contextlib.ExitStack() as stack:
        if common.get("handle_signals"):
            stack.enter_context(on_signals(stop))
        stack.enter_context(stopping.by(stop))
        side.start()
        try:
            await keep_connected(sidecar, side, changes)
        except asyncio.CancelledError:
            stopping.expire()
            raise
        finally:
            stopping.begin()
            await side.end()
            if side.is_open:
                await _close(connector, thread)
            thread.end()
            if side.fault is not None:
                raise side.fault


def _side(
    connector: Union[Sink, Source], thread: Thread, name: str, options: Any, changes: Changes, stopping: Stopping
) -> Union[SinkRun, SourceRun]:
    if isinstance(connector, Sink):
        return SinkRun(connector, thread, name, options, changes, stopping)
    return SourceRun(connector, thread, name, options, changes, stopping)


async def _close(connector: Union[Sink, Source], thread: Thread) -> None:
    closing = start(call(thread, connector.close))
    done, _ = await asyncio.wait({closing}, timeout=CLOSE_TIMEOUT)
    if not done:
        closing.cancel()
        log.warning("close() did not return within %.0f s; leaving it", CLOSE_TIMEOUT)
    else:
        closing.result()


def _checked(connector: Union[Sink, Source], options: Any) -> Options:
    """Finds mistakes before anything is started."""
    if isinstance(connector, Sink):
        _check_options(SinkOptions, options)
        _check_override(connector, Sink, "process", "process_batch")
    elif isinstance(connector, Source):
        _check_options(SourceOptions, options)
        _check_override(connector, Source, "poll", "stream")
    else:
        raise TypeError(f"the connector is of type {type(connector).__name__}: expected a Sink or a Source")
    return cast(Options, options)


def _check_options(known: type, options: Any) -> None:
    for name in options:
        if name not in known.__annotations__:
            raise TypeError(f"there is no option {name!r}: expected {', '.join(sorted(known.__annotations__))}")


def _check_override(connector: Union[Sink, Source], base: type, one: str, other: str) -> None:
    kind = type(connector)
    if (getattr(kind, one) is getattr(base, one)) == (getattr(kind, other) is getattr(base, other)):
        raise TypeError(f"{kind.__name__} has to override either {one} or {other}")


def _name(options: Options) -> str:
    name = options.get("name") or os.environ.get("CONNECTOR_NAME", "")
    if not name:
        raise ConfigError("the connector has no name: expected the option `name`, or CONNECTOR_NAME in the environment")
    return name


def _sidecar(options: Options) -> Sidecar:
    address = options.get("address") or os.environ.get("DANUBE_SIDECAR_ADDRESS") or _address.DEFAULT
    return Sidecar(address, options.get("token") or os.environ.get("DANUBE_SIDECAR_TOKEN"))
