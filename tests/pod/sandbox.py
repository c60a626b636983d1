"""Runs a container's process as the manifest's securityContext says, as far as the kernel does that without a container engine.

The process is process 1 of a PID namespace, in a mount namespace with a root of its own that is read-only
(`readOnlyRootFilesystem`): the system's programs and libraries, ours, and the container's volumes, of which only those can be
written that the manifest says. It has the manifest's user and group, no capabilities, and can gain none.
"""

import os
import shutil
import subprocess

from deployment import folders_of_programs
from stack import Process, eventually

BUILD_ROOT = r"""
set -eu
root=$1 user=$2 group=$3 volumes=$4
shift 4
mount --types tmpfs --options mode=0755 tmpfs "$root"
put() {  # put OPTION FOLDER: at the same path below the root.
    mkdir -p "$root$2"
    mount --rbind "$2" "$root$2"
    mount --options "remount,bind,$1" "$root$2"
}
for folder in /usr $PROGRAMS; do
    [ ! -d "$folder" ] || put ro "$folder"
done
for link in /bin /lib /lib64; do
    [ ! -L "$link" ] || ln -s "$(readlink "$link")" "$root$link"
    [ -L "$link" ] || [ ! -d "$link" ] || put ro "$link"
done
while read -r option folder; do
    put "$option" "$folder"
done <"$volumes"
mkdir "$root/proc" "$root/dev"
mount --types proc proc "$root/proc"
for device in null zero full random urandom; do
    touch "$root/dev/$device" && mount --bind "/dev/$device" "$root/dev/$device"
done
mount --options remount,ro "$root"
exec chroot "$root" /usr/bin/setpriv --reuid "$user" --regid "$group" --clear-groups --no-new-privs --inh-caps=-all \
    --bounding-set=-all -- "$@"
"""


def missing():
    """What this machine lacks for it, if anything."""
    if os.geteuid() != 0:
        return "root"
    if any(shutil.which(tool) is None for tool in ("unshare", "setpriv", "chroot", "mount")):
        return "unshare and setpriv of util-linux"
    tried = subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"], capture_output=True, timeout=30)
    return None if tried.returncode == 0 else "the right to make namespaces"


def launch(container, command, environment):
    """A launcher for `kubelet.Node`."""
    security = container.pod.spec["securityContext"] | container.spec["securityContext"]
    assert security["readOnlyRootFilesystem"] and not security["allowPrivilegeEscalation"]
    assert security["capabilities"] == {"drop": ["ALL"]}
    root = container.log.with_suffix(".root")
    root.mkdir(exist_ok=True)
    volumes = container.log.with_suffix(".volumes")
    volumes.write_text("".join(f"{'ro' if mount.get('readOnly') else 'rw'} {container.pod.volumes[mount['name']]}\n"
                               for mount in container.spec["volumeMounts"]))
    process = Process(
        ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "sh", "-c", BUILD_ROOT, "sandbox",
         root, security["runAsUser"], security["runAsGroup"], volumes, *command],
        container.log, cwd="/", PROGRAMS=" ".join(str(folder) for folder in folders_of_programs()), **environment)
    process.inner = eventually("the namespace's first process", lambda: child_of(process.pid), [process])
    return process


def child_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as children:
        return next((int(child) for child in children.read().split()), None)
