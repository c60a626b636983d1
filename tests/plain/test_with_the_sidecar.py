"""The sinks of every language with the real sidecar and its embedded broker: nothing of it is played."""

import json
import os
import pathlib
import subprocess
import sys
import time
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = ROOT / "target/debug/danube-sidecar"
PATIENCE = 60  # Seconds to wait for anything.


def eventually(what, condition):
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)
    return found


class Dev:
    """`danube-sidecar dev` on ports of the kernel's choice."""

    def __init__(self, folder, transport, socket_path):
        assert BINARY.exists(), "the sidecar is not built: run `cargo build --package danube-sidecar` first"
        self.log = folder / "sidecar.log"
        command = [BINARY, "dev", "--log-format", "json"]
        for flag in ("--listen", "--http-listen", "--broker-listen"):
            command += [flag, "127.0.0.1:0"]
        if transport == "unix":
            command += ["--unix-socket", socket_path]
        environment = {name: value for name, value in os.environ.items() if name != "DANUBE_SERVICE_URL"}
        self.process = subprocess.Popen(command, stderr=self.log.open("w"), env=environment)
        ready = eventually("the sidecar", lambda: self.logged("sidecar ready"))
        self.address, self.http, self.broker = ready["connectors"], ready["http"], ready["broker"]

    def logged(self, message):
        lines = (json.loads(line) for line in self.log.read_text().splitlines() if line.endswith("}"))
        return next((line for line in lines if line["message"] == message), None)

    def sink(self, connector):
        with urllib.request.urlopen(f"{self.http}/status", timeout=PATIENCE) as answer:
            sinks = json.load(answer)["sinks"]
        return next((sink for sink in sinks if sink["connector"] == connector), None)

    def wait_until_attached(self, connector):
        def attached():
            sink = self.sink(connector)
            return sink and sink["subscriptions"][0]["partitions_attached"]

        eventually("the subscription", attached)

    def wait_until_settled(self, connector):
        eventually("the last result", lambda: self.sink(connector)["unresolved"]["records"] == 0)

    def publish(self, topic, lines):
        command = [BINARY, "publish", "--broker", self.broker, topic]
        subprocess.run(command, input="\n".join(lines), text=True, check=True, timeout=PATIENCE)

    def stop(self):
        self.process.terminate()
        assert self.process.wait(PATIENCE) == 0, "SIGTERM must end the sidecar with 0"


@pytest.fixture
def dev(tmp_path, transport, socket_path):
    dev = Dev(tmp_path, transport, socket_path)
    yield dev
    if dev.process.poll() is None:
        dev.process.kill()


def test_every_published_message_is_stored_once(dev, start):
    messages = [json.dumps({"number": number}) for number in range(100)]
    sink = start(dev.address)
    dev.wait_until_attached("under-test")

    dev.publish("/default/events", messages)
    eventually("all records", lambda: sink.count() >= len(messages))
    dev.wait_until_settled("under-test")

    assert sorted(sink.stored().values()) == sorted(message.encode() for message in messages)


def test_the_readmes_sink_prints_what_is_published(dev):
    stubs = ROOT / "examples/sqlite-sink-python"
    environment = {**os.environ, "DANUBE_SIDECAR_ADDRESS": dev.address, "PYTHONPATH": str(stubs)}
    command = [sys.executable, ROOT / "examples/hello-sink-python/sink.py"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as sink:
        dev.wait_until_attached("hello")
        dev.publish("/default/hello", ["first", "second"])
        printed = [sink.stdout.readline().split() for _ in range(2)]
        dev.wait_until_settled("hello")
        sink.kill()

    assert [words[-1] for words in printed] == ["first", "second"]


def test_the_sidecar_drains_its_sinks_and_ends_with_success(dev, start):
    sink = start(dev.address)
    dev.wait_until_attached("under-test")

    dev.stop()

    code, complaints = sink.ended()
    assert code == 0, complaints
