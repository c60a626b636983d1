"""The messages that docs/deploy.md explains are the ones that come."""

import contextlib
import os
import re
import subprocess

import pytest
from deployment import IMAGES, LIBRARIES, command_of, containers
from stack import BINARIES, PATIENCE, ROOT, Process, eventually, free_port

PAGE = (ROOT / "docs/deploy.md").read_text().partition("## When something is wrong")[2].partition("\n## ")[0]
MESSAGES = [" ".join(message.split()) for message in re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)]
SIDECAR = BINARIES / "danube-sidecar"
NOWHERE = "http://127.0.0.1:9"
"""A broker that is not there."""


def no_file(folder):
    return fails("run", "--config", "/etc/danube-sidecar/sidecar.toml")


def no_broker(folder):
    return fails("run", "--config", configured(folder, ""))


def no_number(folder):
    return fails("run", "--config", configured(folder, "[sidecar]\nreplicas = 2", url=True), HOSTNAME="orders-5b7c8d9f6d-x2k4p")


def not_writable(folder):
    data = folder / "data"
    data.mkdir(mode=0o500)
    drop = []
    if os.geteuid() == 0:  # Root may write anywhere, until it gives that right up.
        os.chown(data, 65532, 65532)
        drop = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"]
    said = fails("run", *anywhere(), "--data-dir", data, drop=drop, DANUBE_SERVICE_URL=NOWHERE)
    return said.replace(str(data), "/var/lib/danube-sidecar")


def in_use(folder):
    data = folder / "data"
    with serving(folder, "", "--data-dir", data):
        said = fails("run", *anywhere(), "--data-dir", data, DANUBE_SERVICE_URL=NOWHERE)
        return said.replace(str(data), "/var/lib/danube-sidecar")


def no_folder_for_the_socket(folder):
    path = folder / "missing/sidecar.sock"
    said = fails("run", *anywhere(), "--unix-socket", path, DANUBE_SERVICE_URL=NOWHERE)
    return said.replace(str(path), "/run/danube/sidecar.sock")


def no_token(folder):
    (folder / "token").write_text("secret")
    with serving(folder, f'[sidecar]\ntoken_file = "{folder / "token"}"') as (address, _):
        return connector(address)


def unknown_connector(folder):
    with serving(folder, "[sidecar]\nallow_unconfigured = false\n[connectors.payments]") as (address, _):
        return connector(address)


def broker_away(folder):
    with serving(folder, "") as (_, log):
        eventually("the complaint", lambda: "cannot reach" in log.read_text())
        return log.read_text()


def admin_closed(folder):
    with serving(folder, "", http="0.0.0.0"):
        return fails("dlq", "list", "--config", folder / "sidecar.toml", "--address", (folder / "http").read_text(), code=3)


CASES = {
    "cannot read the configuration file": no_file,
    "no Danube broker is named": no_broker,
    "sidecar.replicas": no_number,
    "the data directory": not_writable,
    "/var/lib/danube-sidecar": in_use,
    "cannot listen on the Unix socket": no_folder_for_the_socket,
    "the token is missing": no_token,
    "connector `orders`": unknown_connector,
    "cannot reach Danube": broker_away,
    "the admin API is closed": admin_closed,
}
"""How each message comes about, by its beginning."""


@pytest.mark.parametrize("message", MESSAGES)
def test_what_the_page_explains_is_what_is_said(message, tmp_path):
    (case,) = [case for beginning, case in CASES.items() if message.startswith(beginning)]
    assert message in " ".join(case(tmp_path).split())


def test_the_page_explains_all_of_them():
    assert len(MESSAGES) == len(CASES)


def fails(*command, code=None, drop=(), **environment):
    done = subprocess.run([*drop, SIDECAR, *map(str, command)], env={"PATH": os.environ["PATH"], **environment},
                          capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == code if code else done.returncode in (1, 2), done.stderr
    return done.stderr


def configured(folder, text, url=False):
    path = folder / "sidecar.toml"
    path.write_text((f'danube_service_url = "http://127.0.0.1:{free_port()}"\n' if url else "") + text)
    return path


def anywhere():
    """Free ports."""
    return "--listen", f"127.0.0.1:{free_port()}", "--http-listen", f"127.0.0.1:{free_port()}"


@contextlib.contextmanager
def serving(folder, config, *more, http="127.0.0.1"):
    """A sidecar without a broker: its address for connectors, and its log."""
    address, http = f"127.0.0.1:{free_port()}", f"{http}:{free_port()}"
    (folder / "http").write_text(f"http://{http}")
    log = folder / "sidecar.log"
    sidecar = Process([SIDECAR, "run", "--config", configured(folder, config, url=True), "--listen", address,
                       "--http-listen", http, *more], log)
    try:
        eventually("the sidecar", lambda: sidecar.has_printed("sidecar ready"), [sidecar])
        yield f"http://{address}", log
    finally:
        sidecar.kill_all()


def connector(address):
    """What the connector of deploy/ says when it is refused."""
    container = containers()["connector"]
    environment = {name: str(value) for name, value in LIBRARIES.items()} | {"DANUBE_SIDECAR_ADDRESS": address}
    done = subprocess.run([str(word) for word in command_of(IMAGES[container["image"]], container)], env=environment,
                          capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode != 0
    return done.stderr
