"""Calling a connector's hooks: coroutine functions in the loop, plain functions in a thread."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import inspect
import queue
import threading
from typing import Any, Awaitable, Callable, Optional, Tuple

_Work = Tuple["concurrent.futures.Future[Any]", Callable[[], Any]]


class Thread:
    """One thread that calls plain functions, one after the other.

    It is a daemon: a call that never returns must not keep the process alive. It is started at the first call."""

    def __init__(self, name: str) -> None:
        self._name = name
        # Bounded by its callers: each has one call at a time.
        self._work: queue.SimpleQueue[Optional[_Work]] = queue.SimpleQueue()
        self._started = False

    def submit(self, function: Callable[..., Any], *args: Any) -> concurrent.futures.Future[Any]:
        """Has the thread call it, in the caller's context."""
        if not self._started:
            self._started = True
            threading.Thread(target=self._run, name=self._name, daemon=True).start()
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        context = contextvars.copy_context()
        self._work.put((future, lambda: context.run(function, *args)))
        return future

    def end(self) -> None:
        """Lets the thread go when it has done what was submitted."""
        self._work.put(None)

    def _run(self) -> None:
        while True:
            work = self._work.get()
            if work is None:
                return
            future, call = work
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(call())
            except StopIteration as error:  # No future can carry it.
                future.set_exception(RuntimeError(f"StopIteration: {error}"))
            except BaseException as error:
                future.set_exception(error)
            del work, future, call


async def call(thread: Thread, function: Callable[..., Any], *args: Any) -> Any:
    """Calls a hook and returns what it returns. A plain function runs in the thread."""
    if inspect.iscoroutinefunction(function):
        return await function(*args)
    result = await asyncio.wrap_future(thread.submit(function, *args))
    return await result if inspect.isawaitable(result) else result


def start(hook: Awaitable[Any]) -> asyncio.Future[Any]:
    """Runs a hook as a task of its own, whose failure is looked at by whoever has it."""
    task = asyncio.ensure_future(hook)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return task


def error_of(task: asyncio.Future[Any]) -> Optional[BaseException]:
    """What a finished hook failed with. One that cancelled itself failed too."""
    return RuntimeError("it was cancelled") if task.cancelled() else task.exception()


async def leave(task: asyncio.Future[Any], timeout: float) -> None:
    """Cancels a task that is not done, and waits a limited time for its end."""
    if not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=timeout)


def text_of(error: BaseException) -> str:
    """What an exception says, else what it is called."""
    return str(error) or type(error).__name__
