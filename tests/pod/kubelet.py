"""Plays kubelet: runs the pods of deploy/kubernetes.yaml as processes of this machine, by the manifest's own words.

As kubelet does: init containers one after the other, where a native sidecar (`restartPolicy: Always`) counts as done once its
startup probe has passed; then the main containers. Probes with the manifest's periods and thresholds. What ends is started again.
A deleted pod's main containers get SIGTERM first; sidecars get it when these have ended; what is left when the grace period is
over gets SIGKILL.

Unlike it: paths and ports are exchanged for ones that are free here, the same in arguments, environment, files and probes; there
is no back-off before a restart; users, capabilities and a read-only root are there only where the launcher is the sandbox's.
"""

import os
import pathlib
import re
import shutil
import signal
import tempfile
import threading
import time

from deployment import IMAGES, LIBRARIES, command_of, document
from probes import Probe
from stack import PATIENCE, Process, eventually, free_port

SIDECAR_GRACE = 2
"""Seconds that a native sidecar has at least, however long the others took."""


class Node:
    """What outlives pods: volumes that were claimed, secrets, names in the network."""

    def __init__(self, folder, secrets, names, launch=None):
        self.folder = pathlib.Path(folder)
        # Unix sockets have short paths (108 bytes); pytest's folders are long.
        self.short = pathlib.Path(tempfile.mkdtemp(prefix="pod-"))
        self.secrets, self.names = secrets, names
        self.launch = launch or launch_plainly
        self.pods = []

    def pod(self, name, missing_images=()):
        """A pod of the StatefulSet; an image that is missing cannot be pulled."""
        self.pods.append(Pod(self, name, missing_images))
        return self.pods[-1]

    def claim(self, template, pod):
        return self.folder / "claims" / f"{template}-{pod}"

    def close(self):
        for pod in self.pods:
            pod.kill()
        shutil.rmtree(self.short)


def launch_plainly(container, command, environment):
    return Process(command, container.log, cwd="/", **environment)


class Pod:
    def __init__(self, node, name, missing_images):
        self.node, self.name, self._missing = node, name, missing_images
        template = document("StatefulSet")["spec"]["template"]
        self.spec, self.annotations = template["spec"], template["metadata"]["annotations"]
        assert all(spec.get("restartPolicy") == "Always" for spec in self.spec["initContainers"]), "only sidecars are played"
        self.events = []
        self.volumes = {}
        self.ports = {}
        self.sidecars = [Container(self, spec) for spec in self.spec["initContainers"]]
        self.mains = [Container(self, spec) for spec in self.spec["containers"]]
        self._exchange = {}
        self._mount_volumes()
        self._stopping = threading.Event()
        self._failure = None
        self._thread = threading.Thread(target=self._run, name=f"kubelet {name}")
        self._thread.start()

    @property
    def containers(self):
        return {each.name: each for each in self.sidecars + self.mains}

    def __getitem__(self, name):
        return self.containers[name]

    def ready(self):
        return all(container.ready for container in self.containers.values())

    def until(self, what, condition):
        """Waits for something of this pod."""
        def checked():
            assert self._failure is None, self._failure
            return condition()

        return eventually(f"{self.name}: {what}", checked)

    def note(self, container, what):
        """An event; pytest shows them all where a test fails."""
        self.events.append((container.name, what))
        print(f"{time.strftime('%T')}.{int(time.time() * 1000) % 1000:03} {self.name} {container.name}: {what}")

    # Volumes

    def _mount_volumes(self):
        claims = document("StatefulSet")["spec"]["volumeClaimTemplates"]
        self.volumes = {claim["metadata"]["name"]: self.node.claim(claim["metadata"]["name"], self.name) for claim in claims}
        for volume in self.spec["volumes"]:
            self.volumes[volume["name"]] = pathlib.Path(tempfile.mkdtemp(prefix=f"{volume['name']}-", dir=self.node.short))
        for container in self.containers.values():
            for port in container.spec.get("ports", []):
                self.ports.setdefault(port["containerPort"], free_port())
            for mount in container.spec["volumeMounts"]:
                self._exchange[mount["mountPath"]] = str(self.volumes[mount["name"]])
        self._exchange |= {f":{port}": f":{ours}" for port, ours in self.ports.items()} | self.node.names
        for folder in self.volumes.values():
            folder.mkdir(parents=True, exist_ok=True)
        for volume in self.spec["volumes"]:
            for name, content in self._files(volume).items():
                file = self.volumes[volume["name"]] / name
                file.write_text(self.here(content))
                file.chmod(volume.get("secret", {}).get("defaultMode", 0o644))
        self._give_to_group()

    def _files(self, volume):
        if "configMap" in volume:
            return document("ConfigMap")["data"]
        return self.node.secrets[volume["secret"]["secretName"]] if "secret" in volume else {}

    def _give_to_group(self):
        """What fsGroup means."""
        if os.geteuid() != 0:
            return
        group = self.spec["securityContext"]["fsGroup"]
        os.chmod(self.node.short, 0o755)
        read_only = {volume["name"] for volume in self.spec["volumes"] if "secret" in volume or "configMap" in volume}
        for name, volume in self.volumes.items():
            of_a_file = 0o440 if name in read_only else 0o660
            for path in [volume, *volume.rglob("*")]:
                os.chown(path, -1, group, follow_symlinks=False)
                if not path.is_socket():
                    path.chmod(path.stat().st_mode | (0o2770 if path.is_dir() else of_a_file))

    def here(self, text):
        """The text with this machine's paths and ports."""
        known = "|".join(re.escape(each) for each in sorted(self._exchange, key=len, reverse=True))
        return re.sub(rf"(?<![\w.-])(?:{known})(?![\w.-])|(?<=\d)(?:{known})\b", lambda found: self._exchange[found[0]], text)

    # Life

    def _run(self):
        try:
            for sidecar in self.sidecars:
                sidecar.start()
                while not sidecar.started and not self._stopping.is_set():
                    self._tick()
            for container in self.mains:
                if container.name not in self._missing and not self._stopping.is_set():
                    container.start()
            while not self._stopping.is_set():
                self._tick()
        except Exception as error:  # The test's thread raises it.
            self._failure = error
            raise

    def _tick(self):
        for container in self.containers.values():
            if container.process is not None:
                container.tick(time.monotonic())
        self._stopping.wait(0.05)

    def delete(self, grace=None):
        """Ends the pod, with its grace period or another one (`kubectl delete --grace-period`). Gives the exit codes."""
        self._stop()
        deadline = time.monotonic() + (self.spec["terminationGracePeriodSeconds"] if grace is None else grace)
        running = [container for container in self.mains if container.process is not None]
        for container in running:
            container.signal(signal.SIGTERM)
        for container in running:
            container.end(deadline)
        for sidecar in reversed(self.sidecars):
            sidecar.signal(signal.SIGTERM)
            sidecar.end(max(deadline, time.monotonic() + SIDECAR_GRACE))
        for volume in self.spec["volumes"]:
            shutil.rmtree(self.volumes[volume["name"]])
        return {container.name: container.exits[-1] for container in [*self.sidecars, *running]}

    def _stop(self):
        self._stopping.set()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "kubelet's loop does not end"

    def kill(self):
        self._stop()
        for container in self.containers.values():
            if container.process is not None and container.process.poll() is None:
                container.process.kill_all()


