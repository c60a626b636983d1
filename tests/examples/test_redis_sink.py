"""The Redis sink of examples/redis-sink-java, on a Redis server: each record once and in order, whatever is killed."""

import concurrent.futures
import json
import re
import subprocess

import pytest
from conftest import need
from stack import BINARIES, PATIENCE, ROOT, TOOLS, eventually, free_port

JAR = ROOT / "examples/redis-sink-java/target/redis-sink.jar"
TOPIC = "/default/orders"
KEYS = [f"key-{number}" for number in range(8)]

# Small batches: a kill finds some in every hand.
CONFIG = f"""
[danube]
create_topics = true

[inbox]
retain = "1h"

[connectors.redis-sink]
subscriptions = [{{ topic = "{TOPIC}" }}]
processing = {{ batch_size = 10, window_records = 40 }}
retry = {{ retry_backoff_ms = 100, max_backoff_ms = 1000 }}

[connectors.redis-sink.settings]
"""


class Redis:
    """A server that answers when a write is on disk, so that a kill loses nothing."""

    def __init__(self, stack):
        self.stack, self.port = stack, free_port()
        self.folder = stack.folder / "redis"
        self.folder.mkdir()
        self.start()

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}"

    def start(self):
        self.process = self.stack.start("redis", [
            TOOLS / "bin/redis-server", "--bind", "127.0.0.1", "--port", self.port, "--dir", self.folder, "--save", "",
            "--appendonly", "yes", "--appendfsync", "always"])
        eventually("Redis", lambda: self.cli("PING").stdout.strip() == '"PONG"', [self.process])

    def cli(self, *command):
        return subprocess.run([TOOLS / "bin/redis-cli", "-p", str(self.port), "-e", "--json", *map(str, command)],
                              capture_output=True, text=True, timeout=PATIENCE)

    def call(self, *command):
        answer = self.cli(*command)
        assert answer.returncode == 0, f"{command}: {answer.stdout}{answer.stderr}"
        return json.loads(answer.stdout)

    def kill(self):
        self.process.kill_all()
        self.start()

    def calls(self, command):
        """How often a command was called since the server's start."""
        found = re.search(rf"cmdstat_{command}:calls=(\d+)", self.cli("INFO", "commandstats").stdout)
        return int(found[1]) if found else 0

    def entries(self, stream):
        """The fields of each entry of a stream, in its order."""
        return [dict(zip(fields[::2], fields[1::2])) for _, fields in self.call("XRANGE", stream, "-", "+")]


class Sink:
    """The connector's process, on one stack."""

    def __init__(self, stack, redis):
        self.stack, self.redis = stack, redis
        self.start()
        stack.wait_until_attached("redis-sink")

    def start(self):
        self.process = self.stack.start("redis-sink", ["java", "-jar", JAR], REDIS_URL=self.redis.url)

    def kill(self):
        self.process.kill_all()
        self.start()


@pytest.fixture(scope="module", autouse=True)
def built():
    need("java", "mvn")
    subprocess.run([ROOT / "tools/setup", "redis", "java"], check=True, timeout=10 * PATIENCE)


@pytest.fixture
def begin(stack):
    """Starts everything, with these settings of the sink."""
    def start(settings):
        running = stack(CONFIG + settings)
        redis = Redis(running)
        return running, redis, Sink(running, redis)

    return start


def published_while(stack, payloads, disturb):
    """Publishes a key's payloads in their order, all keys at once, and disturbs meanwhile."""
    with concurrent.futures.ThreadPoolExecutor(len(payloads)) as pool:
        publishing = [pool.submit(stack.publish, TOPIC, lines, key) for key, lines in payloads.items()]
        disturb()
        for each in publishing:
            each.result()


