"""`danube-sidecar init` for every language and kind: the new connector is built and tested as its commands say, keeps the
protocol, and runs with `danube-sidecar dev` as it is."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import urllib.request
import xml.etree.ElementTree as ElementTree

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/examples"))

from stack import BINARIES, PATIENCE, Process, eventually, free_port  # noqa: E402

SIDECAR = BINARIES / "danube-sidecar"
NAME = "try-it"
TOOLS = {"python": [], "go": ["go"], "typescript": ["node", "npm"], "java": ["java", "mvn"], "rust": ["cargo"]}


# Both of a language are built in one place.
@pytest.fixture(ids="-".join, params=[
    pytest.param((lang, kind), marks=pytest.mark.xdist_group(lang)) for lang in TOOLS for kind in ("sink", "source")])
def scaffold(request, tmp_path):
    lang, kind = request.param
    missing = [tool for tool in TOOLS[lang] if shutil.which(tool) is None]
    if missing and not os.environ.get("CI"):
        pytest.skip(f"{lang}: not on this machine: {', '.join(missing)}")
    assert not missing, f"{lang}: CI needs {', '.join(missing)}"
    return Scaffold(lang, kind, tmp_path)


class Scaffold:
    def __init__(self, lang, kind, parent):
        self.kind, self.folder, self.parent = kind, parent / NAME, parent
        commands = (ROOT / "sidecar/templates" / lang / "init.toml").read_text()
        names = {"{{name}}": NAME, "{{name_snake}}": "try_it", "{{name_pascal}}": "TryIt", "{{sdk}}": str(ROOT / f"sdk-{lang}")}
        for mark, value in names.items():
            commands = commands.replace(mark, value)
        self.commands = dict(re.findall(r'^(\w+) = "(.*?)"', commands, re.MULTILINE))
        self.said = subprocess.run([SIDECAR, "init", "--lang", lang, "--kind", kind, NAME], cwd=parent, check=True,
                                   capture_output=True, text=True, timeout=PATIENCE).stdout
        if lang == "rust":  # What the workspace has compiled need not be compiled again.
            (self.folder / "target").symlink_to(ROOT / "target/scaffolds", target_is_directory=True)
            (ROOT / "target/scaffolds").mkdir(exist_ok=True)
            shutil.copy(ROOT / "Cargo.lock", self.folder)

    def shell(self, command):
        run = subprocess.run(["bash", "-c", command], cwd=self.folder, env=environment(), capture_output=True, text=True,
                             timeout=10 * PATIENCE)
        assert run.returncode == 0, f"{command}\n{run.stdout}{run.stderr}"

    def certify(self):
        report = self.parent / "report.xml"
        written = f"--written {NAME}.jsonl" if self.kind == "sink" else ""
        self.shell(f"danube-sidecar conformance --jobs 4 --junit {report} {written} -- {self.commands['run']}")
        cases = list(ElementTree.parse(report).iter("testcase"))
        skipped = [case.get("name") for case in cases if case.find("skipped") is not None]
        assert cases and not skipped, f"skipped: {skipped}"


def environment():
    """With what setup installed in front, as `make` has it: a virtual environment stands for the user's own."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("DANUBE_", "CONNECTOR_"))}
    # Nobody debugs what is made here, and it compiles faster.
    return clean | {"CARGO_PROFILE_DEV_DEBUG": "0", "PATH": f"{BINARIES}:{ROOT}/.tools/venv/bin:{ROOT}/.tools/bin:{os.environ['PATH']}"}


def test_the_new_connector_works_as_it_is(scaffold):
    assert f"cd {NAME}" in scaffold.said
    if scaffold.commands["build"]:
        assert scaffold.commands["build"] in scaffold.said
        scaffold.shell(scaffold.commands["build"])
    scaffold.shell(scaffold.commands["test"])
    scaffold.certify()
    runs_with_dev(scaffold)


def runs_with_dev(scaffold):
    for left in scaffold.folder.glob(f"{NAME}.jsonl*"):  # What was certified has written there.
        left.unlink()
    ports = {flag: free_port() for flag in ("--listen", "--http-listen", "--broker-listen")}
    flags = " ".join(f"{flag} 127.0.0.1:{port}" for flag, port in ports.items())
    status = f"http://127.0.0.1:{ports['--http-listen']}"
    command = f"exec danube-sidecar dev --config sidecar.toml {flags} -- {scaffold.commands['run']}"
    dev = Process(["bash", "-c", command], scaffold.parent / "dev.log", cwd=scaffold.folder, PATH=environment()["PATH"])
    try:
        if scaffold.kind == "sink":
            eventually("the subscription", lambda: is_attached(status), [dev])
            broker = f"http://127.0.0.1:{ports['--broker-listen']}"
            scaffold.shell(f"danube-sidecar publish --broker {broker} /default/{NAME} 'hello, Danube' 'hello again'")
            out = scaffold.folder / f"{NAME}.jsonl"
            eventually("both records", lambda: out.exists() and out.read_text().count("\n") == 2, [dev])
            records = [json.loads(line) for line in out.read_text().splitlines()]
            assert [record["payload"] for record in records] == ["hello, Danube", "hello again"]
            assert all(record["topic"] == f"/default/{NAME}" and record["dedup_id"] for record in records)
        else:
            # The settings of its sidecar.toml are what it publishes.
            eventually("its records", lambda: confirmed(status) == 1000, [dev])
        assert dev.end() == 0, dev.log.read_text()
    finally:
        dev.kill_all()


def connector(status, kind):
    try:
        with urllib.request.urlopen(f"{status}/status", timeout=PATIENCE) as answer:
            return next((each for each in json.load(answer)[kind] if each["connector"] == NAME), None)
    except OSError:
        return None


def is_attached(status):
    sink = connector(status, "sinks")
    return sink and sink["subscriptions"][0]["partitions_attached"]


def confirmed(status):
    source = connector(status, "sources")
    return source and source.get("committed")
