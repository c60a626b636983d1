"""The files of deploy/, read, checked and played."""

import os
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "examples"), str(HERE.parents[1] / ".tools/pod")]

import sandbox  # noqa: E402
from cluster import Cluster  # noqa: E402


@pytest.fixture
def cluster(tmp_path):
    """Starts nothing by itself."""
    cluster = Cluster(tmp_path)
    yield cluster
    cluster.close()


@pytest.fixture
def sandboxed(tmp_path):
    """A cluster whose pods have the manifest's users and read-only roots."""
    if missing := sandbox.missing():
        assert not (os.environ.get("CI") and os.geteuid() == 0), f"CI needs {missing}"
        pytest.skip(f"needs {missing}")
    cluster = Cluster(tmp_path, sandbox.launch)
    yield cluster
    cluster.close()
