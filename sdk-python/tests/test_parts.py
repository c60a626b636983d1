"""The parts that need no sidecar."""

import asyncio
from datetime import timedelta

import grpc
import grpc.aio
import pytest

from connectors import numbered, source_record
from danube_connector import Busy, ConfigError, InvalidPayload, Position, Record, RecordTooLarge, Retry, Sink, Source, SourceRecord, run
from danube_connector._address import grpc_target
from danube_connector._changes import Changes
from danube_connector._lanes import MOST, HeldLanes
from danube_connector._outbox import Outbox
from danube_connector._pause import Pause
from danube_connector._reconnect import Reconnect
from danube_connector._session import SINK, Session, SessionLost, Sidecar, Unreachable
from danube_connector._status import status_of
from danube_connector._text import message
from details import error_info, retry_info
from scripted import scenario


@pytest.mark.parametrize(
    "address, target",
    [
        ("http://127.0.0.1:6670", "127.0.0.1:6670"),
        ("http://sidecar:1/", "sidecar:1"),
        ("http://[::1]:6670", "[::1]:6670"),
        ("unix:///run/s.sock", "unix:/run/s.sock"),
        ("unix:/run/s.sock", "unix:/run/s.sock"),
    ],
)
def test_both_kinds_of_address_are_read(address, target):
    assert grpc_target(address) == target


@pytest.mark.parametrize(
    "address", ["localhost:6670", "https://host:1", "http://host", "http://host:x", "http://h:1/path", "unix:relative", "unix://"]
)
def test_other_addresses_are_refused_with_the_expected_form(address):
    with pytest.raises(ConfigError) as caught:
        grpc_target(address)
    assert address in str(caught.value) and "http://HOST:PORT or unix:///PATH" in str(caught.value)


def test_a_token_is_never_shown_and_has_to_fit_into_a_header():
    assert "secret" not in repr(Sidecar("http://h:1", "secret"))
    with pytest.raises(ConfigError) as caught:
        Sidecar("http://h:1", "two\nlines")
    assert "two" not in str(caught.value)


def test_details_of_a_status_are_read():
    def status(details):
        metadata = grpc.aio.Metadata(("grpc-status-details-bin", details))
        return status_of(grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), metadata, "away"))

    assert status(error_info("WHY")).reason == "WHY"
    assert status(retry_info(1500)).retry_after == 1.5
    assert status(b"\xff").reason == "UNAVAILABLE"


def test_the_backoff_doubles_up_to_its_bound_and_a_good_session_resets_it(monkeypatch):
    now = [0.0]
    reconnect = Reconnect("here", clock=lambda: now[0])
    monkeypatch.setattr("random.uniform", lambda low, high: high)
    waits = [reconnect.lost(Unreachable("no")) for _ in range(9)]
    assert waits == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]
    reconnect.opened("short")
    assert reconnect.lost(SessionLost("short")) == 10.0
    reconnect.opened("good")
    now[0] += 5
    assert reconnect.lost(SessionLost("good")) == 0.1
    assert reconnect.lost(SessionLost("wait", retry_after=7.0)) == 7.0


def test_complaints_come_at_once_and_then_at_most_every_half_minute(caplog):
    now = [0.0]
    reconnect = Reconnect("here", clock=lambda: now[0])
    for moment in (0, 1, 29, 30, 31):
        now[0] = float(moment)
        reconnect.lost(Unreachable("no sidecar answers"))
    assert len(caplog.records) == 2


def test_lanes_that_are_remembered_are_bounded():
    lanes = HeldLanes()
    for key in range(MOST):
        lanes.hold(Record(b"", key=str(key)), 1)
    lanes.hold(Record(b"", key="last"), 1)
    assert lanes.admits(Record(b"", key="0"), 2) and not lanes.admits(Record(b"", key="last"), 2)


def test_lanes_are_of_a_topic():
    lanes = HeldLanes()
    lanes.hold(Record(b"", topic="a", key="k"), 1)
    assert lanes.admits(Record(b"", topic="b", key="k"), 2)


def test_what_was_in_hand_when_a_lane_was_held_does_not_open_it():
    lanes = HeldLanes()
    lanes.hold(Record(b"", key="k", attempt=2), 5)
    assert not lanes.admits(Record(b"", key="k", attempt=2), 5)
    assert lanes.admits(Record(b"", key="k", attempt=3), 6)


