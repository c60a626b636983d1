"""What the Python sink does beyond the others: its table is the demo's evidence."""

import json
import sqlite3

import pytest
from danube.connector.v1 import sink_pb2
from sidecar import acked_ids, record
from sinks import LANGUAGES


@pytest.fixture(scope="module")
def language():
    return LANGUAGES["python"]


@pytest.fixture
def transport():
    return "tcp"


def test_a_row_says_where_its_record_came_from(session, sink):
    session.offer(record("a", key="JFK"), record("b"))
    session.results()

    keyed, keyless = map(dict, sink.rows())

    assert keyed == {
        "arrival": 1,
        "dedup_id": record("a").dedup_id,
        "topic": "/default/events",
        "partition_topic": "/default/events-part-0",
        "offset": 0,
        "key": "JFK",
        "payload": '{"name": "a"}',
        "attempt": 1,
    }
    assert keyless["key"] is None


def test_a_redelivery_keeps_its_arrival_and_shows_in_the_attempt(session, sink):
    session.offer(record("a"), record("b"))
    session.results()

    session.offer(record("a", attempt=3), record("b", attempt=1), record("c", attempt=2))
    session.results()

    assert [(row["arrival"], row["attempt"]) for row in sink.rows()] == [(1, 3), (2, 1), (3, 2)]


@pytest.mark.parametrize(
    "payload",
    [b"", b"null", b"[1]", b'"text"', b"{", b'{"a": NaN}', b"{} {}", b"\xff", b"[" * 100_000, b'\xef\xbb\xbf{"a": 1}'],
    ids=lambda payload: repr(payload[:12]),
)
def test_what_is_not_a_json_object_is_rejected(session, sink, payload):
    session.offer(record("a"), record("poison", payload=payload), record("b"))

    results = session.results()

    assert [(failure.delivery_id, failure.code) for failure in results.failures] == [(2, "NOT_A_JSON_OBJECT")]
    assert acked_ids(results) == [1, 3]
    assert len(sink.rows()) == 2


def test_a_database_that_is_locked_gets_the_batch_again(session, sink):
    session.offer(record("a"))
    session.results()
    other = sqlite3.connect(sink.effects)
    other.execute("BEGIN IMMEDIATE")

    session.offer(record("b"), record("c"))

    results = session.results()
    assert [failure.outcome for failure in results.failures] == [sink_pb2.OUTCOME_RETRY] * 2
    assert acked_ids(results) == []
    other.rollback()
    session.offer(record("b", attempt=2), record("c", attempt=2))
    assert acked_ids(session.results()) == [4, 5]
    other.close()


def test_the_operators_database_wins_over_the_environments(sidecar, start, tmp_path):
    sink = start(sidecar.address)
    session = sidecar.opened_session(settings=json.dumps({"sqlite": {"database": str(tmp_path / "operators.db")}}))
    session.offer(record("a"))
    session.results()

    assert not sink.effects.exists()
    assert (tmp_path / "operators.db").exists()
