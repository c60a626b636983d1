"""The kit catches connectors that are wrong, each by the case that names the mistake."""

import os
import pathlib
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SIDECAR = ROOT / "target/debug/danube-sidecar"


def certify(program, *mistake, tmp_path, options=()):
    report, written = tmp_path / "report.xml", tmp_path / "written"
    command = [SIDECAR, "conformance", "--junit", report, "--written", written, "--jobs", "4", *options, "--"]
    # The stubs that tests/conftest.py has made are on this process's path.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "SINK_FILE": str(written)}
    run = subprocess.run(
        [*command, sys.executable, HERE / "broken" / program, *mistake],
        env=environment, capture_output=True, text=True, timeout=300)
    assert report.exists(), run.stdout + run.stderr
    cases = ElementTree.parse(report).iter("testcase")
    failed = [case.get("name") for case in cases if case.find("failure") is not None]
    return run, failed


@pytest.mark.parametrize("program", ["sink.py", "source.py"])
def test_a_right_connector_passes(program, tmp_path):
    run, failed = certify(program, tmp_path=tmp_path)
    assert (run.returncode, failed) == (0, []), run.stdout


@pytest.mark.parametrize("program, mistake, case", [
    ("sink.py", "acks-before-the-write", "sink-acks-after-write"),
    ("sink.py", "ignores-the-window", "sink-window"),
    ("sink.py", "answers-twice", "sink-answers-once"),
    ("sink.py", "never-drains", "sink-drain"),
    ("source.py", "loses-the-position", "source-resume"),
    ("source.py", "ignores-the-demand", "source-demand"),
])
def test_a_mistake_is_caught_by_the_case_that_names_it(program, mistake, case, tmp_path):
    run, failed = certify(program, mistake, tmp_path=tmp_path, options=["--only", case])
    assert run.returncode == 1 and failed == [case], run.stdout


def test_a_case_that_does_not_exist_is_named():
    command = [SIDECAR, "conformance", "--only", "sink-nothing", "--", "true"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert run.returncode == 2 and 'there is no case "sink-nothing"' in run.stderr


def test_a_program_that_never_dials_is_reported_with_what_it_said():
    command = [SIDECAR, "conformance", "--", "sh", "-c", "echo I am no connector"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert run.returncode == 2 and "I am no connector" in run.stderr
