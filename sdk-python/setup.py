"""Builds the package: the protocol's stubs first, everything else is in pyproject.toml."""

import pathlib
import sys

from setuptools import setup

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import stubs  # noqa: E402

stubs.generate()
setup()
