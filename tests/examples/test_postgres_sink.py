"""The PostgreSQL sink, with a server of its own: what becomes of each record, and the account when everything is killed."""

import contextlib
import importlib.util
import json
import subprocess
import sys
from datetime import datetime, timezone

import pytest
from stack import BINARIES, PATIENCE, ROOT, TOOLS, Stack, eventually

sys.path.insert(0, str(ROOT / "sdk-python/src"))

import psycopg  # noqa: E402
from danube_connector import Busy, Fatal, Record, Reject, Retry  # noqa: E402
from postgres import Postgres  # noqa: E402

PROGRAM = ROOT / "examples/postgres-sink-python/sink.py"
PYTHON = TOOLS / "venv/bin/python"
ROW = "dedup_id text PRIMARY KEY, key text, payload jsonb NOT NULL, published_at timestamptz NOT NULL"


def load():
    spec = importlib.util.spec_from_file_location("postgres_sink", PROGRAM)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


postgres_sink = load()


@pytest.fixture(scope="module")
def postgres(tmp_path_factory):
    server = Postgres(tmp_path_factory.mktemp("server"))
    yield server
    server.stop()


@pytest.fixture
def tables(postgres):
    """Starts each test without tables."""
    postgres.query("DROP SCHEMA IF EXISTS sales CASCADE")
    postgres.query("DROP TABLE IF EXISTS records, orders")
    postgres.query("CREATE SCHEMA sales")


@pytest.fixture
def sink(postgres, tables, monkeypatch):
    """Opens a sink with settings."""
    monkeypatch.setenv("DATABASE_URL", postgres.dsn)
    opened = []

    def start(**settings):
        opened.append(postgres_sink.PostgresSink())
        opened[-1].open(settings)
        return opened[-1]

    yield start
    for each in opened:
        each.close()


def record(dedup_id, payload='{"n": 1}', key=None, **attributes):
    return Record(payload.encode(), key=key, dedup_id=dedup_id, attributes=attributes, publish_time_ms=1_700_000_000_500)


def codes(outcomes):
    return [outcome and outcome.code for outcome in outcomes]


def test_a_row_has_what_the_record_had(sink, postgres):
    payload = '{"a": 12345678901234567890.5, "b": [null, "é"]}'
    assert sink().process_batch([record("1", payload, key="k"), record("2")]) == [None, None]
    at = datetime(2023, 11, 14, 22, 13, 20, 500_000, tzinfo=timezone.utc)
    rows = postgres.query("SELECT dedup_id, key, payload::text, published_at FROM records ORDER BY dedup_id")
    assert rows == [("1", "k", payload, at), ("2", None, '{"n": 1}', at)]


def test_a_record_that_comes_again_finds_its_row(sink, postgres):
    first, second = sink(), sink()
    assert first.process_batch([record("1", key="before")]) == [None]
    assert second.process_batch([record("1", key="again"), record("2"), record("2")]) == [None, None, None]
    assert postgres.query("SELECT dedup_id, key FROM records ORDER BY 1") == [("1", "before"), ("2", None)]


def test_a_record_goes_to_the_table_that_it_names_and_to_no_other_than_those_allowed(sink, postgres):
    one = sink(default_table="orders", tables=["orders", "sales.returns"], table_attribute="kind")
    batch = [record("1"), record("2", kind="sales.returns"), record("3", kind="pg_authid"), record("4", kind="orders; --"),
             record("5", kind="orders", table="pg_authid")]
    assert codes(one.process_batch(batch)) == [None, None, "UNKNOWN_TABLE", "UNKNOWN_TABLE", None]
    assert postgres.query("SELECT dedup_id FROM orders ORDER BY 1") == [("1",), ("5",)]
    assert postgres.query("SELECT dedup_id FROM sales.returns") == [("2",)]


@pytest.mark.parametrize("payload, code", [
    ("", "INVALID_PAYLOAD"), ("{", "INVALID_PAYLOAD"), ("[" * 100_000, "INVALID_PAYLOAD"),
    ("[1]", "NOT_AN_OBJECT"), ("null", "NOT_AN_OBJECT"),
    ('{"a": NaN}', "ROW_REFUSED"), ('{"a": "\\u0000"}', "ROW_REFUSED"), ('{"a": 1e999999}', "ROW_REFUSED"),
])
def test_a_payload_that_cannot_be_stored_is_rejected_and_its_neighbours_are_written(sink, postgres, payload, code):
    batch = [record(str(number)) for number in range(9)]
    batch[4] = record("bad", payload)
    one = sink()
    outcomes = one.process_batch(batch)
    assert codes(outcomes) == [None] * 4 + [code] + [None] * 4 and isinstance(outcomes[4], Reject)
    assert codes(one.process_batch([record("alone", payload)])) == [code]
    assert postgres.query("SELECT count(*) FROM records") == [(8,)]


def test_a_key_that_cannot_be_stored_is_rejected(sink):
    assert codes(sink().process_batch([record("1", key="a\0b"), record("2")])) == ["ROW_REFUSED", None]