class Container:
    def __init__(self, pod, spec):
        self.pod, self.spec, self.name = pod, spec, spec["name"]
        self.log = pod.node.folder / f"{pod.name}-{self.name}.log"
        self.process = None
        self.started = self.ready = False
        self.exits = []
        self.probes = {}

    def start(self):
        image = IMAGES[self.spec["image"]]
        environment = image.environment | LIBRARIES | {each["name"]: self._value(each) for each in self.spec.get("env", [])}
        environment = {name: self._here(value) for name, value in environment.items()}
        command = [self._here(word) for word in command_of(image, self.spec)]
        now = time.monotonic()
        self.probes = {kind: Probe(self.spec[kind], self._port, now)
                       for kind in ("startupProbe", "livenessProbe", "readinessProbe") if kind in self.spec}
        self.started = self.ready = False
        self.pod.note(self, "start")
        self.process = self.pod.node.launch(self, command, environment | {"HOSTNAME": self.pod.name})

    def _here(self, word):
        """What is a path already is this checkout's, and no word of the manifest."""
        return str(word) if isinstance(word, pathlib.Path) else self.pod.here(word)

    def _value(self, variable):
        if "value" in variable:
            return variable["value"]
        reference = variable["valueFrom"]["secretKeyRef"]
        return self.pod.node.secrets[reference["name"]][reference["key"]]

    def _port(self, port):
        named = {each["name"]: each["containerPort"] for each in self.spec["ports"]}
        return self.pod.ports[named.get(port, port)]

    def port(self, name):
        """Of a port's name, the one on this machine."""
        return self._port(name)

    def tick(self, now):
        if self.process.poll() is not None:
            self._ended()
            self.start()
        elif not self.started:
            self._start_up(now)
        else:
            self._look_after(now)

    def _start_up(self, now):
        passed = self.probes["startupProbe"].tick(now) if "startupProbe" in self.probes else True
        if passed:
            self.started = True
            self.ready = "readinessProbe" not in self.probes
            self.pod.note(self, "started")
        elif passed is False:
            self.restart("startup probe")

    def _look_after(self, now):
        if "livenessProbe" in self.probes and self.probes["livenessProbe"].tick(now) is False:
            self.restart("liveness probe")
        elif "readinessProbe" in self.probes and (ready := self.probes["readinessProbe"].tick(now)) is not None:
            if ready != self.ready:
                self.pod.note(self, "ready" if ready else "not ready")
            self.ready = ready

    def restart(self, why):
        self.pod.note(self, f"failed: {why}")
        self.signal(signal.SIGTERM)
        self.end(time.monotonic() + self.pod.spec["terminationGracePeriodSeconds"])
        self.start()

    def signal(self, number):
        self.pod.note(self, signal.Signals(number).name)
        os.kill(getattr(self.process, "inner", self.process.pid), number)

    def end(self, deadline):
        """Waits for its end; SIGKILL at the deadline."""
        while self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        if self.process.poll() is None:
            self.signal(signal.SIGKILL)
            self.process.wait(PATIENCE)
        self._ended()

    def _ended(self):
        code = self.process.returncode
        self.exits.append(code if code >= 0 else 128 - code)
        self.pod.note(self, f"exit {self.exits[-1]}")
