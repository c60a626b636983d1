"""Danube, a node, and the pods of the StatefulSet: what the tests of the pod begin with."""

import contextlib
import json
import sqlite3
import subprocess
import threading

from deployment import configuration, document
from kubelet import Node
from stack import BINARIES, PATIENCE, Process, eventually, free_port

TOPIC = "/default/orders"
TOKEN = "a-token-of-the-test"
PARTITIONS = 4
AHEAD = 150
"""Orders that may be under way."""


class Cluster:
    """Danube, a node, and the StatefulSet's pods by their names."""

    def __init__(self, folder, launch=None):
        self.folder = folder
        self.port = free_port()
        self.broker = None
        names = {"danube-broker:6650": f"127.0.0.1:{self.port}"}
        self.node = Node(folder, {"orders-sidecar-token": {"token": TOKEN}}, names, launch)
        self.published = 0
        self.lock = threading.Lock()

    def start_broker(self):
        window = configuration()["danube"]["max_unacked_messages"]
        self.broker = Process(
            [BINARIES / "danube-devbroker", "--listen", f"127.0.0.1:{self.port}", "--no-admin",
             "--data-dir", self.folder / "broker", "--max-unacked-messages", window], self.folder / "broker.log")
        eventually("the broker", lambda: self.broker.has_printed(f":{self.port}"), [self.broker])

    def kill_broker(self):
        self.broker.kill_all()

    def create_topic(self):
        """With a first message in each partition, which comes before every subscription."""
        self._publish(["{}"] * PARTITIONS)

    def start(self):
        """The broker, the topic and all pods; gives the pods when they are ready, with their subscriptions attached."""
        self.start_broker()
        self.create_topic()
        pods = [self.node.pod(f"orders-{ordinal}") for ordinal in range(document("StatefulSet")["spec"]["replicas"])]
        for pod in pods:
            self.wait_until_attached(pod)
        return pods

    def wait_until_attached(self, pod):
        """A new subscription begins at the end of its topic: nothing may be published before."""
        pod.until("ready", pod.ready)
        pod.until("its partitions", lambda: self.sink(pod)["subscriptions"][0]["partitions_attached"] == PARTITIONS / 2)
        pod.until("its connector", lambda: self.sink(pod)["workers"])

    def status(self, pod):
        """What `kubectl exec POD -c sidecar -- danube-sidecar status --output json` says."""
        sidecar = pod["sidecar"]
        done = subprocess.run([BINARIES / "danube-sidecar", "status", "--output", "json"], capture_output=True, timeout=PATIENCE,
                              env={"CONNECTOR_CONFIG_PATH": pod.here("/etc/danube-sidecar/sidecar.toml"), "HOSTNAME": pod.name})
        assert done.returncode in (0, 4), done.stderr.decode()
        return json.loads(done.stdout) if done.returncode == 0 else {"sinks": [], "sidecar": sidecar}

    def sink(self, pod):
        sinks = self.status(pod)["sinks"]
        return sinks[0] if sinks else {"workers": [], "subscriptions": [{"partitions_attached": 0}]}

    def publish(self, count):
        """Orders whose totals are numbered on."""
        with self.lock:
            totals = range(self.published, self.published + count)
            for key in range(5):
                self._publish([json.dumps({"total": total}) for total in totals if total % 5 == key], "--key", f"customer-{key}")
            self.published += count

    def _publish(self, lines, *options):
        subprocess.run(
            [BINARIES / "danube-sidecar", "publish", "--broker", f"http://127.0.0.1:{self.port}", *options, "--partitions",
             str(PARTITIONS), TOPIC],
            input="\n".join(lines), text=True, check=True, timeout=PATIENCE, capture_output=True)

    @contextlib.contextmanager
    def traffic(self, *pods):
        """Orders, all the time; as many ahead of the connectors as slow disks can make up for."""
        ended, failures = threading.Event(), []

        def send():
            try:
                while not ended.wait(0.02):
                    if self.published - len(self.totals(*pods)) < AHEAD:
                        self.publish(50)
            except Exception as error:  # The test's thread raises it.
                failures.append(error)

        thread = threading.Thread(target=send, name="traffic")
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(PATIENCE)
        assert not failures, failures

    def totals(self, *pods):
        """The totals of all rows that the pods' connectors have written."""
        return [total for pod in pods for (total,) in self.sql(pod, "SELECT total FROM orders")]

    def note_offers(self, pod):
        """From now on the pod's database notes also what is offered again; its connector ignores that."""
        self.sql(pod, "CREATE TABLE offers (id TEXT)")
        self.sql(pod, "CREATE TRIGGER note BEFORE INSERT ON orders BEGIN INSERT INTO offers VALUES (NEW.id); END")

    def offered_twice(self, pod):
        return self.sql(pod, "SELECT id, count(*) FROM offers GROUP BY id HAVING count(*) > 1")

    def sql(self, pod, statement):
        path = self.node.claim("orders-data", pod.name) / "orders.db"
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=PATIENCE)) as db, db:
            return db.execute(statement).fetchall()

    def wait_for_all(self, *pods):
        """Every order is in the databases, once."""
        eventually("all orders", lambda: len(self.totals(*pods)) >= self.published)
        assert sorted(self.totals(*pods)) == list(range(self.published))

    def close(self):
        self.node.close()
        if self.broker is not None:
            self.broker.kill_all()
