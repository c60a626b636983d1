"""The demo: 10 000 flights from a file, through Danube, into SQLite, with a kill half way.

Starts `danube-sidecar dev` (embedded broker, sidecar, and the Python sink as its child) and the Rust
file source, kills the sink with SIGKILL while records are in its hands, and checks the account.
"""

import argparse
import collections
import contextlib
import json
import os
import pathlib
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
FLIGHTS = ROOT / "examples/data/flights-10k.jsonl"
TOPIC = "/default/flights"
CONNECTOR = "flights-to-sqlite"
DEADLINE_SECONDS = 120


class Demo:
    def __init__(self, binaries, folder):
        self.binaries, self.folder = binaries, folder
        self.database = folder / "flights.db"
        self.log = folder / "sidecar.log"
        self.processes = []
        self.deadline = time.monotonic() + DEADLINE_SECONDS

    def start(self, name, command, **environment):
        log = open(self.folder / f"{name}.log", "w")
        process = subprocess.Popen(
            [str(part) for part in command], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            env=os.environ | {key: str(value) for key, value in environment.items()})
        self.processes.append(process)
        return process

    def stop(self):
        for process in reversed(self.processes):
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        for process in self.processes:
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()

    def wait(self, what, condition, every=0.05):
        """Waits until the condition holds; a dead process or the deadline ends the demo."""
        while not (result := condition()):
            for process in self.processes:
                if process.poll() is not None:
                    raise SystemExit(f"demo: {process.args[0]} ended early; its log is in {self.keep()}")
            if time.monotonic() > self.deadline:
                raise SystemExit(f"demo: gave up waiting for {what}; the logs are in {self.keep()}")
            time.sleep(every)
        return result

    def keep(self):
        kept = pathlib.Path(tempfile.mkdtemp(prefix="danube-demo-"))
        for log in self.folder.glob("*.log"):
            (kept / log.name).write_bytes(log.read_bytes())
        return kept

    def logged(self, message):
        """The newest line of the sidecar's log with this message."""
        lines = (json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{"))
        return next((line for line in reversed(list(lines)) if line.get("message") == message), None)

    def status(self):
        with urllib.request.urlopen(self.http + "/status", timeout=5) as answer:
            sinks = json.load(answer)["sinks"]
        return next((sink for sink in sinks if sink["connector"] == CONNECTOR), None)

    def rows(self, query="SELECT count(*) FROM records"):
        if not self.database.exists():
            return None
        with contextlib.closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as db:
            with contextlib.suppress(sqlite3.OperationalError):
                return db.execute(query).fetchall()
        return None

    def count(self):
        rows = self.rows()
        return rows[0][0] if rows else 0

    def launch(self):
        socket = self.folder / "sidecar.sock"
        self.start(
            "sidecar",
            [self.binaries / "danube-sidecar", "dev", "--unix-socket", socket, "--listen", "127.0.0.1:0",
             "--http-listen", "127.0.0.1:0", "--broker-listen", "127.0.0.1:0", "--log-format", "json",
             "--", sys.executable, ROOT / "examples/sqlite-sink-python/sink.py"],
            CONNECTOR_NAME=CONNECTOR, SINK_TOPIC=TOPIC, SINK_DATABASE=self.database)
        self.http = self.wait("the sidecar", lambda: self.logged("sidecar ready"))["http"]
        # A new Danube subscription starts at the end of its topic: subscribe first, publish then.
        self.wait("the subscription", lambda: self.attached())
        config = self.folder / "source.toml"
        config.write_text(
            'danube_service_url = "http://served-by-the-sidecar"\nconnector_name = "flights-from-file"\n'
            f'[file]\npath = "{FLIGHTS}"\ntopic = "{TOPIC}"\nkey_field = "origin"\n')
        self.start("source", [self.binaries / "file-source"], CONNECTOR_CONFIG_PATH=config,
                   DANUBE_SIDECAR_ADDRESS=f"unix://{socket}")

    def attached(self):
        sink = self.status()
        return sink and any(sub["partitions_attached"] for sub in sink["subscriptions"])

    def kill_the_sink(self):
        """SIGKILL with records in its hands: it is stopped first, so that they stay there."""
        while True:
            pid = self.logged("connector started")["pid"]
            os.kill(pid, signal.SIGSTOP)
            held = self.status()["at_workers"]
            if held:
                os.kill(pid, signal.SIGKILL)
                return held
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.01)

    def run(self, total):
        progress = Progress(total)
        started = time.monotonic()
        self.launch()
        self.wait("the first half", lambda: progress.show(self.count()) >= total // 2)
        held = self.kill_the_sink()
        progress.note(f"killed the Python sink with SIGKILL: {held} records were in its hands")
        self.wait("the second half", lambda: progress.show(self.count()) >= total)
        # Nothing may be left over anywhere: a late repeat would have to find its row.
        self.wait("the last acks", lambda: self.status()["unresolved"]["records"] == 0)
        progress.done(time.monotonic() - started)


class Progress:
    def __init__(self, total):
        self.total, self.live, self.shown = total, sys.stdout.isatty(), -1

    def show(self, count):
        step = self.total // 10
        if self.live or count // step > self.shown // step:
            bar = "█" * (40 * count // self.total)
            print(f"{chr(13) if self.live else ''}  {count:6} of {self.total} rows  {bar:40}",
                  end="" if self.live else "\n", flush=True)
            self.shown = count
        return count

    def note(self, text):
        print(f"{chr(10) if self.live else ''}  {text}", flush=True)

    def done(self, seconds):
        print(f"{chr(10) if self.live else ''}  all rows written in {seconds:.1f} s\n", flush=True)


def by_airport(payloads):
    flights = collections.defaultdict(list)
    for payload in payloads:
        flights[json.loads(payload)["origin"]].append(payload)
    return flights


def report(rows):
    delays = collections.defaultdict(list)
    for _, payload, _ in rows:
        flight = json.loads(payload)
        delays[flight["origin"]].append(flight["delay"])
    busiest = sorted(delays.items(), key=lambda item: -len(item[1]))[:8]
    print("  busiest airports     flights   mean delay")
    for airport, minutes in busiest:
        bar = "█" * (20 * len(minutes) // len(busiest[0][1]))
        print(f"  {airport} {bar:20} {len(minutes):5}   {sum(minutes) / len(minutes):6.1f} min")
    print()


def main():
    parser = argparse.ArgumentParser(description="10 000 flights through Danube into SQLite, with a kill.")
    parser.add_argument("--binaries", type=pathlib.Path, default=ROOT / "target/debug")
    arguments = parser.parse_args()

    lines = FLIGHTS.read_text().splitlines()
    print(f"demo: {len(lines)} flights: file → Rust source → sidecar → Danube → sidecar → Python sink → SQLite")
    with tempfile.TemporaryDirectory(prefix="danube-demo-") as folder:
        demo = Demo(arguments.binaries, pathlib.Path(folder))
        try:
            demo.run(len(lines))
        finally:
            demo.stop()
        rows = demo.rows("SELECT dedup_id, payload, attempt FROM records ORDER BY arrival")

    stored = [payload for _, payload, _ in rows]
    lost = sum((collections.Counter(lines) - collections.Counter(stored)).values())
    duplicates = sum((collections.Counter(stored) - collections.Counter(lines)).values())
    in_order = by_airport(stored) == by_airport(lines)
    redelivered = sum(attempt > 1 for _, _, attempt in rows)
    report(rows)
    if not in_order:
        print("  an airport's flights arrived out of order")
    print(f"redelivered: {redelivered}")
    print(f"demo: {len(lines)} records in, {len(rows)} rows out, {lost} lost, {duplicates} duplicate rows")
    return 0 if not lost and not duplicates and in_order and redelivered else 1


if __name__ == "__main__":
    sys.exit(main())
