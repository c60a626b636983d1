"""The example connectors, each on the real system it is made for."""

import os
import pathlib
import shutil
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from stack import Stack  # noqa: E402


@pytest.fixture
def stack(tmp_path):
    """Starts a stack with the sidecar's configuration that the test gives."""
    stacks = []

    def start(config=""):
        stacks.append(Stack(tmp_path, config))
        return stacks[-1]

    yield start
    for stack in stacks:
        stack.stop()


def need(*tools):
    """Skips a test whose toolchain is missing, by name; in CI that is a failure."""
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing and not os.environ.get("CI"):
        pytest.skip(f"not on this machine: {', '.join(missing)}")
    assert not missing, f"CI needs {', '.join(missing)}"
