"""What a sink answers for its records."""

import pytest

from connectors import Batches, Singly
from danube_connector import Fatal, Filtered, Reject, Retry
from scripted import FILTERED, REJECT, RETRY, ScriptedSidecar, failures, ranges, record, running, scenario

KINDS = pytest.mark.parametrize("kind", [Singly, Batches])


async def answers(sink, *records):
    """The answers to one batch."""
    async with ScriptedSidecar() as sidecar, running(sink, sidecar):
        session = await sidecar.open()
        await session.batch(*records)
        return await session.receive("results")


@KINDS
@scenario
async def test_what_is_written_is_answered_as_a_range(kind):
    results = await answers(kind(), *(record(text) for text in "abc"))
    assert (ranges(results), failures(results)) == ([(1, 3)], [])


@KINDS
@scenario
async def test_each_outcome_is_answered_once_and_no_range_covers_a_failure(kind):
    sink = kind()
    sink.raises = {
        "b": Retry("busy", code="BUSY", after=1.5),
        "c": Reject("wrong", code="WRONG"),
        "d": Filtered(),
        "e": ValueError("odd"),
    }
    results = await answers(sink, *(record(text) for text in "abcdef"))
    assert ranges(results) == [(1, 1), (6, 6)]
    assert failures(results) == [
        (2, RETRY, "BUSY"),
        (3, REJECT, "WRONG"),
        (4, FILTERED, "FILTERED"),
        (5, RETRY, "EXCEPTION"),
    ]
    assert results.failures[0].retry_after.ToMilliseconds() == 1500
    assert not results.failures[3].HasField("retry_after")
    assert [failure.message for failure in results.failures] == ["busy", "wrong", "", "odd"]


@KINDS
@scenario
async def test_a_range_never_covers_an_id_that_was_not_issued(kind):
    results = await answers(kind(), record("a", delivery_id=3), record("b", delivery_id=5), record("c", delivery_id=6))
    assert ranges(results) == [(3, 3), (5, 6)]


@scenario
async def test_a_payload_that_is_no_text_is_rejected():
    broken = record("a")
    broken.payload = b"\xff"
    results = await answers(Singly(), broken)
    assert failures(results) == [(1, REJECT, "INVALID_PAYLOAD")]


@scenario
async def test_an_exception_of_a_batch_function_retries_all_of_the_batch():
    sink = Batches()
    sink.breaks = RuntimeError("x" * 5000)
    results = await answers(sink, record("a"), record("b"))
    assert failures(results) == [(1, RETRY, "EXCEPTION"), (2, RETRY, "EXCEPTION")]
    assert results.failures[0].message == "x" * 1024


@scenario
async def test_many_failures_are_spread_over_frames():
    sink = Batches()
    sink.breaks = RuntimeError("no")
    async with ScriptedSidecar() as sidecar, running(sink, sidecar):
        session = await sidecar.open()
        await session.batch(*(record(str(n)) for n in range(2500)))
        frames = [await session.receive("results") for _ in range(3)]
    assert [len(frame.failures) for frame in frames] == [1000, 1000, 500]


@scenario
async def test_answers_of_single_records_do_not_wait_for_a_slow_one():
    sink = Singly()
    gate = sink.gate("slow")
    async with ScriptedSidecar() as sidecar, running(sink, sidecar):
        session = await sidecar.open()
        await session.batch(record("a"), record("b"), record("slow"))
        assert ranges(await session.receive("results")) == [(1, 2)]
        gate.open()
        assert ranges(await session.receive("results")) == [(3, 3)]


@KINDS
@scenario
async def test_records_behind_a_retried_one_of_their_key_are_held_until_it_comes_again(kind):
    sink = kind()
    sink.raises = {"a1": Retry("busy")}
    gate = sink.gate("a1")
    async with ScriptedSidecar() as sidecar, running(sink, sidecar):
        session = await sidecar.open()
        await session.batch(record("a1", key="a"))
        await gate.reached()
        await session.batch(record("a2", key="a"), record("b1", key="b"), record("none"))
        gate.open()
        assert failures(await session.receive("results")) == [(1, RETRY, "RETRY")]
        results = await session.receive("results")
        assert failures(results) == [(2, RETRY, "HELD")]
        assert ranges(results) == [(3, 4)]
        await session.batch(record("a1", key="a", attempt=2), record("a2", key="a", attempt=2), record("a3", key="a"))
        assert ranges(await session.receive("results")) == [(5, 7)]
    assert [each.text() for each in sink.records] == ["a1", "b1", "none", "a1", "a2", "a3"]


@KINDS
@scenario
async def test_a_retried_record_without_a_key_holds_nothing(kind):
    sink = kind()
    sink.raises = {"a": Retry()}
    async with ScriptedSidecar() as sidecar, running(sink, sidecar):
        session = await sidecar.open()
        await session.batch(record("a"))
        await session.receive("results")
        await session.batch(record("b"))
        assert ranges(await session.receive("results")) == [(2, 2)]


@KINDS
@scenario
async def test_a_fatal_error_answers_what_was_written_and_ends_the_run(kind):
    sink = kind()
    sink.raises = {"b": Fatal("disk gone", code="DISK")}
    async with ScriptedSidecar() as sidecar, running(sink, sidecar) as run:
        session = await sidecar.open()
        await session.batch(record("a"), record("b"))
        assert ranges(await session.receive("results")) == [(1, 1)]
        fault = await session.receive("fault")
        assert (fault.code, fault.message) == ("DISK", "disk gone")
        await session.expect_end()
        session.end()
        with pytest.raises(Fatal, match="disk gone"):
            await run.ended()
    assert sink.journal.calls.count("close") == 1


@scenario
async def test_outcomes_that_do_not_match_the_batch_are_fatal():
    class Short(Batches):
        async def process_batch(self, records):
            return []

    async with ScriptedSidecar() as sidecar, running(Short(), sidecar) as run:
        session = await sidecar.open()
        await session.batch(record("a"))
        assert "0 outcomes for 1 records" in (await session.receive("fault")).message
        session.end()
        with pytest.raises(Fatal):
            await run.ended()


@scenario
async def test_none_of_a_batch_function_means_that_all_is_written():
    class Silent(Batches):
        async def process_batch(self, records):
            return None

    assert ranges(await answers(Silent(), record("a"), record("b"))) == [(1, 2)]
