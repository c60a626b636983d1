"""What every sink on nothing but generated stubs keeps of the contract, in each language."""

import grpc
import pytest
from danube.connector.v1 import common_pb2
from sidecar import DRAIN, acked_ids, record


def stored(*names):
    """What a sink has stored that has written these records."""
    return {record(name).dedup_id: record(name).payload for name in names}


def says(line, code):
    """Each language spells status codes in its own way: FAILED_PRECONDITION, FailedPrecondition."""
    return code.name.replace("_", "").lower() in line.replace("_", "").lower()


def test_the_first_frame_is_an_open_with_connector_and_topic(session):
    assert session.open.connector == "under-test"
    assert [subscription.topic for subscription in session.open.subscriptions] == ["/default/events"]


def test_the_authority_is_one_that_the_sidecar_accepts_on_unix_sockets(listener, start):
    start(listener.address)

    assert listener.request_headers()[":authority"] == "localhost"


def test_a_batch_is_stored_before_it_is_acked(session, sink):
    ids = session.offer(record("a"), record("b"), record("c"))

    assert acked_ids(session.results()) == ids
    assert sink.stored() == stored("a", "b", "c")


def test_payloads_are_stored_as_they_came(session, sink):
    payload = '{"text": "Ün\\"ïcode \\\\ \u2028 \U0001f6f6 </script>\\r\\n", "n": 1.50}\n'.encode()

    session.offer(record("a", payload=payload))

    session.results()
    assert sink.stored() == {record("a").dedup_id: payload}


def test_batches_are_acked_each_for_itself_and_all_is_stored(session, sink):
    names = [f"r{number}" for number in range(500)]
    offered = [session.offer(*map(record, names[start : start + 50])) for start in range(0, 500, 50)]

    assert [acked_ids(session.results()) for _ in offered] == offered
    assert sink.stored() == stored(*names)


def test_a_record_offered_again_is_acked_again_and_stored_once(session, sink):
    session.offer(record("a"), record("b"))
    session.results()

    again = session.offer(record("b", attempt=2), record("c"))

    assert acked_ids(session.results()) == again
    assert sink.stored() == stored("a", "b", "c")


def test_a_record_twice_in_one_batch_is_stored_once(session, sink):
    ids = session.offer(record("a"), record("a", attempt=2))

    assert acked_ids(session.results()) == ids
    assert sink.stored() == stored("a")


def test_what_a_killed_sink_had_stored_is_not_stored_again_by_the_next(sidecar, start):
    first = start(sidecar.address)
    session = sidecar.opened_session()
    session.offer(record("a"), record("b"))
    session.results()
    first.kill()

    second = start(sidecar.address)
    session = sidecar.opened_session()
    again = session.offer(record("b", attempt=2), record("c"))

    assert acked_ids(session.results()) == again
    assert second.stored() == stored("a", "b", "c")


def test_a_frame_of_a_later_protocol_version_is_ignored(session, sink):
    session.send()

    session.offer(record("a"))

    session.results()
    assert sink.stored() == stored("a")


def test_drain_is_answered_with_drained_after_all_results_and_ends_the_process(session, sink):
    assert list(session.open.capabilities) == [common_pb2.CAPABILITY_DRAIN, common_pb2.CAPABILITY_PROBE]
    ids = session.offer(record("a"))
    session.send(drain=DRAIN)

    assert acked_ids(session.results()) == ids
    assert session.receive().WhichOneof("frame") == "drained"
    assert session.receive() is None
    session.end()
    assert sink.ended() == (0, [])


# In Go and Java it does not fit into sixty lines: SIGTERM ends those at once, which costs a redelivery at most.
@pytest.mark.parametrize("language", ["python", "typescript"], indirect=True)
def test_sigterm_between_two_batches_says_drained_and_ends_the_process(session, sink):
    session.offer(record("a"))
    session.results()

    sink.terminate()

    assert session.receive().WhichOneof("frame") == "drained"
    assert session.receive() is None
    session.offer(record("b"))  # It was on its way already.
    session.end()
    assert sink.ended() == (0, [])


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.FAILED_PRECONDITION])
def test_a_stream_that_fails_ends_the_process_with_one_clear_line(session, sink, code):
    session.end(code, "why it ended")

    exit_code, said = sink.ended()

    assert exit_code not in (0, None)
    (line,) = said
    assert says(line, code) and "why it ended" in line


def test_a_sink_that_finds_no_sidecar_ends_with_one_clear_line(sidecar, start):
    sidecar.stop()

    exit_code, said = start(sidecar.address).ended()

    assert exit_code not in (0, None)
    (line,) = said
    assert says(line, grpc.StatusCode.UNAVAILABLE)
