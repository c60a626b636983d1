"""What the files of deploy/ say fits the programs, and each other."""

import re
import shutil
import subprocess

import pytest
import yaml
from deployment import (
    COMPOSE,
    DEPLOY,
    DOCUMENTS,
    IMAGES,
    configuration,
    containers,
    document,
    pod_spec,
    program,
    sidecar_toml,
    tomllib,
)
from stack import BINARIES, PATIENCE, ROOT, free_port

SIDECAR = BINARIES / "danube-sidecar"
VERSION = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
SDK_SECONDS = re.compile(r"^(?:STOP|FAREWELL)_TIMEOUT = ([\d.]+)", re.MULTILINE)


def run(*arguments, **environment):
    return subprocess.run([SIDECAR, *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=PATIENCE)


def validate(path, **environment):
    done = run("validate", "--config", path, **environment)
    assert done.returncode == 0, done.stderr
    return [" ".join(line.split()) for line in done.stdout.splitlines()]


@pytest.fixture
def in_the_pod(tmp_path):
    """The ConfigMap's file."""
    path = tmp_path / "sidecar.toml"
    path.write_text(sidecar_toml())
    return path


def test_the_pods_configuration_is_valid_and_means_what_the_manifest_says(in_the_pod):
    for ordinal in range(document("StatefulSet")["spec"]["replicas"]):
        said = validate(in_the_pod, HOSTNAME=f"orders-{ordinal}")
        assert f"replica {ordinal} of 2 (counted from 0): takes its own partitions" in said
    assert "or unix:///run/danube/sidecar.sock" in said
    assert "consumes /default/orders (Exclusive subscription orders)" in said
    assert "connectors that the file does not name are refused" in said
    assert "inbox: at most 4 GiB, fsynced after the ack" in said
    replicas = document("StatefulSet")["spec"]["replicas"]
    assert run("validate", "--config", in_the_pod, HOSTNAME=f"orders-{replicas}").returncode == 2, "a replica too many"


def test_the_configurations_of_compose_and_of_the_image_are_valid():
    said = validate(DEPLOY / "sidecar.toml")
    assert "consumes /default/orders (Exclusive subscription orders)" in said and "broker http://broker:6650" in said
    assert "data /var/lib/danube-sidecar" in validate(DEPLOY / "image.toml", DANUBE_SERVICE_URL="http://broker:6650")


def test_every_sidecar_is_started_with_arguments_that_it_takes():
    image = IMAGES["danube-sidecar:" + VERSION]
    assert program(image, image.entrypoint[0]) == SIDECAR
    assert "command" not in COMPOSE["services"]["sidecar"]
    for arguments in (image.command, containers()["sidecar"]["args"]):
        assert run(*arguments, "--help").returncode == 0
        done = run(*arguments, CONNECTOR_CONFIG_PATH="/nowhere/sidecar.toml")
        assert done.returncode == 2 and "/nowhere/sidecar.toml" in done.stderr, "it reads what the image's variable names"


def test_composes_healthcheck_fails_while_nobody_serves():
    command = COMPOSE["services"]["sidecar"]["healthcheck"]["test"]
    assert command[:3] == ["CMD", IMAGES["danube-sidecar:" + VERSION].entrypoint[0], "status"]
    address = f"127.0.0.1:{free_port()}"
    assert command[3:] == ["--address", "http://127.0.0.1:6671"]
    assert run("status", "--address", f"http://{address}", CONNECTOR_CONFIG_PATH=str(DEPLOY / "sidecar.toml")).returncode == 4


def test_ports_agree():
    config = configuration()["sidecar"]
    hosts, (grpc, http) = zip(*(config[key].split(":") for key in ("listen", "http_listen")))
    assert hosts == ("0.0.0.0", "0.0.0.0"), "kubelet probes the pod's address"
    grpc, http = int(grpc), int(http)
    assert {port["name"]: port["containerPort"] for port in containers()["sidecar"]["ports"]} == {"grpc": grpc, "http": http}
    assert IMAGES["danube-sidecar:" + VERSION].ports == {grpc, http}
    annotations = document("StatefulSet")["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(http)
    assert [port["port"] for port in document("Service")["spec"]["ports"]] == [http]
    assert document("NetworkPolicy")["spec"]["ingress"] == [{"ports": [{"port": "http"}]}], "the gRPC port is the node's only"
    probes = [containers()["sidecar"][kind] for kind in ("startupProbe", "livenessProbe")]
    assert all(probe["grpc"]["port"] == grpc for probe in probes)


def test_paths_lie_on_volumes_that_may_be_written_where_that_is_needed():
    config, pod = configuration(), containers()
    sidecar = config["sidecar"]
    assert mount(pod["sidecar"], sidecar["data_dir"]) == ("sidecar-data", True)
    assert mount(pod["sidecar"], sidecar["unix_socket"]) == mount(pod["connector"], sidecar["unix_socket"]) == ("socket", True)
    assert mount(pod["sidecar"], sidecar["token_file"]) == ("token", False)
    assert mount(pod["sidecar"], IMAGES["danube-sidecar:" + VERSION].environment["CONNECTOR_CONFIG_PATH"]) == ("config", False)
    assert mount(pod["connector"], config["connectors"]["orders"]["settings"]["database"]) == ("orders-data", True)
    claims = [claim["metadata"]["name"] for claim in document("StatefulSet")["spec"]["volumeClaimTemplates"]]
    assert claims == ["sidecar-data", "orders-data"]
    assert {each["name"] for each in pod_spec()["volumes"]} | set(claims) == {
        used["name"] for container in pod.values() for used in container["volumeMounts"]}


def mount(container, path):
    """The volume that a path is on, and whether it may be written."""
    mounts = [each for each in container["volumeMounts"] if path.startswith(each["mountPath"] + "/") or path == each["mountPath"]]
    (found,) = mounts
    return found["name"], not found.get("readOnly", False)


def test_composes_paths_lie_on_volumes_too():
    config = tomllib.loads((DEPLOY / "sidecar.toml").read_text())
    sidecar, connector = (dict(map(reversed, (volume.split(":")[:2] for volume in COMPOSE["services"][name]["volumes"])))
                          for name in ("sidecar", "connector"))
    assert sidecar[config["sidecar"]["data_dir"]] == "sidecar-data"
    folder = config["sidecar"]["unix_socket"].rpartition("/")[0]
    assert sidecar[folder] == connector[folder] == "sidecar-socket"
    assert sidecar[IMAGES["danube-sidecar:" + VERSION].environment["CONNECTOR_CONFIG_PATH"]] == "./sidecar.toml"
    assert connector[config["connectors"]["orders"]["settings"]["database"].rpartition("/")[0]] == "orders-data"
    for volumes in (sidecar, connector):
        assert all(source.startswith("./") or source in COMPOSE["volumes"] for source in volumes.values())
        assert all((DEPLOY / source).is_file() for source in volumes.values() if source.startswith("./"))


def test_connectors_dial_the_sidecars_socket():
    address = "unix://" + configuration()["sidecar"]["unix_socket"]
    environment = {each["name"]: each.get("value") for each in containers()["connector"]["env"]}
    assert environment["DANUBE_SIDECAR_ADDRESS"] == address
    assert COMPOSE["services"]["connector"]["environment"]["DANUBE_SIDECAR_ADDRESS"] == address


def test_the_token_is_one_secret_for_both_containers():
    reference = next(each["valueFrom"]["secretKeyRef"] for each in containers()["connector"]["env"]
                     if each["name"] == "DANUBE_SIDECAR_TOKEN")
    (volume,) = [each for each in pod_spec()["volumes"] if each["name"] == "token"]
    assert volume["secret"]["secretName"] == reference["name"]
    assert configuration()["sidecar"]["token_file"].endswith("/" + reference["key"])


def test_both_containers_are_of_the_images_user():
    security = pod_spec()["securityContext"]
    for image in IMAGES.values():
        assert image.user == f"{security['runAsUser']}:{security['runAsGroup']}" and security["runAsUser"] != 0
        assert all(flags.get("chown", image.user) == image.user for flags, _, _ in image.copies())


def test_replicas_and_labels_agree():
    stateful_set = document("StatefulSet")["spec"]
    assert stateful_set["replicas"] == configuration()["sidecar"]["replicas"]
    assert stateful_set["serviceName"] == document("Service")["metadata"]["name"]
    labels = stateful_set["template"]["metadata"]["labels"]
    selectors = [stateful_set["selector"]["matchLabels"], document("Service")["spec"]["selector"],
                 document("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
                 document("NetworkPolicy")["spec"]["podSelector"]["matchLabels"]]
    assert all(selector == labels for selector in selectors)
    assert not any("namespace" in each["metadata"] for each in DOCUMENTS)


def test_the_grace_period_has_room_for_both_containers():
    sdk = ROOT / "sdk-python/src/danube_connector"
    code = (sdk / "running.py").read_text() + (sdk / "_session.py").read_text()
    connector = sum(float(found) for found in SDK_SECONDS.findall(code))
    assert connector == 15.0
    sidecar = seconds(configuration()["sidecar"]["shutdown_timeout"])
    assert connector + sidecar < pod_spec()["terminationGracePeriodSeconds"]
    services = COMPOSE["services"]
    shutdown = seconds(tomllib.loads((DEPLOY / "sidecar.toml").read_text())["sidecar"]["shutdown_timeout"])
    assert shutdown < seconds(services["sidecar"]["stop_grace_period"])
    assert connector < seconds(services["connector"]["stop_grace_period"])


def seconds(text):
    return float(re.fullmatch(r"(\d+)s", text)[1])


def test_the_brokers_window_is_the_one_that_the_sidecar_is_told():
    broker = yaml.safe_load((DEPLOY / "danube_broker.yml").read_text())
    told = tomllib.loads((DEPLOY / "sidecar.toml").read_text())["danube"]["max_unacked_messages"]
    assert broker["dispatch"]["max_unacked_messages"] == told > 256
    url = tomllib.loads((DEPLOY / "sidecar.toml").read_text())["danube_service_url"]
    command = COMPOSE["services"]["broker"]["command"]
    assert url == "http://" + command[command.index("--advertised-addr") + 1], "clients are sent there"
    assert url.endswith(f":{broker['broker']['ports']['client']}")
    assert str(broker["broker"]["ports"]["prometheus"]) in COMPOSE["services"]["broker"]["healthcheck"]["test"][-1]


def test_the_volume_has_room_for_inbox_and_dead_letters_and_memory_for_the_buffer():
    config = configuration()
    claims = {each["metadata"]["name"]: each["spec"] for each in document("StatefulSet")["spec"]["volumeClaimTemplates"]}
    kept = size(config["inbox"]["max_bytes"]) + size(config["dead_letter"]["max_bytes"])
    assert kept < 0.8 * size(claims["sidecar-data"]["resources"]["requests"]["storage"])
    assert size(config["sidecar"]["max_buffer_bytes"]) <= size(containers()["sidecar"]["resources"]["limits"]["memory"]) / 4


def size(text):
    number, unit = re.fullmatch(r"(\d+) ?([KMG]i)B?", text).groups()
    return int(number) << {"Ki": 10, "Mi": 20, "Gi": 30}[unit]


def test_images_have_the_workspaces_version_and_one_name():
    named = {each["image"] for each in containers().values()}
    assert named == set(IMAGES)
    assert all(tag.endswith(":" + VERSION) for tag in named)
    assert all(image.labels["org.opencontainers.image.version"] == VERSION for image in IMAGES.values())


def test_bases_are_pinned_and_of_one_debian():
    for image in IMAGES.values():
        assert all(re.search(r":[\w.-]+$", base) and not base.endswith(":latest") for base in image.bases)
        assert all(re.search("trixie|debian13", base) for base in image.bases), "the glibc that programs were linked to"
    assert re.search(r":v\d+\.\d+\.\d+$", COMPOSE["services"]["broker"]["image"])


def test_what_is_copied_is_there():
    for image in IMAGES.values():
        for stage in range(len(image.stages)):
            for flags, sources, _ in image.copies(stage):
                assert "from" in flags or all((ROOT / source).exists() for source in sources), sources


def test_what_the_builder_copies_is_the_whole_workspace(tmp_path):
    if shutil.which("cargo") is None:
        pytest.skip("not on this machine: cargo")
    for _, sources, destination in IMAGES["danube-sidecar:" + VERSION].copies(0):
        for source in sources:
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, tmp_path / destination, dirs_exist_ok=True, symlinks=True,
                                ignore=shutil.ignore_patterns("node_modules", "target", ".venv"))
            else:
                shutil.copy(ROOT / source, tmp_path / destination)
    done = subprocess.run(["cargo", "metadata", "--no-deps", "--format-version", "1"], cwd=tmp_path,
                          capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr


def test_the_pod_keeps_the_restricted_pod_security_standard():
    spec = pod_spec()
    assert spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC"))
    assert not spec["automountServiceAccountToken"]
    for volume in spec["volumes"]:
        assert set(volume) - {"name"} <= {"configMap", "secret", "emptyDir", "projected", "downwardAPI", "persistentVolumeClaim"}
    for container in containers().values():
        security = container["securityContext"]
        assert security == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
        assert container["resources"]["requests"].keys() == {"cpu", "memory"} and "memory" in container["resources"]["limits"]
        assert not any("hostPort" in port for port in container.get("ports", []))
    for service in ("sidecar", "connector"):
        hardened = COMPOSE["services"][service]
        assert hardened["read_only"] and hardened["cap_drop"] == ["ALL"]
        assert hardened["security_opt"] == ["no-new-privileges:true"] and "ports" not in hardened
