"""The programs of docs/patterns.md, over kills: what they promise, counted."""

import collections
import contextlib
import http.server
import importlib
import json
import sqlite3
import sys
import threading

import pytest
from stack import ROOT, TOOLS, eventually

EXAMPLE = ROOT / "examples/patterns-python"
SDK = ROOT / "sdk-python/src"
KEYS = [f"customer-{number}" for number in range(5)]
OF_EACH = 300
WINDOW = 100  # Records that may be unresolved at a sink, or uncommitted at a source: small, so that kills hit the middle.


@pytest.fixture
def patterns(stack, tmp_path):
    """A stack with the example's own file; `replaced` are values in it that the test needs otherwise."""
    def start(**replaced):
        text = (EXAMPLE / "sidecar.toml").read_text().replace('danube_service_url = "http://127.0.0.1:6650"', "")
        for name in ("archive", "collected.db", "documents", "store"):
            text = text.replace(f'"{name}"', f'"{tmp_path / name}"')
        for before, after in replaced.items():
            assert before in text
            text = text.replace(before, after)
        return stack(text)

    return start


@pytest.fixture
def modules(monkeypatch):
    """The example's programs, to be called."""
    monkeypatch.syspath_prepend(str(SDK))
    monkeypatch.syspath_prepend(str(EXAMPLE))
    yield importlib.import_module
    for name in ("claim_check", "schemas"):
        sys.modules.pop(name, None)


def start(stack, program):
    return stack.start(program, [TOOLS / "venv/bin/python", EXAMPLE / f"{program}.py"], PYTHONPATH=SDK)


def first_offers(lines):
    """Each message once: the reader is a file that knows no identities, and may be offered one again."""
    return list({line["dedup_id"]: line for line in lines}.values())


def test_every_order_becomes_an_invoice_though_transform_and_sidecar_are_killed(patterns):
    producers = 'producers = [{ topic = "/default/invoices" }]'
    stack = patterns(**{producers: f"{producers}\nprocessing = {{ batch_size = 20, window_records = {WINDOW} }}"})
    out = stack.consume("/default/invoices")
    stack.wait_until_attached("invoices")
    for number, key in enumerate(KEYS):
        orders = [{"order": number * OF_EACH + each, "net": 100} for each in range(OF_EACH)]
        stack.publish("/default/orders", [json.dumps(order) for order in orders], key)
    total = len(KEYS) * OF_EACH
    transform = start(stack, "transform")
    kills = 0
    for share in (0.1, 0.3, 0.5, 0.7):
        eventually(f"{share:.0%} of the invoices", lambda: len(stack.received(out)) >= share * total, [transform])
        assert len(first_offers(stack.received(out))) < total, "the kill came too late to mean anything"
        kills += 1
        if share == 0.5:
            stack.kill_sidecar()
        else:
            transform.kill_all()
            transform = start(stack, "transform")

    def orders():
        return {json.loads(line["text"])["order"] for line in stack.received(out)}

    eventually("all invoices", lambda: len(orders()) == total, [transform])
    stack.wait_until_settled("invoices")
    stack.wait_until_settled("reader")
    invoices = first_offers(stack.received(out))
    assert orders() == set(range(total))
    assert all(json.loads(line["text"])["gross"] == 119 for line in invoices)
    origins = collections.defaultdict(set)
    for line in invoices:
        origins[json.loads(line["text"])["order"]].add(line["attributes"]["origin"])
    assert all(len(each) == 1 for each in origins.values()), "a second invoice of an order names another origin"
    assert len(invoices) - total <= (kills + 1) * WINDOW, "what was unresolved at the kills comes again; at the sidecar's, twice"
    for key in KEYS:  # First occurrences are in order; what comes twice may come behind newer ones.
        seen = list(dict.fromkeys(json.loads(line["text"])["order"] for line in invoices if line["key"] == key))
        assert seen == sorted(seen)
    eventually("a transform that can be told to stop", lambda: stack.status("sinks", "invoices")["workers"], [transform])
    assert transform.end() == 0


def test_what_is_no_order_is_a_dead_letter_and_a_test_order_is_filtered(patterns):
    stack = patterns()
    out = stack.consume("/default/invoices")
    stack.wait_until_attached("invoices")
    start(stack, "transform")
    test_order = '{"order": 2, "net": 1, "test": true}'
    stack.publish("/default/orders", ["not JSON", '{"order": 1}', test_order, '{"order": 3, "net": 200}'])
    eventually("the invoice", lambda: stack.received(out))
    eventually("the ends of the others", lambda: stack.outcomes("invoices", "dead_lettered") == 2)
    assert stack.outcomes("invoices", "filtered") == 1
    assert stack.outcomes("invoices", "acked") == 1
    assert [json.loads(line["text"]) for line in stack.received(out)] == [{"order": 3, "gross": 238}]


def test_messages_are_routed_by_their_content_untouched(patterns):
    stack = patterns()
    alarms, readings = stack.consume("/default/alarms", "alarms"), stack.consume("/default/readings", "readings")
    stack.wait_until_attached("router")
    router = start(stack, "route")
    sent = [json.dumps({"kind": "alarm" if number % 10 == 0 else "reading", "n": number}) for number in range(500)]
    stack.publish("/default/measurements", [*sent, '{"kind": "gossip"}'], KEYS[0])
    eventually("the first readings", lambda: len(stack.received(readings)) >= 100, [router])
    router.kill_all()
    start(stack, "route")

    def texts(out):
        return list(dict.fromkeys(line["text"] for line in stack.received(out)))

    eventually("all of them", lambda: len(texts(alarms)) + len(texts(readings)) >= len(sent))
    assert texts(alarms) == [text for text in sent if "alarm" in text]
    assert texts(readings) == [text for text in sent if "reading" in text]
    eventually("the dead letter", lambda: stack.outcomes("router", "dead_lettered") == 1)


