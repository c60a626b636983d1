"""The webhook source, with HTTP clients that post, and post again what was not answered 202."""

import collections
import contextlib
import hashlib
import hmac
import http.client
import json
import os
import signal
import subprocess
import threading

import pytest
from conftest import need
from stack import PATIENCE, ROOT, eventually, free_port

EXAMPLE = ROOT / "examples/webhook-source-typescript"
BUILD = 300  # Seconds for a build.
SECRET = "It's a Secret to Everybody"

CONFIG = """
[danube]
create_topics = true   # The reader comes first.

[[connectors.webhooks.producers]]
topic = "/default/orders"

[connectors.webhooks.processing]
window_records = {window}

[connectors.webhooks.settings]
port = {port}
commit_timeout_ms = {commit_timeout_ms}
max_body_bytes = {max_body_bytes}

[connectors.webhooks.settings.routes."/hooks/orders"]
topic = "/default/orders"
key_pointer = "/customer"
headers = ["x-shop"]

[connectors.webhooks.settings.routes."/hooks/signed"]
topic = "/default/orders"
secret_env = "WEBHOOK_SECRET"
"""


@pytest.fixture(scope="module")
def program():
    need("node", "npm")
    # tools/suite has built both, and others use the SDK meanwhile.
    for folder in () if os.environ.get("SUITE_BUILT") else (ROOT / "sdk-typescript", EXAMPLE):
        subprocess.run(["npm", "run", "--silent", "build"], cwd=folder, check=True, timeout=BUILD)
    return ["node", EXAMPLE / "dist/main.js"]


@pytest.fixture
def shop(stack, program):
    """Starts the whole: broker, sidecar, a reader of the topic, and the source."""

    def start(window=1000, commit_timeout_ms=10_000, max_body_bytes=1000):
        port = free_port()
        settings = {"window": window, "commit_timeout_ms": commit_timeout_ms, "max_body_bytes": max_body_bytes}
        return Shop(stack(CONFIG.format(port=port, **settings)), program, port)

    return start


class Shop:
    def __init__(self, stack, program, port):
        self.stack, self.program, self.port = stack, program, port
        self.received = stack.consume("/default/orders")
        self.start_source()

    def start_source(self):
        self.source = self.stack.start("webhooks", self.program, WEBHOOK_SECRET=SECRET)
        eventually("the source", lambda: self.health() == 200, [self.source])

    def kill_source(self):
        self.source.kill_all()
        self.start_source()

    def health(self):
        with contextlib.suppress(OSError):
            return Client(self.port).request("GET", "/healthz")[0]

    def post(self, body, path="/hooks/orders", **headers):
        return Client(self.port).request("POST", path, body, headers)

    def in_topic(self):
        return [record["text"] for record in self.stack.received(self.received)]


