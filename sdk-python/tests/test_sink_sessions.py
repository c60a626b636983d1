"""What a sink does when sessions end, and when it has to stop."""

import asyncio

import grpc
import pytest

from connectors import Batches, Singly
from details import retry_info
from danube_connector import Record, Retry, _reconnect
from danube_connector._calls import Thread
from danube_connector._changes import Changes
from danube_connector._worker import Worker
from scripted import ScriptedSidecar, ranges, record, running, scenario

KINDS = pytest.mark.parametrize("kind", [Singly, Batches])


@KINDS
@scenario
async def test_results_of_a_lost_session_are_dropped_and_its_queue_too(kind):
    sink = kind()
    gate = sink.gate("old")
    async with ScriptedSidecar() as sidecar, running(sink, sidecar):
        first = await sidecar.open()
        await first.batch(record("old"))
        await first.batch(record("queued"))
        await gate.reached()
        first.fail(grpc.StatusCode.UNAVAILABLE, "restarting")
        second = await sidecar.open()
        await second.batch(record("new"))
        await second.probe()
        gate.open()
        assert ranges(await second.receive("results")) == [(1, 1)]
        await second.probe()
    assert [each.text() for each in sink.records] == ["old", "new"]
    assert sink.most_active == 1


class Lost:
    """A session whose stream has ended, before the worker was told."""

    settings = {}
    is_open = False

    async def send(self, **frame):
        raise AssertionError(f"{frame} was sent in a session that is lost")


@KINDS
@scenario
async def test_what_waits_is_not_written_once_the_stream_has_ended(kind):
    sink, changes = kind(), Changes()
    worker = Worker(sink, Thread("sink"), changes)
    worker.attach(Lost())
    worker.take([(1, Record(b"first", dedup_id="1"))])
    worker.take([(2, Record(b"second", dedup_id="2"))])
    working = asyncio.ensure_future(worker.run())
    await changes.until(lambda: worker.is_open and worker.is_idle())
    working.cancel()
    assert sink.records == [] and worker.fault is None


@scenario
async def test_a_retry_of_a_lost_session_holds_nothing_in_the_next():
    sink = Batches()
    sink.raises = {"old": Retry()}
    gate = sink.gate("old")
    async with ScriptedSidecar() as sidecar, running(sink, sidecar):
        first = await sidecar.open()
        await first.batch(record("old", key="k"))
        await gate.reached()
        first.end()
        second = await sidecar.open()
        await second.batch(record("new", key="k"))
        gate.open()
        assert ranges(await second.receive("results")) == [(1, 1)]


@KINDS
@scenario
async def test_a_drain_finishes_what_is_in_hand_and_then_reconnects(kind):
    sink = kind()
    gate = sink.gate("a")
    async with ScriptedSidecar() as sidecar, running(sink, sidecar):
        session = await sidecar.open()
        await session.batch(record("a"))
        await session.batch(record("b"))
        await gate.reached()
        await session.send(drain={"timeout": {"seconds": 30}})
        await session.probe()
        gate.open()
        assert ranges(await session.receive("results")) == [(1, 1)]
        assert ranges(await session.receive("results")) == [(2, 2)]
        await session.receive("drained")
        await session.probe()
        session.end()
        await sidecar.open()


@KINDS
@scenario
async def test_a_stop_finishes_what_is_in_hand_takes_nothing_new_and_closes_once(kind):
    sink = kind()
    gate = sink.gate("a")
    async with ScriptedSidecar() as sidecar, running(sink, sidecar) as run:
        session = await sidecar.open()
        await session.batch(record("a"))
        await gate.reached()
        run.stop()
        await session.probe()
        await session.batch(record("late"))
        await session.probe()
        gate.open()
        assert ranges(await session.receive("results")) == [(1, 1)]
        await session.receive("drained")
        await session.expect_end()
        session.end()
        await run.ended()
    assert sink.journal.calls == ["open", "a", "close"]


@scenario
async def test_a_stop_does_not_wait_longer_than_its_time_for_a_record():
    sink = Singly()
    gate = sink.gate("a")
    async with ScriptedSidecar() as sidecar, running(sink, sidecar, stop_timeout=0.05) as run:
        session = await sidecar.open()
        await session.batch(record("a"))
        await gate.reached()
        run.stop()
        await session.receive("drained")
        session.end()
        await run.ended()
    assert sink.journal.calls == ["open", "close"]


@scenario
async def test_a_stop_while_nobody_answers_returns():
    async with ScriptedSidecar() as sidecar:
        address = sidecar.address
    sidecar.address = address
    async with running(Singly(), sidecar) as run:
        run.stop()
        await run.ended()


@scenario
async def test_a_sidecar_that_comes_later_is_found(tmp_path):
    later = ScriptedSidecar(f"unix:{tmp_path}/s.sock")
    later.address = f"unix://{tmp_path}/s.sock"
    async with running(Singly(), later), later as sidecar:
        session = await sidecar.open()
        await session.batch(record("a"))
        assert ranges(await session.receive("results")) == [(1, 1)]


@pytest.mark.parametrize("prefix", ["unix:", "unix://"])
@scenario
async def test_a_unix_socket_is_reached(prefix, tmp_path):
    async with ScriptedSidecar(f"unix:{tmp_path}/s.sock") as sidecar:
        async with running(Singly(), sidecar, address=f"{prefix}{tmp_path}/s.sock"):
            session = await sidecar.open()
            await session.batch(record("a"))
            assert ranges(await session.receive("results")) == [(1, 1)]


@scenario
async def test_a_sidecar_that_shuts_down_says_when_to_come_back(monkeypatch):
    waits = []
    original = _reconnect.Reconnect.lost

    def lost(self, error):
        waits.append(original(self, error))
        return 0.0

    monkeypatch.setattr(_reconnect.Reconnect, "lost", lost)
    async with ScriptedSidecar() as sidecar, running(Singly(), sidecar):
        session = await sidecar.open()
        session.fail(grpc.StatusCode.UNAVAILABLE, "shutting down", retry_info(2500))
        await sidecar.open()
    assert waits == [2.5]


@scenario
async def test_a_stop_in_a_session_that_was_drained_says_so_once():
    sink = Singly()
    async with ScriptedSidecar() as sidecar, running(sink, sidecar) as run:
        session = await sidecar.open()
        await sink.journal.until("open")
        await session.send(drain={})
        await session.receive("drained")
        run.stop()
        await session.expect_end()
        session.end()
        await run.ended()
    assert sink.journal.calls == ["open", "close"]


@scenario
async def test_a_run_that_is_cancelled_ends_at_once_and_closes():
    sink = Singly()
    gate = sink.gate("a")
    async with ScriptedSidecar() as sidecar, running(sink, sidecar) as run:
        session = await sidecar.open()
        await session.batch(record("a"))
        await gate.reached()
        run.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run.ended()
    assert sink.journal.calls == ["open", "close"]
