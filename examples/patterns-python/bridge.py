"""Consume, change, publish: a sink and a source in one process. `transform.py` and `route.py` say what is changed."""

import asyncio
from typing import Callable, List, Optional, Sequence

from danube_connector import (
    Emitter,
    Outcome,
    Record,
    RecordRejected,
    RecordTooLarge,
    Reject,
    Retry,
    Sink,
    Source,
    SourceRecord,
    SourceStopped,
    Stop,
    serve,
)


# region outlet
class Outlet(Source):
    """The way out: publishes what the sink hands over."""

    def __init__(self) -> None:
        self.emitter: "asyncio.Future[Emitter]" = asyncio.get_running_loop().create_future()

    async def stream(self, emitter: Emitter) -> None:
        self.emitter.set_result(emitter)
        await asyncio.Event().wait()  # Until the stop cancels it.
# endregion


# region bridge
class Bridge(Sink):
    """The way in. A record is acked when what it became is committed, and never before."""

    def __init__(self, outlet: Outlet) -> None:
        self.outlet = outlet

    def changed(self, record: Record) -> SourceRecord:
        """What it becomes. May raise an outcome: `Filtered`, or the `Reject` of `record.json()`."""
        raise NotImplementedError

    async def process_batch(self, records: List[Record]) -> Sequence[Optional[Exception]]:
        # Emitted in their order, and all before the first commit: that comes for many at once.
        return await asyncio.gather(*(self.publish(record) for record in records))

    async def publish(self, record: Record) -> Optional[Exception]:
        emitter = await self.outlet.emitter
        try:
            committed = await emitter.emit(self.changed(record))
            await committed
        except Outcome as outcome:
            return outcome
        except RecordRejected as rejected:
            return Reject(rejected.message, code=rejected.code)
        except RecordTooLarge as error:
            return Reject(str(error), code="TOO_LARGE")
        except SourceStopped as error:
            return Retry(str(error), code="STOPPED")
        return None
# endregion


# region run
async def run(bridge: Callable[[Outlet], Bridge], name: str) -> None:
    """Both under one name: one table of the sidecar's file. The sink stops first: it needs the source for its last batch."""
    outlet, done = Outlet(), Stop()
    publishing = asyncio.ensure_future(serve(outlet, name=name, stop=done))
    consuming = asyncio.ensure_future(serve(bridge(outlet), name=name, handle_signals=True))
    await asyncio.wait({publishing, consuming}, return_when=asyncio.FIRST_COMPLETED)
    if consuming.done():
        done.request()
    await publishing  # Where it failed (another process took over, say), this ends both.
    await consuming
# endregion
