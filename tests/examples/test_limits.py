"""Sinks as the documentation shows them, on systems that take only so much, or nothing of a batch that they dislike."""

import collections
import http.server
import json
import threading
import time

import pytest
from stack import ROOT, TOOLS, eventually

SDK = ROOT / "sdk-python/src"
RECORDS = 500
A_SECOND = 50  # What the API takes.

BULK = """
import json, sys
from danube_connector import Retry, Sink, run

class Bulk(Sink):
    def process_batch(self, records):
        documents = [record.json() for record in records]
        if any("bad" in document for document in documents):
            raise Retry("the target refuses the whole batch", code="TARGET_REFUSES"{after})
        with open(sys.argv[1], "a") as file:
            file.writelines(json.dumps(document) + "\\n" for document in documents)

run(Bulk(), name="bulk")
"""


class Api:
    """Takes so many requests a second, and answers 429 to more."""

    def __init__(self):
        self.taken, self.refused = [], 0
        self.lock = threading.Lock()
        self.seconds = collections.Counter()
        api = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(200 if api.takes(body) else 429)
                self.send_header("Retry-After", "1")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/"

    def takes(self, body):
        with self.lock:
            second = int(time.monotonic())
            self.seconds[second] += 1
            if self.seconds[second] > A_SECOND:
                self.refused += 1
                return False
            self.taken.append(json.loads(body)["n"])
            return True

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def api():
    api = Api()
    yield api
    api.close()


def test_a_rate_limit_costs_no_record_and_hardly_a_refused_request(stack, api):
    stack = stack(f"""
[danube]
create_topics = true

[connectors.webhook]
subscriptions = [{{ topic = "/default/notifications" }}]
retry = {{ max_retries = 0 }}

[connectors.webhook.settings]
url = "{api.url}"
""")
    stack.wait_until_attached("webhook")
    stack.publish("/default/notifications", [json.dumps({"n": number}) for number in range(RECORDS)])
    sink = stack.start("webhook", [TOOLS / "venv/bin/python", ROOT / "examples/patterns-python/webhook.py"], PYTHONPATH=SDK)

    eventually("all records at the API", lambda: len(api.taken) >= RECORDS, [sink])
    stack.wait_until_settled("webhook")
    assert sorted(api.taken) == list(range(RECORDS))
    assert api.refused <= 0.05 * RECORDS, f"{api.refused} refused requests for {RECORDS} records"
    assert stack.outcomes("webhook", "dead_lettered") == 0


@pytest.mark.parametrize("after, every", [("", 3), (", after=1", 60)])
def test_what_makes_a_batch_fail_ends_alone_and_its_neighbours_are_written(stack, tmp_path, after, every):
    program, written = tmp_path / "bulk.py", tmp_path / "written"
    program.write_text(BULK.replace("{after}", after))
    stack = stack('''
[danube]
create_topics = true

[connectors.bulk]
subscriptions = [{ topic = "/default/documents" }]
retry = { retry_backoff_ms = 100 }
''')
    stack.wait_until_attached("bulk")
    good, bad = [json.dumps({"n": number}) for number in range(60)], json.dumps({"bad": True})
    for first in range(0, len(good), every):
        stack.publish("/default/documents", [*good[first:first + every], bad])
    sink = stack.start("bulk", [TOOLS / "venv/bin/python", program, written], PYTHONPATH=SDK)

    def documents():
        return [line for line in written.read_text().splitlines() if line in good] if written.exists() else []

    def bad_ones_are_dead_letters():
        stack.publish("/default/documents", ['{"another": 1}'])  # Others succeed, so it is no outage.
        return stack.outcomes("bulk", "dead_lettered") == len(good) / every

    eventually("the dead letters", bad_ones_are_dead_letters, [sink])
    eventually("all good documents", lambda: len(documents()) >= len(good), [sink])
    stack.wait_until_settled("bulk")
    assert sorted(documents()) == sorted(good)
    assert stack.outcomes("bulk", "dead_lettered") == len(good) / every
