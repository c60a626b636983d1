"""What a sink answers for its records."""

import asyncio

import pytest

from connectors import Batches, Singly
from danube_connector import Busy, Fatal, Filtered, Reject, Retry
from scripted import BUSY, FILTERED, REJECT, RETRY, ScriptedSidecar, failures, ranges, record, running, scenario

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
        "b": Retry("locked", code="LOCKED", after=1.5),
        "c": Reject("wrong", code="WRONG"),
        "d": Filtered(),
        "e": ValueError("odd"),
    }
    results = await answers(sink, *(record(text) for text in "abcdef"))
    assert ranges(results) == [(1, 1), (6, 6)]
    assert failures(results) == [
        (2, RETRY, "LOCKED"),
        (3, REJECT, "WRONG"),
        (4, FILTERED, "FILTERED"),
        (5, RETRY, "EXCEPTION"),
    ]
    assert results.failures[0].retry_after.ToMilliseconds() == 1500
    assert not results.failures[3].HasField("retry_after")
    assert [failure.message for failure in results.failures] == ["locked", "wrong", "", "odd"]


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
async def test_behind_a_busy_record_all_in_hand_is_handed_back_without_a_call_until_the_pause_is_over(kind):
    sink = kind()
    sink.raises = {"a": Busy("429 Too Many Requests", code="RATE_LIMIT", after=0.6)}
    gate = sink.gate("a")
    async with ScriptedSidecar() as sidecar, running(sink, sidecar):
        session = await sidecar.open()
        await session.batch(record("a", key="k"))
        await gate.reached()
        await session.batch(record("b"), record("c", key="k"))
        gate.open()
        results = await session.receive("results")
        assert failures(results) == [(1, BUSY, "RATE_LIMIT")]
        assert results.failures[0].retry_after.ToMilliseconds() == 600
        results = await session.receive("results")
        assert failures(results) == [(2, BUSY, "RATE_LIMIT"), (3, BUSY, "RATE_LIMIT")]
        assert 0 < results.failures[1].retry_after.ToMilliseconds() <= 600
        assert [each.text() for each in sink.records] == ["a"]
        await asyncio.sleep(0.6)
        # What was sent before the sidecar heard of it must not overtake what comes again.
        await session.batch(record("d", key="k"), record("e"))
        results = await session.receive("results")
        assert (ranges(results), failures(results)) == ([(5, 5)], [(4, RETRY, "HELD")])
        await session.batch(record("a", key="k", attempt=2), record("b", attempt=2), record("c", key="k", attempt=2))
        assert ranges(await session.receive("results")) == [(6, 8)]


@scenario
async def test_a_batch_that_raises_busy_is_busy_as_a_whole():
    sink = Batches()
    sink.breaks = Busy("in maintenance")
    results = await answers(sink, record("a"), record("b"))
    assert failures(results) == [(1, BUSY, "BUSY"), (2, BUSY, "BUSY")]
    assert not results.failures[0].HasField("retry_after")


@KINDS
@scenario
async def test_a_pause_outlives_the_session(kind):
    sink = kind()
    sink.raises = {"a": Busy(after=30)}
    async with ScriptedSidecar() as sidecar, running(sink, sidecar):
        session = await sidecar.open()
        await session.batch(record("a"))
        await session.receive("results")
        session.end()
        session = await sidecar.open()
        await session.batch(record("b"))
        assert failures(await session.receive("results")) == [(1, BUSY, "BUSY")]
    assert [each.text() for each in sink.records] == ["a"]


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
