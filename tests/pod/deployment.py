"""What deploy/ says, and what in this checkout stands for its images."""

import sys

import yaml
from containerfile import Image
from stack import BINARIES, ROOT, TOOLS

try:
    import tomllib
except ImportError:  # Before Python 3.11.
    import tomli as tomllib

DEPLOY = ROOT / "deploy"
MANIFEST = DEPLOY / "kubernetes.yaml"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
DOCUMENTS = list(yaml.safe_load_all(MANIFEST.read_text()))

PROGRAMS = {"/usr/local/bin/danube-sidecar": BINARIES / "danube-sidecar", "/opt/venv/bin/python": TOOLS / "venv/bin/python"}
"""What the images' builders put there."""
LIBRARIES = {"PYTHONPATH": ROOT / "sdk-python/src"}
"""Installed in the connector's image."""
IMAGES = {service["image"]: Image(ROOT / service["build"]["dockerfile"])
          for service in COMPOSE["services"].values() if "build" in service}
"""By their tags; compose.yaml says how each is built."""


def document(kind):
    (found,) = [each for each in DOCUMENTS if each["kind"] == kind]
    return found


def pod_spec():
    return document("StatefulSet")["spec"]["template"]["spec"]


def containers():
    """All of the pod, by name."""
    spec = pod_spec()
    return {each["name"]: each for each in spec["initContainers"] + spec["containers"]}


def sidecar_toml():
    return document("ConfigMap")["data"]["sidecar.toml"]


def configuration():
    return tomllib.loads(sidecar_toml())


def command_of(image, container):
    """What a container runs, with the programs of this checkout: command and args replace the image's, as in Kubernetes."""
    entrypoint, arguments = image.entrypoint, image.command
    if "command" in container:
        entrypoint, arguments = container["command"], []
    return [program(image, word) for word in [*entrypoint, *container.get("args", arguments)]]


def program(image, word):
    for flags, sources, destination in image.copies():
        if destination == word and "from" not in flags:
            return ROOT / sources[0]
    return PROGRAMS.get(word, word)


def folders_of_programs():
    """What programs need to be run, where the root is another one."""
    return [BINARIES, TOOLS / "venv", ROOT / "sdk-python", sys.base_prefix]