def test_what_a_table_refuses_is_rejected_without_a_word_of_the_payload(sink, postgres):
    postgres.query(f"CREATE TABLE records ({ROW}, CONSTRAINT positive CHECK ((payload->>'n')::int > 0))")
    outcomes = sink().process_batch([record(str(n), f'{{"n": {n}, "secret": "xyzzy"}}') for n in (1, -1, 2, 0, 3)])
    assert codes(outcomes) == [None, "ROW_REFUSED", None, "ROW_REFUSED", None]
    assert outcomes[1].message == '23514: new row for relation "records" violates check constraint "positive"'
    assert postgres.query("SELECT (payload->>'n')::int FROM records ORDER BY 1") == [(1,), (2,), (3,)]


def test_a_connection_that_is_lost_has_the_batch_come_again_to_a_new_one(sink, postgres):
    one = sink()
    one.process_batch([record("1")])
    own = "application_name = 'danube-postgres-sink'"
    postgres.query(f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE {own}")
    with pytest.raises(Retry) as caught:
        one.process_batch([record("2")])
    assert caught.value.code == "DATABASE_UNAVAILABLE"
    assert one.process_batch([record("2")]) == [None]
    assert postgres.query("SELECT count(*) FROM records") == [(2,)]


def test_a_server_that_takes_nothing_at_present_is_busy_and_the_next_batch_has_a_new_connection(sink, postgres):
    one = sink()
    one.process_batch([record("1")])
    with read_only(postgres), pytest.raises(Busy, match="25006"):
        eventually("a refusal", lambda: one.process_batch([record("2")]) != [None])
    eventually("it writes again", lambda: is_written(one, record("2")))


@contextlib.contextmanager
def read_only(postgres):
    """The server writes nothing, as one that another took over from."""
    postgres.query("ALTER SYSTEM SET default_transaction_read_only = on")
    postgres.query("SELECT pg_reload_conf()")
    try:
        yield
    finally:
        postgres.query("ALTER SYSTEM RESET default_transaction_read_only")
        postgres.query("SELECT pg_reload_conf()")


def is_written(sink, record):
    with contextlib.suppress(Busy):
        return sink.process_batch([record]) == [None]


@pytest.mark.parametrize("words", ["FATAL:  sorry, too many clients already", "FATAL:  the database system is starting up"])
def test_a_connection_that_is_refused_by_a_server_is_busy_and_one_that_nobody_answers_is_not(words):
    assert postgres_sink.is_busy(psycopg.OperationalError(f"connection failed: {words}"))
    assert not postgres_sink.is_busy(psycopg.OperationalError("connection failed: Connection refused"))


def test_a_table_that_was_dropped_is_created_again(sink, postgres):
    one = sink()
    one.process_batch([record("1")])
    postgres.query("DROP TABLE records")
    with pytest.raises(Retry) as caught:
        one.process_batch([record("2")])
    assert caught.value.code == "DATABASE_ERROR"
    assert one.process_batch([record("2")]) == [None]


def test_a_table_that_is_there_needs_no_right_to_create(sink, postgres, monkeypatch):
    postgres.query(f"CREATE TABLE sales.orders ({ROW})")
    postgres.query("DROP ROLE IF EXISTS writer")
    postgres.query("CREATE ROLE writer LOGIN")
    postgres.query("GRANT USAGE ON SCHEMA sales TO writer")
    postgres.query("GRANT INSERT, SELECT ON sales.orders TO writer")
    monkeypatch.setenv("DATABASE_URL", postgres.dsn.replace("//postgres:", "//writer:"))
    try:
        one = sink(default_table="sales.orders")
        assert one.process_batch([record("1")]) == [None]
    finally:
        postgres.query("DROP OWNED BY writer")
        postgres.query("DROP ROLE writer")


def test_health_is_that_of_the_database(sink, tmp_path, monkeypatch):
    sink().health()
    monkeypatch.setenv("ELSEWHERE", f"postgresql://postgres:{Postgres.PASSWORD}@/postgres?host={tmp_path}")
    away = sink(dsn_env="ELSEWHERE")
    with pytest.raises(psycopg.OperationalError):
        away.health()
    with pytest.raises(Retry) as caught:
        away.process_batch([record("1")])
    assert caught.value.code == "DATABASE_UNAVAILABLE" and Postgres.PASSWORD not in caught.value.message


@pytest.mark.parametrize("settings, message", [
    ({"tabels": ["a"]}, "there is no setting 'tabels': expected dsn_env, table_attribute, default_table, tables"),
    ({"tables": "orders"}, "tables is 'orders': expected a list of names"),
    ({"tables": ["orders"]}, "default_table is 'records': expected one of tables"),
    ({"dsn_env": "NOT_SET"}, "NOT_SET is not set: expected a PostgreSQL connection string"),
    ({"dsn_env": "BROKEN"}, "BROKEN is no PostgreSQL connection string"),
])
def test_settings_that_cannot_be_used_are_named(sink, monkeypatch, settings, message):
    monkeypatch.setenv("BROKEN", f"postgres//user:{Postgres.PASSWORD}@host")
    with pytest.raises(Fatal) as caught:
        sink(**settings)
    assert caught.value.message == message


# The account.

NAME, TOPIC = "postgres-sink", "/default/orders"
CONFIG = f"""
[danube]
create_topics = true
[connectors.{NAME}]
subscriptions = [{{ topic = "{TOPIC}" }}]
[connectors.{NAME}.settings]
default_table = "orders"
tables = ["orders", "sales.returns"]
"""
RECORDS, RATE, KEYS = 8_000, 600, 40
REJECTED = {1: "INVALID_PAYLOAD", 2: "UNKNOWN_TABLE", 3: "ROW_REFUSED"}  # By number modulo 250.


def line(number):
    attributes = {"table": "sales.returns"} if number % 3 == 0 else {}
    code = REJECTED.get(number % 250)
    text = {"INVALID_PAYLOAD": f"no JSON: {number}", "ROW_REFUSED": f'{{"n": {number}, "text": "\\u0000"}}'}
    attributes |= {"table": "pg_authid"} if code == "UNKNOWN_TABLE" else {}
    return {"text": text.get(code, f'{{"n": {number}}}'), "key": f"k{number % KEYS}", "attributes": attributes}


def feed(folder, broker, monkeypatch):
    """Publishes the lines, through a sidecar of its own that nobody kills: each exactly once. Returns it and the feeder."""
    monkeypatch.setenv("DANUBE_SERVICE_URL", broker)
    folder.mkdir()
    lines = folder / "lines.jsonl"
    lines.write_text("".join(json.dumps(line(number)) + "\n" for number in range(1, RECORDS + 1)))
    stack = Stack(folder)
    return stack, stack.start("feeder", [PYTHON, ROOT / "tests/examples/feeder.py"], FEEDER_IN=lines, FEEDER_TOPIC=TOPIC,
                              FEEDER_RATE=RATE, PYTHONPATH=ROOT / "sdk-python/src")


def dead_letters(stack):
    """The codes of dead letters, by record."""
    command = [BINARIES / "danube-sidecar", "dlq", "list", "--address", stack.http, "--connector", NAME, "--limit", "1000",
               "--output", "json"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE).stdout
    return {letter["dedup_id"]: letter["code"] for letter in json.loads(printed)["letters"]}


def test_every_message_is_one_row_in_the_order_of_its_key_whatever_dies(stack, postgres, tables, tmp_path, monkeypatch):
    postgres.query("CREATE SEQUENCE IF NOT EXISTS arrivals")
    for table in ("orders", "sales.returns"):  # With a column more, which tells the order.
        postgres.query(f"CREATE TABLE {table} ({ROW}, arrival bigint NOT NULL DEFAULT nextval('arrivals'))")
    stack = stack(CONFIG)

    def start():
        return stack.start(NAME, [PYTHON, PROGRAM], DATABASE_URL=postgres.dsn, PYTHONPATH=ROOT / "sdk-python/src")

    def rows():
        return postgres.query("SELECT (SELECT count(*) FROM orders) + (SELECT count(*) FROM sales.returns)")[0][0]

    def die(after, what):
        eventually(f"{after} rows", lambda: rows() >= after, [stack.sidecar, feeder])
        what()
        assert feeder.poll() is None, "the records were to flow meanwhile"

    sink = start()
    stack.wait_until_attached(NAME)
    feeding, feeder = feed(tmp_path / "feed", stack.broker, monkeypatch)
    try:
        die(300, sink.kill_all)
        sink = start()
        die(1000, stack.kill_sidecar)
        die(1700, postgres.kill)
        postgres.start()
        die(2400, postgres.abort)
        postgres.start()
        assert feeder.wait(PATIENCE) == 0
    finally:
        feeding.stop()

    rejected = {number: code for number in range(1, RECORDS + 1) if (code := REJECTED.get(number % 250))}
    eventually("all rows", lambda: rows() == RECORDS - len(rejected), [stack.sidecar, sink])
    eventually("all dead letters", lambda: len(dead_letters(stack)) == len(rejected), [stack.sidecar, sink])
    stack.wait_until_settled(NAME)

    found = []
    for table in ("orders", "sales.returns"):
        numbers = postgres.query(f"SELECT (payload->>'n')::int, key FROM {table} ORDER BY arrival")
        for key in {key for _, key in numbers}:
            of_key = [number for number, own in numbers if own == key]
            assert of_key == sorted(of_key), f"{table}: {key}"
        assert all((number % 3 == 0) == (table == "sales.returns") for number, _ in numbers)
        found += [number for number, _ in numbers]
    assert sorted(found) == [number for number in range(1, RECORDS + 1) if number not in rejected]
    assert sorted(dead_letters(stack).values()) == sorted(rejected.values())
    assert sink.end() == 0
    for log in tmp_path.rglob("*.log"):
        assert Postgres.PASSWORD not in log.read_text(errors="replace"), log
