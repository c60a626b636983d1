"""What a sink says to the sidecar, and what it makes of what it hears."""

import asyncio
import threading

import grpc
import pytest

from connectors import Batches, Singly
from danube_connector import Ordering, RetrySettings, Sink, SidecarRefused, Subscription, SubscriptionType
from danube_connector._wire import common, sink as wire
from details import error_info
from scripted import TOPIC, ScriptedSidecar, ranges, record, running, scenario


@scenario
async def test_open_says_what_was_configured_and_leaves_the_rest_to_the_sidecar():
    options = {
        "subscriptions": [Subscription(TOPIC, name="s", type=SubscriptionType.SHARED)],
        "window_records": 7,
        "linger": 0.5,
        "ordering": Ordering.PARTITION,
        "retry": RetrySettings(max_retries=9, max_backoff=60),
        "token": "secret",
    }
    async with ScriptedSidecar() as sidecar, running(Singly(), sidecar, **options):
        session = await sidecar.session()
    opened = session.open
    assert (opened.connector, opened.min_protocol_version, opened.max_protocol_version) == ("tested", 1, 1)
    assert list(opened.capabilities) == [common.CAPABILITY_PROBE, common.CAPABILITY_DRAIN, common.CAPABILITY_SCHEMA]
    assert opened.sdk.startswith("danube-connector-python/")
    assert (opened.subscriptions[0].topic, opened.subscriptions[0].subscription) == (TOPIC, "s")
    assert opened.subscriptions[0].type == wire.SUBSCRIPTION_TYPE_SHARED
    assert (opened.window_records, opened.window_bytes, opened.max_batch_records) == (7, 0, 0)
    assert opened.linger.ToMilliseconds() == 500
    assert opened.ordering == wire.ORDERING_PARTITION
    assert opened.retry.max_retries == 9 and not opened.retry.HasField("initial_backoff")
    assert session.metadata["authorization"] == "Bearer secret"


@scenario
async def test_unset_options_stay_unset():
    async with ScriptedSidecar() as sidecar, running(Singly(), sidecar):
        session = await sidecar.session()
    for name in ("ordering", "linger", "retry"):
        assert not session.open.HasField(name)
    assert "authorization" not in session.metadata


@scenario
async def test_settings_come_before_records_and_once():
    sink = Singly()
    async with ScriptedSidecar() as sidecar, running(sink, sidecar):
        first = await sidecar.open(settings_json='{"table": "t"}')
        await sink.journal.until("open")
        first.end()
        second = await sidecar.open(settings_json='{"table": "other"}')
        await second.batch(record("a"))
        await second.receive("results")
    assert sink.settings == {"table": "t"}
    assert sink.journal.calls.count("open") == 1


@scenario
async def test_a_record_offers_all_that_the_sidecar_says_of_it():
    sink = Batches()
    async with ScriptedSidecar() as sidecar, running(sink, sidecar):
        session = await sidecar.open()
        ref = common.SchemaRef
        schema = wire.Schema(ref=ref(schema_id=3, version=2), subject="orders", type="avro", definition=b"{}")
        await session.send(schema=schema)
        full = record(
            "{}",
            key="k",
            attempt=2,
            partition_topic=f"{TOPIC}-part-1",
            offset=5,
            attributes={"a": "b"},
            publish_time_ms=1000,
            producer_name="p",
            subscription="s",
            schema=ref(schema_id=3, version=2),
        )
        await session.batch(full, record("plain"), epoch=8)
        await session.receive("results")
    first, second = sink.records
    assert (first.payload, first.json(), first.key, first.attempt, first.epoch) == (b"{}", {}, "k", 2, 8)
    assert (first.topic, first.partition_topic, first.offset) == (TOPIC, f"{TOPIC}-part-1", 5)
    assert (first.attributes, first.producer_name, first.subscription) == ({"a": "b"}, "p", "s")
    assert first.publish_time.isoformat() == "1970-01-01T00:00:01+00:00"
    assert first.schema is not None and (first.schema.subject, first.schema.version) == ("orders", 2)
    assert second.key is None and second.schema is None


@scenario
async def test_frames_of_a_later_protocol_are_ignored():
    async with ScriptedSidecar() as sidecar, running(Singly(), sidecar):
        session = await sidecar.open()
        await session.send()
        await session.batch(record("a"))
        assert ranges(await session.receive("results")) == [(1, 1)]


@scenario
async def test_a_session_that_does_not_begin_with_opened_is_left():
    async with ScriptedSidecar() as sidecar, running(Singly(), sidecar):
        broken = await sidecar.session()
        await broken.batch(record("a"))
        session = await sidecar.open()
        await session.batch(record("a"))
        assert ranges(await session.receive("results")) == [(1, 1)]