def test_a_pause_is_never_shortened_and_says_what_is_left_of_it(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("danube_connector._pause.time.monotonic", lambda: now[0])
    pause = Pause()
    assert pause.left() is None
    pause.begin(Busy("later", code="LIMIT", after=2))
    pause.begin(Busy("sooner", after=1))
    now[0] = 0.5
    left = pause.left()
    assert (left.message, left.code, left.after) == ("later", "LIMIT", timedelta(seconds=1.5))
    now[0] = 2.0
    assert pause.left() is None
    pause.begin(Busy())
    assert pause.left().after == timedelta(seconds=1)


def test_a_message_is_cut_and_always_valid():
    assert message("é" * 1000) == "é" * 512
    assert message("\udcff") == "?"


@pytest.mark.parametrize("payload", [b"\xff", b"{", b"[" * 100_000])
def test_an_invalid_payload_is_a_reject_that_does_not_show_it(payload):
    with pytest.raises(InvalidPayload) as caught:
        Record(payload).json()
    assert isinstance(caught.value, ValueError) and payload.decode("latin-1") not in caught.value.message


def test_a_negative_retry_delay_is_an_error():
    with pytest.raises(ValueError, match="after is -1"):
        Retry(after=-1)


@scenario
async def test_who_waits_for_a_change_is_woken_by_it_and_by_its_time():
    changes, done = Changes(), []
    assert not await changes.until(lambda: done, timeout=0)
    waiting = asyncio.ensure_future(changes.until(lambda: done))
    await asyncio.sleep(0)
    changes.notify()
    await asyncio.sleep(0)
    assert not waiting.done()
    done.append(1)
    changes.notify()
    assert await waiting


def test_commits_are_cumulative_and_repeats_do_nothing():
    outbox = Outbox()
    outbox.allow(10, 1000)
    for record in numbered("a", "b", "c"):
        outbox.add(record)
    assert [record.payload for record in outbox.next_frame().records] == [b"a", b"b", b"c"]
    assert [entry.record.payload for entry in outbox.commit(2)] == [b"a", b"b"]
    assert outbox.commit(1) == []
    assert outbox.entry(3) is not None and outbox.entry(2) is None
    with pytest.raises(SessionLost):
        outbox.commit(4)


def test_room_counts_what_waits():
    outbox = Outbox()
    assert not outbox.has_room()
    outbox.allow(2, 1000)
    outbox.allow(1, 1)
    outbox.add(source_record("a"))
    assert outbox.has_room()
    outbox.add(source_record("b"))
    assert not outbox.has_room()


def test_of_records_at_the_same_place_only_what_is_news_is_committed():
    outbox = Outbox()
    place = Position("file", 0)
    for text in "abcd":
        outbox.add(SourceRecord(text.encode(), topic="/default/t", position=place))

    def texts(entries):
        return [entry.record.payload for entry in entries]

    def reopened_and_sent():
        committed = outbox.reopen(0, {"file": place})
        outbox.allow(10, 1000)
        outbox.next_frame()
        return texts(committed)

    assert reopened_and_sent() == [b"a"]
    assert reopened_and_sent() == []
    assert texts(outbox.commit(1)) == [b"b"]
    assert reopened_and_sent() == []


def test_a_record_above_the_limit_is_named():
    outbox = Outbox()
    outbox.reopen(1000, {})
    with pytest.raises(RecordTooLarge, match="/default/t.*1000"):
        outbox.add(source_record("x" * 1000))


class Both(Sink):
    def process(self, record):
        pass

    def process_batch(self, records):
        return None


@pytest.mark.parametrize("connector, what", [(Sink(), "process"), (Both(), "process_batch"), (Source(), "poll")])
def test_a_connector_overrides_one_of_two_methods(connector, what):
    with pytest.raises(TypeError, match=what):
        run(connector, name="n")


def test_an_unknown_option_is_named():
    with pytest.raises(TypeError, match="'windows'"):
        run(Sink(), windows=1)


def test_a_connector_needs_a_name(monkeypatch):
    class One(Sink):
        def process(self, record):
            pass

    monkeypatch.delenv("CONNECTOR_NAME", raising=False)
    with pytest.raises(ConfigError, match="CONNECTOR_NAME"):
        run(One())


@pytest.mark.parametrize("error", [asyncio.CancelledError(), asyncio.InvalidStateError(), grpc.aio.UsageError()])
@scenario
async def test_a_stream_that_was_closed_does_not_end_who_sends(error):
    class Closed:
        async def write(self, frame):
            raise error

    session = Session(SINK, None, Closed())
    await session.drained()
    assert not session.is_open
