"""What a source does about lost sessions."""

import grpc

from connectors import Polled, Pushed, numbered, source_record
from danube_connector._wire import common
from scripted import ScriptedSidecar, running, scenario


@scenario
async def test_what_was_not_committed_is_sent_again_numbered_from_one():
    source = Polled(numbered("a", "b", "c"))
    async with ScriptedSidecar() as sidecar, running(source, sidecar):
        first = await sidecar.open()
        await first.demand(3)
        assert await first.texts(first=1) == ["a", "b", "c"]
        await first.committed(1)
        await source.journal.until("commit p:1")
        first.fail(grpc.StatusCode.UNAVAILABLE, "restarting")
        second = await sidecar.open()
        await second.probe()
        await second.demand(10)
        assert await second.texts(first=1) == ["b", "c"]
        await second.committed(2)
        await source.journal.until("commit p:3")
    assert source.journal.calls.count("commit p:1") == 1


@scenario
async def test_positions_of_the_next_session_commit_what_was_in_flight():
    source = Polled([source_record("a", 1, "x"), source_record("b", 1, "y"), source_record("c", 2, "x"), source_record("d", 3, "x")])
    position = common.Position(source_partition="x", offset=2)
    async with ScriptedSidecar() as sidecar, running(source, sidecar):
        first = await sidecar.open()
        await first.demand(4)
        await first.receive("records")
        first.end()
        second = await sidecar.open(positions=[position])
        await second.demand(10)
        assert await second.texts(first=1) == ["b", "d"]
        await source.journal.until("commit x:2")
    assert [call for call in source.journal.calls if call.startswith("commit")] == ["commit x:1", "commit x:2"]


@scenario
async def test_an_unknown_position_commits_nothing():
    source = Polled(numbered("a", "b"))
    async with ScriptedSidecar() as sidecar, running(source, sidecar):
        first = await sidecar.open()
        await first.demand(2)
        await first.receive("records")
        first.end()
        second = await sidecar.open(positions=[common.Position(source_partition="p", offset=99)])
        await second.demand(2)
        assert await second.texts(first=1) == ["a", "b"]


@scenario
async def test_a_drain_sends_nothing_new_and_the_rest_goes_on_in_the_next_session():
    source = Polled(numbered("a", "b"))
    async with ScriptedSidecar() as sidecar, running(source, sidecar):
        first = await sidecar.open()
        await first.demand(1)
        assert await first.texts(first=1) == ["a"]
        await first.send(drain=common.Drain())
        await first.receive("drained")
        await first.demand(5)
        await first.probe()
        await first.committed(1)
        first.end()
        second = await sidecar.open()
        await second.demand(5)
        assert await second.texts(first=1) == ["b"]


@scenario
async def test_a_sidecar_that_commits_what_was_not_sent_is_left():
    async with ScriptedSidecar() as sidecar, running(Polled(numbered("a")), sidecar):
        first = await sidecar.open()
        await first.demand(1)
        await first.receive("records")
        await first.committed(2)
        second = await sidecar.open()
        await second.demand(1)
        assert await second.texts(first=1) == ["a"]


@scenario
async def test_an_emitted_record_survives_a_lost_session():
    async def stream(emitter):
        await (await emitter.emit(source_record("a")))

    async with ScriptedSidecar() as sidecar, running(Pushed(stream), sidecar) as run:
        first = await sidecar.open()
        await first.demand(1)
        await first.receive("records")
        first.end()
        second = await sidecar.open()
        await second.demand(1)
        assert await second.texts(first=1) == ["a"]
        await second.committed(1)
        await second.receive("drained")
        second.end()
        await run.ended()


@scenario
async def test_a_stop_between_sessions_waits_for_the_sidecar_to_take_what_is_in_hand():
    source = Polled(numbered("a"))
    async with ScriptedSidecar() as sidecar, running(source, sidecar) as run:
        first = await sidecar.open()
        await first.demand(1)
        await first.receive("records")
        run.stop()
        first.end()
        second = await sidecar.open()
        await second.demand(1)
        assert await second.texts(first=1) == ["a"]
        await second.receive("drained")
        await second.committed(1)
        second.end()
        await run.ended()
    assert source.journal.calls[-2:] == ["commit p:1", "close"]
