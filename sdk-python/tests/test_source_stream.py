"""What a source sends, and what it makes of the answers."""

import asyncio

import grpc
import pytest

from connectors import Polled, Pushed, numbered, source_record
from danube_connector import Fatal, Producer, RecordRejected, RecordTooLarge, SourceStopped, TakenOver
from danube_connector._wire import common, source as wire
from scripted import TOPIC, ScriptedSidecar, running, scenario, within


@scenario
async def test_open_names_the_producers():
    producers = [Producer(TOPIC, partitions=3, schema_subject="orders")]
    async with ScriptedSidecar() as sidecar, running(Polled(), sidecar, producers=producers):
        opened = (await sidecar.session()).open
    assert (opened.connector, opened.producers[0].topic, opened.producers[0].partitions) == ("tested", TOPIC, 3)
    assert not opened.producers[0].HasField("reliable")
    assert list(opened.capabilities) == [
        common.CAPABILITY_PROBE,
        common.CAPABILITY_DRAIN,
        common.CAPABILITY_POSITION_PAGES,
    ]


@scenario
async def test_positions_that_come_in_pages_are_restored_together():
    source = Polled()
    places = [common.Position(source_partition=name, offset=n) for n, name in enumerate("abc")]
    async with ScriptedSidecar() as sidecar, running(source, sidecar):
        session = await sidecar.open(positions=places[:1], more_positions=True)
        await session.send(positions=wire.SourcePositions(positions=places[1:2], more=True))
        await session.send(positions=wire.SourcePositions(positions=places[2:]))
        await session.demand(1)
        await source.journal.until("empty poll")
    assert {name: place.offset for name, place in source.positions.items()} == {"a": 0, "b": 1, "c": 2}


@scenario
async def test_a_source_is_restored_once_and_before_it_is_polled():
    source = Polled()
    position = common.Position(source_partition="p", offset=7, metadata="m")
    async with ScriptedSidecar() as sidecar, running(source, sidecar):
        first = await sidecar.open(positions=[position])
        await first.demand(1)
        await source.journal.until("empty poll")
        first.end()
        second = await sidecar.open()
        source.journal.calls.clear()
        await second.demand(1)
        await source.journal.until("empty poll")
    assert (source.positions["p"].offset, source.positions["p"].metadata) == (7, "m")
    assert "restore" not in source.journal.calls


@scenario
async def test_no_more_is_sent_than_demanded_and_nothing_is_polled_meanwhile():
    source = Polled(numbered("a", "b", "c"), numbered("d", start=4))
    async with ScriptedSidecar() as sidecar, running(source, sidecar):
        session = await sidecar.open()
        await session.probe()
        assert "poll" not in source.journal.calls
        await session.demand(2)
        assert await session.texts(first=1) == ["a", "b"]
        await session.probe()
        assert source.journal.calls.count("poll") == 1
        await session.demand(3)
        assert await session.texts(first=3) == ["c"]
        await session.probe()
        assert source.journal.calls.count("poll") == 1
        await session.demand(4)
        assert await session.texts(first=4) == ["d"]


@scenario
async def test_the_record_that_reaches_the_byte_count_may_exceed_it():
    records = numbered("a" * 100, "b" * 100, "c" * 100)
    async with ScriptedSidecar() as sidecar, running(Polled(records), sidecar):
        session = await sidecar.open()
        await session.demand(10, size=150)
        assert [text[0] for text in await session.texts(first=1)] == ["a", "b"]
        await session.probe()
        await session.demand(10, size=10_000)
        assert [text[0] for text in await session.texts(first=3)] == ["c"]


@scenario
async def test_committed_positions_are_told_in_order():
    source = Polled(numbered("a", "b", "c"))
    async with ScriptedSidecar() as sidecar, running(source, sidecar):
        session = await sidecar.open()
        await session.demand(3)
        await session.receive("records")
        await session.committed(1)
        await session.committed(3)
        await source.journal.until("commit p:3")
    assert [call for call in source.journal.calls if call.startswith("commit")] == ["commit p:1", "commit p:2", "commit p:3"]


@scenario
async def test_a_rejected_record_is_told_with_its_reason():
    source = Polled(numbered("a", "b"))
    async with ScriptedSidecar() as sidecar, running(source, sidecar):
        session = await sidecar.open()
        await session.demand(2)
        await session.receive("records")
        await session.send(rejected=wire.SourceRejected(number=2, code="TOO_LARGE", message="too large"))
        await source.journal.until("rejected")
    (rejected, code, message), = source.rejects
    assert (rejected.payload, code, message) == (b"b", "TOO_LARGE", "too large")


@scenario
async def test_large_records_go_into_frames_of_their_own():
    large = numbered("a" * (1 << 20), "b" * (1 << 20))
    async with ScriptedSidecar() as sidecar, running(Polled(large), sidecar):
        session = await sidecar.open()
        await session.demand(2)
        assert len(await session.texts(first=1)) == 1
        assert len(await session.texts(first=2)) == 1


@scenario
async def test_a_polled_record_that_fits_no_frame_ends_the_run():
    async with ScriptedSidecar() as sidecar, running(Polled(numbered("a" * 2000)), sidecar) as run:
        session = await sidecar.open(limits=common.Limits(max_inbound_frame_bytes=1000))
        await session.demand(1)
        assert "1000" in (await session.receive("fault")).message
        session.end()
        with pytest.raises(RecordTooLarge):
            await run.ended()


