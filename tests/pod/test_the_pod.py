"""The pod of deploy/kubernetes.yaml, played: start order, probes, signals, exit codes, and nothing lost over any of it."""

import json
import signal
import subprocess

from cluster import TOKEN
from deployment import LIBRARIES
from probes import check_health, get
from relay import resetting
from stack import PATIENCE


def in_order(pod, *events):
    """Whether the events happened in this order, among others."""
    rest = iter(pod.events)
    return all(event in rest for event in events)


def liveness(pod):
    """What the sidecar's liveness probe has found so far."""
    return pod["sidecar"].probes["livenessProbe"].results


def test_the_connector_starts_once_the_sidecar_serves_and_both_become_ready(cluster):
    for pod in cluster.start():
        assert in_order(pod, ("sidecar", "start"), ("sidecar", "started"), ("connector", "start"), ("sidecar", "ready"))
        assert pod["sidecar"].probes["startupProbe"].results[-1]
        assert not pod["sidecar"].exits and not pod["connector"].exits


def test_the_sidecar_starts_without_its_connector(cluster):
    cluster.start_broker()
    cluster.create_topic()
    pod = cluster.node.pod("orders-0", missing_images={"connector"})
    pod.until("the sidecar is ready", lambda: pod["sidecar"].ready)
    pod.until("it is live", lambda: any(liveness(pod)))
    assert pod["connector"].process is None and cluster.sink(pod)["workers"] == []
    assert pod.delete() == {"sidecar": 0}


def test_a_pod_starts_without_a_broker_and_is_ready_when_that_comes(cluster):
    pod = cluster.node.pod("orders-0")
    pod.until("the connector starts", lambda: pod["connector"].started)
    pod.until("two readiness probes", lambda: len(pod["sidecar"].probes["readinessProbe"].results) >= 2)
    assert not pod["sidecar"].ready
    cluster.start_broker()
    pod.until("the sidecar is ready", lambda: pod["sidecar"].ready)
    assert all(liveness(pod)) and not pod["sidecar"].exits


def test_a_broker_that_goes_away_takes_readiness_and_nothing_else(cluster):
    pods = cluster.start()
    cluster.publish(100)
    cluster.wait_for_all(*pods)
    cluster.kill_broker()
    for pod in pods:
        pod.until("it is not ready", lambda pod=pod: not pod["sidecar"].ready)
    for pod, seen in [(pod, len(liveness(pod))) for pod in pods]:
        pod.until("a liveness probe after that", lambda pod=pod, seen=seen: len(liveness(pod)) > seen)
        assert all(liveness(pod))
    cluster.start_broker()
    for pod in pods:
        pod.until("it is ready again", pod.ready)
        assert not pod["sidecar"].exits and not pod["connector"].exits
    cluster.publish(100)
    cluster.wait_for_all(*pods)


def test_a_rolling_update_under_load_loses_nothing_and_offers_nothing_twice(cluster):
    pods = cluster.start()
    for pod in pods:
        cluster.note_offers(pod)
    with cluster.traffic(*pods):
        for number, pod in enumerate(pods):
            pod.until("orders flow", lambda pod=pod: len(cluster.totals(pod)) > 100)
            assert pod.delete() == {"sidecar": 0, "connector": 0}
            assert in_order(pod, ("connector", "SIGTERM"), ("connector", "exit 0"), ("sidecar", "SIGTERM"), ("sidecar", "exit 0"))
            assert not any(what == "SIGKILL" for _, what in pod.events)
            pods[number] = cluster.node.pod(pod.name)
            pods[number].until("it is ready", pods[number].ready)
            before = len(cluster.totals(pods[number]))
            pods[number].until("orders flow again", lambda pod=pod, before=before: len(cluster.totals(pod)) > before)
    cluster.wait_for_all(*pods)
    assert not any(cluster.offered_twice(pod) for pod in pods)


def test_a_sidecar_that_is_killed_is_started_again_and_its_connector_goes_on(cluster):
    pods = cluster.start()
    pod = pods[0]
    connector = pod["connector"].process.pid
    with cluster.traffic(*pods):
        pod.until("orders flow", lambda: len(cluster.totals(pod)) > 100)
        pod["sidecar"].signal(signal.SIGKILL)
        pod.until("the sidecar is started again", lambda: pod["sidecar"].exits == [137] and pod["sidecar"].ready)
        before = len(cluster.totals(pod))
        pod.until("orders flow again", lambda: len(cluster.totals(pod)) > before)
    cluster.wait_for_all(*pods)
    assert pod["connector"].process.pid == connector and not pod["connector"].exits