def test_several_subscriptions_each_get_everything(patterns):
    stack = patterns()
    outs = [stack.consume("/default/everything", name) for name in ("billing", "search")]
    sent = [f"message {number}" for number in range(200)]
    stack.publish("/default/everything", sent)
    for out in outs:
        eventually("all messages", lambda out=out: len(stack.received(out)) == len(sent))
        assert sorted(line["text"] for line in stack.received(out)) == sorted(sent)


def test_payloads_pass_through_untouched_over_a_kill(patterns, tmp_path):
    stack = patterns()
    stack.wait_until_attached("archive")
    sent = [f"{{ not JSON, Ünïcode ✓ {number}" for number in range(500)]
    stack.publish("/default/everything", sent, "k")
    archive, folder = start(stack, "pass_through"), tmp_path / "archive"

    def payloads():
        return [path for path in folder.glob("*") if not path.suffix] if folder.exists() else []

    eventually("the first files", lambda: len(payloads()) >= 50, [archive])
    archive.kill_all()
    assert len(payloads()) < len(sent), "the kill came too late to mean anything"
    start(stack, "pass_through")
    eventually("all files", lambda: len(payloads()) == len(sent))
    stack.wait_until_settled("archive")
    assert sorted(path.read_bytes() for path in payloads()) == sorted(text.encode() for text in sent)
    beside = json.loads(payloads()[0].with_suffix(".json").read_text())
    assert (beside["topic"], beside["key"]) == ("/default/everything", "k")


def test_topics_are_collected_exactly_once_over_kills(patterns, tmp_path):
    stack = patterns(**{"batch_size = 500": "batch_size = 10"})
    stack.wait_until_attached("collect")
    topics = ("/default/temperatures", "/default/humidity")
    for topic in topics:
        stack.publish(topic, [f"{topic} {number}" for number in range(1000)], "sensor-1")
    collect = start(stack, "fan_in")

    def rows():
        with contextlib.closing(sqlite3.connect(tmp_path / "collected.db")) as db:
            try:
                return db.execute("SELECT topic, payload FROM collected").fetchall()
            except sqlite3.OperationalError:  # Not there yet.
                return []

    eventually("the first rows", rows, [collect])
    collect.kill_all()
    assert len(rows()) < 2000, "the kill came too late to mean anything"
    stack.kill_sidecar()
    start(stack, "fan_in")
    eventually("all rows", lambda: len(rows()) >= 2000)
    stack.wait_until_settled("collect")
    assert sorted(rows()) == sorted((topic, f"{topic} {number}".encode()) for topic in topics for number in range(1000))


def test_a_request_without_an_answer_is_asked_again_with_the_same_key(patterns):
    effects, requests = {}, []

    class Api(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            key, body = self.headers["Idempotency-Key"], self.rfile.read(int(self.headers["Content-Length"]))
            requests.append(key)
            known = key in effects
            effects[key] = body.decode()
            if not known and int(json.loads(body)["n"]) % 5 == 0:
                self.close_connection = True  # It is done, and nobody hears of it.
                return
            self.send_response(409 if "refuse" in effects[key] else 200)
            self.end_headers()

        def log_message(self, *_):
            pass

    api = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=api.serve_forever, daemon=True).start()
    try:
        stack = patterns(**{"http://127.0.0.1:8080/": f"http://127.0.0.1:{api.server_port}/"})
        stack.wait_until_attached("webhook")
        start(stack, "webhook")
        sent = [json.dumps({"n": number}) for number in range(30)]
        stack.publish("/default/notifications", [*sent, '{"n": 31, "do": "refuse"}'])
        eventually("all ends", lambda: stack.outcomes("webhook", "acked") == len(sent))
        eventually("the refusal", lambda: stack.outcomes("webhook", "dead_lettered") == 1)
        assert sorted(effects.values()) == sorted([*sent, '{"n": 31, "do": "refuse"}'])
        assert len(requests) == len(sent) + 1 + 6
    finally:
        api.shutdown()
        api.server_close()


def test_files_are_claimed_in_order_over_a_kill(patterns, modules, tmp_path):
    claim_check = modules("claim_check")
    folder, store = tmp_path / "documents", tmp_path / "store"
    folder.mkdir()
    store.mkdir()
    stack = patterns()
    out = stack.consume("/default/documents")
    names = [f"{number:03}.pdf" for number in range(200)]
    for name in names:
        (folder / name).write_bytes(name.encode() * 10_000)
    source = start(stack, "claim_check")
    eventually("the first claims", lambda: stack.received(out), [source])
    source.kill_all()
    start(stack, "claim_check")

    def claims():
        return {json.loads(line["text"])["name"]: line for line in stack.received(out)}

    eventually("all claims", lambda: len(claims()) == len(names))
    assert list(claims()) == names
    record = sys.modules["danube_connector"].Record(claims()["007.pdf"]["text"].encode())
    assert claim_check.content(store, record) == b"007.pdf" * 10_000
    (store / record.json()["sha256"]).write_bytes(b"something else")
    with pytest.raises(sys.modules["danube_connector"].Reject):
        claim_check.content(store, record)


def test_only_what_has_its_schema_is_printed(modules, capsys):
    schemas = modules("schemas")
    sdk = sys.modules["danube_connector"]
    schema = sdk.Schema(id=1, version=3, subject="orders", type="json_schema", definition=b"{}")
    schemas.Printer().process(sdk.Record(b'{"order": 1}', schema=schema))
    assert capsys.readouterr().out == "orders v3: {'order': 1}\n"
    with pytest.raises(sdk.Reject):
        schemas.Printer().process(sdk.Record(b'{"order": 1}'))
