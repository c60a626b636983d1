"""Asking a run to end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from typing import Callable, Iterator, List, Optional

from ._changes import Changes


class Stop:
    """Ends a run from outside: `stop = Stop()`, `run(sink, stop=stop)`, and somewhere `stop.request()`.

    What is in hand is finished first. May be requested from any thread, and more than once.
    """

    def __init__(self) -> None:
        self._requested = False
        self._listeners: List[Callable[[], None]] = []

    def request(self) -> None:
        """Asks the run to end; returns at once."""
        self._requested = True
        for listener in tuple(self._listeners):
            listener()

    @property
    def requested(self) -> bool:
        """Whether the run was asked to end."""
        return self._requested

    @contextlib.contextmanager
    def _told(self, listener: Callable[[], None]) -> Iterator[None]:
        """Calls the listener at requests, and now where it was requested already."""
        self._listeners.append(listener)
        try:
            if self._requested:
                listener()
            yield
        finally:
            self._listeners.remove(listener)


class Stopping:
    """A stop as the loop of a run sees it: requested, and overdue when its time is up."""

    def __init__(self, changes: Changes, timeout: float) -> None:
        self._changes = changes
        self._timeout = timeout
        self._timer: Optional[asyncio.TimerHandle] = None
        self.requested = False
        self.overdue = False

    @contextlib.contextmanager
    def by(self, stop: Stop) -> Iterator[None]:
        """Follows a stop, in the running loop."""
        loop = asyncio.get_running_loop()

        def listener() -> None:
            with contextlib.suppress(RuntimeError):  # The loop is closed: the run has ended.
                loop.call_soon_threadsafe(self.begin)

        with stop._told(listener):
            try:
                yield
            finally:
                if self._timer is not None:
                    self._timer.cancel()

    def begin(self) -> None:
        """The run ends: from now on its time counts."""
        if self.requested:
            return
        self.requested = True
        self._timer = asyncio.get_running_loop().call_later(self._timeout, self.expire)
        self._changes.notify()

    def expire(self) -> None:
        """The run ends now."""
        self.requested = True
        self.overdue = True
        self._changes.notify()


@contextlib.contextmanager
def on_signals(stop: Stop) -> Iterator[None]:
    """SIGTERM and SIGINT request the stop, and a second one ends the process in the default way.

    Only the main thread can do that: elsewhere nothing is installed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def first() -> None:
        for number in before:
            signal.signal(number, signal.SIG_DFL)
        stop.request()

    for number in before:
        _install(loop, number, first)
    try:
        yield
    finally:
        for number, previous in before.items():
            with contextlib.suppress(NotImplementedError):
                loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL if previous is None else previous)


def _install(loop: asyncio.AbstractEventLoop, number: signal.Signals, handler: Callable[[], None]) -> None:
    try:
        loop.add_signal_handler(number, handler)
    except NotImplementedError:  # Windows.
        signal.signal(number, lambda *_: handler())