@scenario
async def test_a_sink_without_a_health_check_is_healthy():
    async with ScriptedSidecar() as sidecar, running(Singly(), sidecar):
        health = await (await sidecar.open()).probe()
        assert (health.status, health.checked) == (common.Health.STATUS_HEALTHY, False)


@scenario
async def test_a_probe_is_answered_while_a_record_is_written():
    class Checked(Singly):
        def health(self) -> None:
            raise RuntimeError("the disk is full")

    sink = Checked()
    gate = sink.gate("slow")
    async with ScriptedSidecar() as sidecar, running(sink, sidecar):
        session = await sidecar.open()
        await session.batch(record("slow"))
        await gate.reached()
        health = await session.probe()
        assert (health.status, health.message) == (common.Health.STATUS_UNHEALTHY, "the disk is full")
        gate.open()
        assert ranges(await session.receive("results")) == [(1, 1)]


@scenario
async def test_a_probe_waits_for_a_sink_that_is_just_being_opened(monkeypatch):
    class Opening(Singly):
        async def open(self, settings):
            await self.gate("open").pass_through()

        async def health(self):
            self.journal.note("health")

    sink = Opening()
    async with ScriptedSidecar() as sidecar, running(sink, sidecar):
        session = await sidecar.open()
        await sink.gate("open").reached()
        monkeypatch.setattr("danube_connector._health.CHECK_TIMEOUT", 0.01)
        health = await session.probe()
        assert (health.status, health.message) == (common.Health.STATUS_UNHEALTHY, "the connector is not open yet")
        monkeypatch.undo()
        probe = asyncio.ensure_future(session.probe())
        sink.gate("open").open()
        health = await probe
        assert (health.status, health.checked) == (common.Health.STATUS_HEALTHY, True)
    assert "health" in sink.journal.calls


@scenario
async def test_a_health_check_that_takes_too_long_is_no_health(monkeypatch):
    monkeypatch.setattr("danube_connector._health.CHECK_TIMEOUT", 0.01)

    class Stuck(Singly):
        async def health(self):
            await asyncio.Event().wait()

    sink = Stuck()
    async with ScriptedSidecar() as sidecar, running(sink, sidecar):
        session = await sidecar.open()
        await session.batch(record("a"))
        await session.receive("results")
        health = await session.probe()
    assert health.status == common.Health.STATUS_UNHEALTHY and "took longer" in health.message


@scenario
async def test_plain_functions_run_in_one_thread_and_do_not_block_the_stream():
    class Plain(Sink):
        def __init__(self):
            self.threads = []
            self.go_on = threading.Event()
            self.reached = threading.Event()

        def open(self, settings):
            self.threads.append(threading.current_thread())

        def process(self, record):
            self.threads.append(threading.current_thread())
            self.reached.set()
            self.go_on.wait(10)

    sink = Plain()
    async with ScriptedSidecar() as sidecar, running(sink, sidecar):
        session = await sidecar.open()
        await session.batch(record("a"))
        assert (await session.probe()).status == common.Health.STATUS_HEALTHY
        sink.go_on.set()
        assert ranges(await session.receive("results")) == [(1, 1)]
    assert len(set(sink.threads)) == 1 and sink.threads[0] is not threading.main_thread()


@pytest.mark.parametrize("code", ["INVALID_ARGUMENT", "FAILED_PRECONDITION", "PERMISSION_DENIED", "UNAUTHENTICATED"])
@scenario
async def test_a_refusal_ends_the_run_and_says_why(code):
    async with ScriptedSidecar() as sidecar, running(Singly(), sidecar) as run:
        session = await sidecar.session()
        session.fail(grpc.StatusCode[code], "topic /default/x", error_info("TOPIC_NOT_ALLOWED"))
        with pytest.raises(SidecarRefused, match="TOPIC_NOT_ALLOWED.*topic /default/x") as caught:
            await run.ended()
    assert (caught.value.code, caught.value.reason) == (code, "TOPIC_NOT_ALLOWED")


@scenario
async def test_an_error_in_open_ends_the_run_and_is_told_to_the_sidecar():
    class Broken(Singly):
        async def open(self, settings):
            raise LookupError("no table")

    sink = Broken()
    async with ScriptedSidecar() as sidecar, running(sink, sidecar) as run:
        session = await sidecar.open()
        fault = await session.receive("fault")
        assert (fault.code, fault.message) == ("EXCEPTION", "no table")
        session.end()
        with pytest.raises(LookupError, match="no table"):
            await run.ended()
    assert "close" not in sink.journal.calls