def kill_each_in_its_turn(count, total, kills):
    """Kills at equal distances, while records flow: none of them may find all the work done."""
    for number, kill in enumerate(kills, start=1):
        eventually(f"record {number * total // (len(kills) + 1)}", lambda: count() >= number * total // (len(kills) + 1))
        assert count() < total, "there was nothing left to disturb"
        kill()


def test_each_record_is_in_the_stream_once_and_in_order_whatever_is_killed(begin):
    stack, redis, sink = begin('target = "orders"')
    payloads = {key: [f"{key} {number}" for number in range(500)] for key in KEYS}
    total = sum(map(len, payloads.values()))

    def count():
        return redis.call("XLEN", "orders")

    published_while(stack, payloads, lambda: kill_each_in_its_turn(
        count, total, [sink.kill, stack.kill_sidecar, redis.kill, sink.kill, stack.kill_sidecar, redis.kill]))
    eventually("all entries", lambda: count() >= total, [sink.process, redis.process, stack.sidecar])
    stack.wait_until_settled("redis-sink")

    entries = redis.entries("orders")
    written = {key: [entry["payload"] for entry in entries if entry["key"] == key] for key in KEYS}
    assert written == payloads
    assert len({entry["dedup_id"] for entry in entries}) == len(entries) == total
    assert {entry["topic"] for entry in entries} == {TOPIC}


def test_a_hash_has_what_the_last_record_of_its_key_said_whatever_is_killed(begin):
    stack, redis, sink = begin('mode = "hash"\ntarget = "order"')
    payloads = {key: [json.dumps({"n": number, f"third {number % 3}": number}) for number in range(300)] for key in KEYS}
    total = sum(map(len, payloads.values()))

    def count():
        return redis.call("DBSIZE") - len(KEYS)  # A marker for each record, beside the hashes.

    published_while(stack, payloads, lambda: kill_each_in_its_turn(
        count, total, [sink.kill, redis.kill, stack.kill_sidecar]))
    eventually("all markers", lambda: count() >= total, [sink.process, redis.process, stack.sidecar])
    stack.wait_until_settled("redis-sink")

    assert count() == total, "each was written once"
    last = {"n": "299", "third 0": "297", "third 1": "298", "third 2": "299"}
    assert {key: redis.call("HGETALL", f"order:{key}") for key in KEYS} == {key: last for key in KEYS}


def test_a_record_that_comes_late_once_more_changes_nothing(begin):
    stack, redis, sink = begin('mode = "hash"\ntarget = "order"')
    stack.publish(TOPIC, [json.dumps({"n": number}) for number in range(10)], key="k")
    eventually("the last record", lambda: redis.call("HGET", "order:k", "n") == "9", [sink.process])
    stack.wait_until_settled("redis-sink")

    redis.call("DEL", "order:k")
    sidecar(stack, "replay", "--from", "0")

    eventually("all of them once more", lambda: redis.calls("evalsha") >= 20, [sink.process])
    stack.wait_until_settled("redis-sink")
    assert redis.call("EXISTS", "order:k") == 0


def test_what_redis_can_never_take_is_a_dead_letter_and_what_it_cannot_take_now_waits(begin):
    stack, redis, sink = begin('mode = "hash"\ntarget = "order"')
    redis.call("SET", "order:taken", "a text")
    stack.publish(TOPIC, ['{"n": 1}'], key="taken")
    stack.publish(TOPIC, ["no JSON", "[1]"], key="k")
    stack.publish(TOPIC, ['{"n": 1}'])
    eventually("the dead letters", lambda: letters(stack) == ["NOT_AN_OBJECT", "NOT_JSON", "NO_KEY", "WRONGTYPE"], [sink.process])

    redis.call("CONFIG", "SET", "maxmemory", "1")
    stack.publish(TOPIC, ['{"n": 1}', '{"n": 2}'], key="k")
    eventually("a refusal", lambda: waits(stack), [sink.process])
    assert redis.call("EXISTS", "order:k") == 0
    redis.call("CONFIG", "SET", "maxmemory", "0")
    eventually("the last record", lambda: redis.call("HGET", "order:k", "n") == "2", [sink.process])
    assert len(letters(stack)) == 4


def waits(stack):
    """Whether the sink's worker pauses, or records wait for their next try."""
    sink = stack.status("sinks", "redis-sink")
    return sink.get("busy") or sink["retries_waiting"]


def letters(stack):
    """The codes of the dead letters."""
    return sorted(letter["code"] for letter in sidecar(stack, "dlq", "list")["letters"])


def sidecar(stack, *command):
    """What an operator's command says."""
    run = subprocess.run([BINARIES / "danube-sidecar", *command, "--address", stack.http, "--connector", "redis-sink",
                          "--output", "json"], capture_output=True, text=True, check=True, timeout=PATIENCE)
    return json.loads(run.stdout)