@scenario
async def test_an_emitted_record_that_fits_no_frame_is_an_error_at_the_caller():
    errors = []

    async def stream(emitter):
        try:
            await emitter.emit(source_record("a" * 2000))
        except RecordTooLarge as error:
            errors.append(error.limit)
        await emitter.emit(source_record("b"))

    async with ScriptedSidecar() as sidecar, running(Pushed(stream), sidecar):
        session = await sidecar.open(limits=common.Limits(max_inbound_frame_bytes=1000))
        await session.demand(1)
        assert await session.texts(first=1) == ["b"]
    assert errors == [1000]


@scenario
async def test_emit_waits_for_room_and_tells_of_the_commit():
    told = asyncio.Queue()

    async def stream(emitter):
        assert emitter.try_emit(source_record("no room")) is None
        told.put_nowait("no room")
        first = await emitter.emit(source_record("a"))
        assert emitter.try_emit(source_record("no room")) is None
        second = await emitter.emit(source_record("b"))
        for committed in (first, second):
            try:
                await committed
                told.put_nowait("committed")
            except RecordRejected as error:
                told.put_nowait(error.code)

    async with ScriptedSidecar() as sidecar, running(Pushed(stream), sidecar):
        session = await sidecar.open()
        assert await within(told.get()) == "no room"
        await session.demand(1)
        assert await session.texts(first=1) == ["a"]
        await session.demand(2)
        assert await session.texts(first=2) == ["b"]
        await session.committed(1)
        assert await within(told.get()) == "committed"
        await session.send(rejected=wire.SourceRejected(number=2, code="SCHEMA_MISMATCH"))
        assert await within(told.get()) == "SCHEMA_MISMATCH"


@scenario
async def test_a_plain_stream_emits_from_its_thread():
    class Blocking(Pushed):
        def stream(self, emitter):
            emitter.emit_from_thread(source_record("a")).result(10)
            self.journal_after = "committed"

    source = Blocking(None)
    async with ScriptedSidecar() as sidecar, running(source, sidecar) as run:
        session = await sidecar.open()
        await session.demand(1)
        assert await session.texts(first=1) == ["a"]
        await session.committed(1)
        await session.receive("drained")
        session.end()
        await run.ended()
    assert source.journal_after == "committed"


@scenario
async def test_a_source_that_ended_is_drained_and_committed_before_the_run_returns():
    source = Polled(numbered("a"), ends=True)
    async with ScriptedSidecar() as sidecar, running(source, sidecar) as run:
        session = await sidecar.open()
        await session.demand(10)
        assert await session.texts(first=1) == ["a"]
        await session.receive("drained")
        await session.probe()
        assert not run.task.done()
        await session.committed(1)
        await session.expect_end()
        session.end()
        await run.ended()
    assert source.journal.calls[-2:] == ["commit p:1", "close"]


@scenario
async def test_a_stop_sends_what_waits_and_waits_for_its_commit():
    source = Polled(numbered("a", "b"))
    async with ScriptedSidecar() as sidecar, running(source, sidecar) as run:
        session = await sidecar.open()
        await session.demand(1)
        assert await session.texts(first=1) == ["a"]
        run.stop()
        await session.demand(2)
        assert await session.texts(first=2) == ["b"]
        await session.receive("drained")
        await session.committed(2)
        await session.expect_end()
        session.end()
        await run.ended()
    assert source.journal.calls[-3:] == ["commit p:1", "commit p:2", "close"]


@scenario
async def test_who_waits_for_a_commit_when_the_source_stops_is_told():
    told = []

    async def stream(emitter):
        committed = await emitter.emit(source_record("a"))
        with pytest.raises(SourceStopped):
            await emitter.emit(source_record("b"))
        try:
            await committed
        except SourceStopped:
            told.append("stopped")
            raise

    async with ScriptedSidecar() as sidecar, running(Pushed(stream), sidecar, stop_timeout=0.1) as run:
        session = await sidecar.open()
        await session.demand(1)
        await session.receive("records")
        run.stop()
        await session.receive("drained")
        await session.expect_end()
        session.end()
        await run.ended()
    assert told == ["stopped"]


@scenario
async def test_another_process_of_the_source_ends_the_run():
    async with ScriptedSidecar() as sidecar, running(Polled(), sidecar) as run:
        session = await sidecar.open()
        session.fail(grpc.StatusCode.ABORTED, "epoch 4")
        with pytest.raises(TakenOver, match="taken over.*epoch 4"):
            await run.ended()


@scenario
async def test_a_poll_that_raises_is_called_again_and_a_fatal_one_ends_the_run(monkeypatch):
    monkeypatch.setattr("danube_connector._reader.FIRST_BACKOFF", 0.001)

    class Flaky(Polled):
        errors = [OSError("away"), Fatal("gone", code="GONE")]

        async def poll(self):
            raise self.errors.pop(0)

    async with ScriptedSidecar() as sidecar, running(Flaky(), sidecar) as run:
        session = await sidecar.open()
        await session.demand(1)
        assert (await session.receive("fault")).code == "GONE"
        session.end()
        with pytest.raises(Fatal, match="gone"):
            await run.ended()
