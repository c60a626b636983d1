"""What a connector runs beside: a broker and a sidecar, each a process of its own that a test may kill and start again."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARIES = ROOT / "target/debug"
TOOLS = ROOT / ".tools"
PATIENCE = 90  # Seconds to wait for anything.


def eventually(what, condition, processes=()):
    """What the condition gives, once it is true; a process that has ended meanwhile fails the test."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        for process in processes:
            assert process.poll() is None, f"while waiting for {what}, {process.args[0]} ended with {process.returncode}"
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)
    return found


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Process(subprocess.Popen):
    """A process in a group of its own, with its output in a file."""

    def __init__(self, command, log, cwd=ROOT, **environment):
        self.log = pathlib.Path(log)
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("DANUBE_", "CONNECTOR_"))}
        with self.log.open("ab") as output:
            super().__init__([str(part) for part in command], stdout=output, stderr=output, stdin=subprocess.DEVNULL,
                             cwd=cwd, env=clean | {name: str(value) for name, value in environment.items()},
                             start_new_session=True)

    def kill_all(self):
        """SIGKILL for it and its children."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.wait(PATIENCE)

    def end(self):
        """SIGTERM; its exit code."""
        self.terminate()
        return self.wait(PATIENCE)

    def has_printed(self, text):
        return text in self.log.read_text(errors="replace")


class Stack:
    """Everything is stopped when the test ends; ports stay the same over restarts, so that a connector finds them again.

    `config` is the sidecar's TOML behind `danube_service_url`. A broker that `DANUBE_SERVICE_URL` names takes the place of the
    embedded one.
    """

    def __init__(self, folder, config=""):
        self.folder = pathlib.Path(folder)
        self.address = f"http://127.0.0.1:{free_port()}"
        self.http = f"http://127.0.0.1:{free_port()}"
        self.processes = []
        self.broker = os.environ.get("DANUBE_SERVICE_URL") or self._start_broker()
        self._config = self.folder / "sidecar.toml"
        self._config.write_text(f'danube_service_url = "{self.broker}"\n{config}')
        self.sidecar = None
        self.start_sidecar()

    def _start_broker(self):
        port = free_port()
        broker = self.start("broker", [BINARIES / "danube-devbroker", "--listen", f"127.0.0.1:{port}", "--no-admin",
                                       "--data-dir", self.folder / "broker"])
        eventually("the broker", lambda: broker.has_printed(f":{port}"), [broker])
        return f"http://127.0.0.1:{port}"

    def start(self, name, command, **options):
        """A process of the test: a connector, say. It is told the sidecar's address."""
        process = Process(command, self.folder / f"{name}.log", DANUBE_SIDECAR_ADDRESS=self.address, **options)
        self.processes.append(process)
        return process

    def start_sidecar(self):
        self.sidecar = self.start("sidecar", [
            BINARIES / "danube-sidecar", "run", "--config", self._config, "--data-dir", self.folder / "data", "--listen",
            self.address.removeprefix("http://"), "--http-listen", self.http.removeprefix("http://"), "--log-format", "json"])
        eventually("the sidecar", lambda: self.status() is not None, [self.sidecar])

    def kill_sidecar(self):
        """SIGKILL, and a new one on the same ports with the same data."""
        self.sidecar.kill_all()
        self.start_sidecar()

    def status(self, kind=None, connector=None):
        """The sidecar's status page; with a kind ("sinks", "sources"), what it says of one connector."""
        try:
            with urllib.request.urlopen(f"{self.http}/status", timeout=PATIENCE) as answer:
                status = json.load(answer)
        except (urllib.error.URLError, ConnectionError):
            return None
        if kind is None:
            return status
        return next((entry for entry in status[kind] if entry["connector"] == connector), None)

    def outcomes(self, connector, outcome):
        """How many records of a sink came to this end, since the sidecar started."""
        with urllib.request.urlopen(f"{self.http}/metrics", timeout=PATIENCE) as answer:
            lines = answer.read().decode().splitlines()
        labels = (f'connector="{connector}"', f'outcome="{outcome}"')
        found = [line for line in lines if line.startswith("danube_connector_messages_processed_total{")
                 and all(label in line for label in labels)]
        return int(float(found[0].rsplit(" ", 1)[1])) if found else 0

    def wait_until_attached(self, connector, processes=()):
        """A new subscription begins at the end of its topic: nothing may be published before."""
        def attached():
            sink = self.status("sinks", connector)
            subscriptions = sink and sink["subscriptions"]
            return subscriptions and all(each["partitions_attached"] for each in subscriptions)

        eventually("the subscriptions", attached, [self.sidecar, *processes])

    def wait_until_settled(self, connector):
        """Nothing is in anybody's hands any more."""
        eventually("the last results",
                   lambda: (sink := self.status("sinks", connector)) and not sink["unresolved"]["records"], [self.sidecar])

    def publish(self, topic, lines, key=None):
        command = [BINARIES / "danube-sidecar", "publish", "--broker", self.broker, topic]
        subprocess.run([*command, *(["--key", key] if key else [])], input="\n".join(lines), text=True, check=True,
                       timeout=PATIENCE, capture_output=True)

    def consume(self, topic, connector="reader"):
        """Starts a sink that keeps what comes; give it to `received`."""
        out = self.folder / f"{connector}.jsonl"
        reader = self.start(connector, [TOOLS / "venv/bin/python", ROOT / "tests/examples/reader.py"], CONNECTOR_NAME=connector,
                            READER_TOPIC=topic, READER_OUT=out, PYTHONPATH=ROOT / "sdk-python/src")
        self.wait_until_attached(connector, [reader])
        return out

    @staticmethod
    def received(out):
        """What a sink of `consume` has got, as JSON objects: dedup_id, key, text, attributes, topic."""
        lines = out.read_text().splitlines(keepends=True) if out.exists() else []
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def stop(self):
        for process in reversed(self.processes):
            process.kill_all()