def test_a_connector_that_is_killed_leaves_the_sidecar_ready(cluster):
    pods = cluster.start()
    pod = pods[0]
    sidecar = pod["sidecar"].process.pid
    with cluster.traffic(*pods):
        pod.until("orders flow", lambda: len(cluster.totals(pod)) > 100)
        pod["connector"].signal(signal.SIGKILL)
        pod.until("the connector is started again", lambda: pod["connector"].exits == [137] and pod["connector"].started)
        before = len(cluster.totals(pod))
        pod.until("orders flow again", lambda: len(cluster.totals(pod)) > before)
    cluster.wait_for_all(*pods)
    assert pod["sidecar"].process.pid == sidecar and ("sidecar", "not ready") not in pod.events
    assert all(liveness(pod))


def test_a_connector_that_hangs_is_killed_when_the_grace_period_ends_and_nothing_is_lost(cluster):
    pods = cluster.start()
    with cluster.traffic(*pods):
        pods[0].until("orders flow", lambda: len(cluster.totals(pods[0])) > 100)
        pods[0]["connector"].signal(signal.SIGSTOP)
        exits = pods[0].delete(grace=3)
        assert exits["connector"] == 137 and exits["sidecar"] == 0, pods[0].events
        pods[0] = cluster.node.pod("orders-0")
        pods[0].until("it is ready", pods[0].ready)
    cluster.wait_for_all(*pods)


def test_probes_leave_no_trace_in_the_log(cluster):
    pod = cluster.start()[0]
    with resetting(pod["sidecar"].port("grpc")) as port:
        for _ in range(20):
            assert pod["sidecar"].probes["livenessProbe"].once() and pod["sidecar"].probes["readinessProbe"].once()
            assert check_health(f"127.0.0.1:{port}", "", timeout=PATIENCE)
    assert pod.delete()["sidecar"] == 0
    lines = [json.loads(line) for line in pod["sidecar"].log.read_text().splitlines()]
    assert lines and not [line for line in lines if line["level"] != "INFO"]


def test_strangers_in_the_network_see_health_and_metrics_and_nothing_else(cluster):
    pod = cluster.start()[0]
    http = f"http://127.0.0.1:{pod['sidecar'].port('http')}"
    scraped = pod.ports[int(pod.annotations["prometheus.io/port"])]
    code, metrics = get(f"http://127.0.0.1:{scraped}{pod.annotations['prometheus.io/path']}", PATIENCE)
    assert code == 200 and "danube_connector_workers" in metrics
    assert get(f"{http}/admin/v1/dead-letters", PATIENCE)[0] == 401
    assert TOKEN not in get(f"{http}/status", PATIENCE)[1]
    stranger = {"DANUBE_SIDECAR_ADDRESS": f"http://127.0.0.1:{pod['sidecar'].port('grpc')}", "DANUBE_SIDECAR_TOKEN": "wrong",
                **{name: str(value) for name, value in LIBRARIES.items()}}
    refused = subprocess.run(pod["connector"].process.args, env=stranger, capture_output=True, text=True, timeout=PATIENCE)
    assert refused.returncode != 0 and "the token is wrong" in refused.stderr


def test_both_containers_do_with_a_read_only_root_as_process_1_of_user_65532(sandboxed):
    pods = sandboxed.start()
    sandboxed.publish(100)
    sandboxed.wait_for_all(*pods)
    for pod in pods:
        for container in pod.containers.values():
            status = proc_status(container.process.inner)
            assert status["Uid"].split() == ["65532"] * 4 and status["Gid"].split() == ["65532"] * 4
            assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0 and status["NoNewPrivs"] == "1"
            assert status["NSpid"].split()[1] == "1"
            assert mount_options(container.process.inner, "/").startswith("ro")
        socket = (pod.volumes["socket"] / "sidecar.sock").stat()
        assert (socket.st_uid, socket.st_mode & 0o777) == (65532, 0o600)
        assert pod.delete() == {"sidecar": 0, "connector": 0}


def proc_status(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def mount_options(pid, path):
    with open(f"/proc/{pid}/mounts", encoding="ascii") as mounts:
        return next(options for _, where, _, options, *_ in map(str.split, mounts) if where == path)