class Client:
    """Keeps its connection, as senders of webhooks do."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)

    def request(self, method, path, body=None, headers=None):
        """The status and the headers of the answer; an OSError where none comes."""
        try:
            self.connection.request(method, path, body, headers or {})
            answer = self.connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            raise OSError(f"no answer: {error}") from error
        return answer.status, answer.headers


class Customer(threading.Thread):
    """Posts its orders one after the other, each until it is answered 202, or until it is to leave."""

    def __init__(self, port, name, orders):
        super().__init__(name=name, daemon=True)
        self.client, self.orders, self.leave = Client(port), orders, threading.Event()
        self.statuses, self.posts, self.accepted = collections.Counter(), collections.Counter(), []

    def run(self):
        for number in range(self.orders):
            body = json.dumps({"customer": self.name, "number": number})
            while not self.post(body, f"{self.name}-{number}"):
                if self.leave.wait(0.02):  # Less than Retry-After says: the test has no time.
                    return

    def post(self, body, idempotency_key):
        self.posts[body] += 1
        headers = {"X-Shop": "north", "X-Other": "none", "Idempotency-Key": idempotency_key}
        try:
            status, _ = self.client.request("POST", "/hooks/orders", body, headers)
        except OSError:
            status = None
        self.statuses[status] += 1
        if status == 202:
            self.accepted.append(body)
        return status == 202


def test_what_was_answered_202_is_in_the_topic_whatever_was_killed_meanwhile(shop):
    customers, orders = 16, 200
    shop = shop(window=12)
    threads = [Customer(shop.port, f"customer-{number}", orders) for number in range(customers)]
    for thread in threads:
        thread.start()
    accepted = lambda: sum(len(thread.accepted) for thread in threads)
    for share, kill in ((0.25, shop.kill_source), (0.5, shop.stack.kill_sidecar), (0.75, shop.kill_source)):
        eventually("orders", lambda: accepted() >= share * customers * orders, [shop.source, shop.stack.sidecar])
        assert accepted() < customers * orders, "they are still posting"
        kill()
    eventually("the last orders", lambda: accepted() == customers * orders, [shop.source, shop.stack.sidecar])
    eventually("all of them in the topic", lambda: len(set(shop.in_topic())) >= customers * orders, [shop.stack.sidecar])

    records = {record["dedup_id"]: record for record in shop.stack.received(shop.received)}.values()
    posts = sum((thread.posts for thread in threads), collections.Counter())
    arrivals = collections.Counter(record["text"] for record in records)
    assert set(arrivals) == set(posts), "what was posted, nothing else"
    # A post brings one record, and a sidecar that died another: what it had published and not told is published again.
    assert all(arrivals[body] <= posts[body] + 1 for body in arrivals)
    for record in records:
        order = json.loads(record["text"])
        assert record["key"] == order["customer"]
        key = f"{order['customer']}-{order['number']}"
        assert {"x-shop": "north", "idempotency-key": key}.items() <= record["attributes"].items()
        assert "x-other" not in record["attributes"]
    for thread in threads:
        first = dict.fromkeys(record["text"] for record in records if record["key"] == thread.name)
        assert list(first) == thread.accepted, "the orders of a customer are in order"
    statuses = sum((thread.statuses for thread in threads), collections.Counter())
    assert statuses[429] and statuses[None], statuses  # More customers than room; connections that were cut.
    assert set(statuses) <= {202, 429, 503, 504, None}, statuses


@pytest.mark.skipif("DANUBE_SERVICE_URL" in os.environ, reason="stops the embedded broker")
def test_while_danube_stands_still_posts_are_answered_429_and_504_and_nothing_is_lost(shop):
    window = 20
    shop = shop(window=window, commit_timeout_ms=1500)
    assert shop.post('{"customer": "c", "number": 0}')[0] == 202
    broker = shop.stack.processes[0]
    answers = {}

    def post(number):
        answers[number] = shop.post(json.dumps({"customer": "c", "number": number}))

    os.kill(broker.pid, signal.SIGSTOP)
    try:
        eventually("the broker to stand still", lambda: os.waitid(os.P_PID, broker.pid, os.WSTOPPED | os.WNOHANG))
        threads = [threading.Thread(target=post, args=[number], daemon=True) for number in range(1, 2 * window + 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
    finally:
        os.kill(broker.pid, signal.SIGCONT)
    by_status = collections.defaultdict(set)
    for number, (status, headers) in answers.items():
        by_status[status].add(number)
        assert (headers["Retry-After"] is not None) == (status == 429)
    assert set(by_status) == {429, 504}
    assert window - 1 <= len(by_status[504]) <= window, "as many as there is room for: the last demand may be on its way"

    eventually("a POST that is accepted", lambda: shop.post('{"customer": "c", "number": 1000}')[0] == 202)
    numbers = lambda: {json.loads(text)["number"] for text in shop.in_topic()}
    taken = {0, 1000} | by_status[504]
    eventually("what was taken in the topic", lambda: numbers() >= taken, [shop.stack.sidecar])
    assert numbers() == taken, "what was answered 429 was not"


def test_without_a_sidecar_posts_are_answered_503(shop):
    shop = shop()
    shop.stack.sidecar.kill_all()
    eventually("the health", lambda: shop.health() == 503, [shop.source])
    status, headers = shop.post('{"customer": "c"}')
    assert (status, headers["Retry-After"]) == (503, "1")
    shop.stack.start_sidecar()
    eventually("the health", lambda: shop.health() == 200, [shop.source])
    assert shop.post('{"customer": "c"}')[0] == 202


def test_only_what_is_asked_rightly_is_published(shop):
    shop = shop()
    signature = lambda body: "sha256=" + hmac.new(SECRET.encode(), body.encode(), hashlib.sha256).hexdigest()
    assert shop.post("{}", "/hooks/none")[0] == 404
    assert Client(shop.port).request("PUT", "/hooks/orders", "{}")[0] == 405
    assert shop.post('{"customer": null}')[0] == 400
    assert shop.post(json.dumps({"customer": "x" * 1000}))[0] == 413
    assert shop.post("wrong", "/hooks/signed")[0] == 401
    assert shop.post("wrong", "/hooks/signed", **{"X-Hub-Signature-256": signature("right")})[0] == 401
    assert shop.post("right", "/hooks/signed", **{"X-Hub-Signature-256": signature("right")})[0] == 202
    assert shop.post('{"customer": "last"}')[0] == 202
    eventually("the last record", lambda: '{"customer": "last"}' in shop.in_topic(), [shop.stack.sidecar])
    assert shop.in_topic() == ["right", '{"customer": "last"}']


def test_what_danube_cannot_store_is_answered_413_and_not_published(shop):
    shop = shop(max_body_bytes=6_000_000)
    order = lambda customer, size: json.dumps({"customer": customer, "note": "x" * size})
    assert shop.post(order("fits", 4_000_000))[0] == 202
    for _ in range(3):
        assert shop.post(order("too large", 4_129_900))[0] == 413
    assert shop.post(order("last", 0))[0] == 202
    eventually("the last record", lambda: any('"last"' in text for text in shop.in_topic()), [shop.stack.sidecar])
    assert [json.loads(text)["customer"] for text in shop.in_topic()] == ["fits", "last"]


def test_at_sigterm_what_was_taken_is_answered_and_the_program_ends(shop):
    shop = shop()
    threads = [Customer(shop.port, f"customer-{number}", 10_000) for number in range(4)]
    for thread in threads:
        thread.start()
    eventually("orders", lambda: all(len(thread.accepted) > 20 for thread in threads), [shop.source])
    assert shop.source.end() == 0
    for thread in threads:
        thread.leave.set()
        thread.join(PATIENCE)
    accepted = [body for thread in threads for body in thread.accepted]
    eventually("all of them in the topic", lambda: len(shop.in_topic()) >= len(accepted), [shop.stack.sidecar])
    assert sorted(shop.in_topic()) == sorted(accepted), "whatever was taken was answered 202, and came once"


def test_its_parts(program):
    subprocess.run(["npm", "test", "--silent"], cwd=EXAMPLE, check=True, timeout=BUILD)
