"""The files of deploy/, against the schemas of Kubernetes and compose, and a linter's rules."""

import copy
import os
import subprocess

import jsonschema
import pytest
import yaml
from deployment import DEPLOY, DOCUMENTS, IMAGES, MANIFEST
from kubernetes_validate.utils import all_versions, validate
from stack import PATIENCE, TOOLS

OLDEST = (1, 29)
"""The first version that has native sidecars without a feature gate."""
VERSIONS = sorted({version for version in all_versions() if tuple(map(int, version.split(".")[:2])) >= OLDEST})


def tool(name):
    """Of `tools/setup pod`; one that has no release for this Python is named, and fails in CI."""
    path = TOOLS / "pod/bin" / name
    if not path.exists() and not os.environ.get("CI"):
        pytest.skip(f"not in .tools/pod: {name}")
    assert path.exists(), f"CI needs {name}"
    return path


@pytest.mark.parametrize("version", VERSIONS)
def test_the_manifest_is_valid_in_every_version_of_kubernetes_since_1_29(version):
    assert {document["kind"] for document in DOCUMENTS} == {
        "ConfigMap", "Service", "StatefulSet", "PodDisruptionBudget", "NetworkPolicy"}
    for document in DOCUMENTS:
        validate(document, version, strict=True)


def test_versions_up_to_the_newest_are_known():
    assert len(set(VERSIONS)) >= 9 and VERSIONS[0].startswith("1.29")


@pytest.mark.parametrize("path, key", [
    (("spec",), "replica"),
    (("spec", "template", "spec", "initContainers", 0), "restartpolicy"),
    (("spec", "template", "spec", "initContainers", 0, "startupProbe", "grpc"), "path"),
    (("spec", "template", "spec", "containers", 0, "securityContext"), "runAsNonroot"),
])
def test_a_slip_in_a_key_would_be_found(path, key):
    document = copy.deepcopy(next(each for each in DOCUMENTS if each["kind"] == "StatefulSet"))
    place = document
    for step in path:
        place = place[step]
    place[key] = 1
    with pytest.raises(jsonschema.ValidationError):
        validate(document, VERSIONS[-1], strict=True)


class OnceLoader(yaml.SafeLoader):
    """Refuses a key that comes twice, where others take the last one."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"a key comes twice: {keys}{node.start_mark}"
        return super().construct_mapping(node, deep)


@pytest.mark.parametrize("path", [MANIFEST, DEPLOY / "compose.yaml", DEPLOY / "danube_broker.yml"], ids=lambda path: path.name)
def test_no_key_comes_twice(path):
    assert all(yaml.load_all(path.read_text(), OnceLoader))


def test_compose_takes_its_file():
    done = subprocess.run([tool("docker-compose"), "--file", DEPLOY / "compose.yaml", "config", "--format", "json"],
                          capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0 and not done.stderr, done.stderr
    services = yaml.safe_load(done.stdout)["services"]
    conditions = {name: {on: each["condition"] for on, each in service.get("depends_on", {}).items()}
                  for name, service in services.items()}
    assert conditions == {"broker": {}, "sidecar": {"broker": "service_healthy"}, "connector": {"sidecar": "service_healthy"}}
    assert all(services[name]["healthcheck"]["test"] for name in ("broker", "sidecar"))


def test_the_linter_has_nothing_to_say_of_the_containerfiles():
    files = [image.path for image in IMAGES.values()]
    assert len(files) == 2
    done = subprocess.run([tool("hadolint"), "--no-color", "--strict-labels", *label_schema(), *files],
                          capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0 and not done.stdout, done.stdout + done.stderr


def label_schema():
    kinds = {"title": "text", "description": "text", "version": "text", "source": "url", "licenses": "spdx"}
    return [word for name, kind in kinds.items() for word in ("--require-label", f"org.opencontainers.image.{name}:{kind}")]
