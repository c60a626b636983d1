"""Each test runs against every language's sink, over TCP and over a Unix socket."""

import os
import pathlib
import sys
import tempfile

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from http2 import Listener  # noqa: E402
from sidecar import Sidecar  # noqa: E402
from sinks import LANGUAGES, Sink  # noqa: E402


@pytest.fixture(scope="session", params=[pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in LANGUAGES])
def language(request):
    language = LANGUAGES[request.param]
    missing = language.missing_tools()
    if missing and not os.environ.get("CI"):
        pytest.skip(f"{language.name}: not on this machine: {', '.join(missing)}")
    assert not missing, f"{language.name}: CI needs {', '.join(missing)}"
    language.build()
    return language


@pytest.fixture(params=["tcp", "unix"])
def transport(request):
    return request.param


@pytest.fixture
def socket_path():
    # Unix socket paths are short (108 bytes); pytest's folders are not.
    with tempfile.TemporaryDirectory(prefix="danube-") as folder:
        yield f"{folder}/s.sock"


@pytest.fixture
def sidecar(transport, socket_path):
    sidecar = Sidecar("127.0.0.1:0" if transport == "tcp" else f"unix://{socket_path}")
    yield sidecar
    sidecar.stop()


@pytest.fixture
def listener(socket_path):
    listener = Listener(socket_path)
    yield listener
    listener.close()


@pytest.fixture
def start(language, tmp_path):
    """Starts a sink; all of one test write to the same file."""
    sinks = []

    def start(address):
        sinks.append(Sink(language, address, tmp_path / "effects"))
        return sinks[-1]

    yield start
    for sink in sinks:
        if sink.process.poll() is None:
            sink.kill()


@pytest.fixture
def sink(start, sidecar):
    return start(sidecar.address)


@pytest.fixture
def session(sidecar, sink):
    """The sink's stream, opened."""
    return sidecar.opened_session()
