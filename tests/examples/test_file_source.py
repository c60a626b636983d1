"""The file source, while a writer appends to logs, renames and truncates them, and everything else is killed."""

import collections
import json
import multiprocessing
import os
import shutil
import subprocess
import time

import pytest
from conftest import need
from stack import PATIENCE, ROOT, Stack, eventually

SOURCE = ROOT / "examples/file-source-go"
TOPIC = "/default/lines"
LOGS, LINES = 5, 1200
WINDOW = 1000  # Records that the sidecar takes from a source before it has committed any.


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    need("go")
    binary = tmp_path_factory.mktemp("file-source") / "file-source"
    subprocess.run(["go", "build", "-o", binary, "."], cwd=SOURCE, check=True, timeout=10 * PATIENCE)
    return binary


@pytest.fixture
def reader(tmp_path, monkeypatch):
    """Reads the topic beside a sidecar of its own, which nobody kills: what comes, and in which order, is the source's doing."""
    stacks = []

    def start(broker):
        monkeypatch.setenv("DANUBE_SERVICE_URL", broker)
        folder = tmp_path / "beside-the-reader"
        folder.mkdir()
        stacks.append(Stack(folder, "[danube]\ncreate_topics = true\n"))
        return stacks[0], stacks[0].consume(TOPIC)

    yield start
    for stack in stacks:
        stack.stop()


def config(settings):
    return f"""[[connectors.files.producers]]
topic = "{TOPIC}"
[connectors.files.settings]
{settings}
"""


def start_source(stack, program):
    return stack.start("source", [program], CONNECTOR_NAME="files")


def line(log, number):
    return json.dumps({"log": log, "number": number, "filler": "x" * 60})


def write(folder, begin):
    """Appends to the logs in turns; each is rotated now and then, those with an odd number by copy and truncation."""
    begin.wait(PATIENCE)
    for number in range(1, LINES + 1):
        for log in range(LOGS):
            path = os.path.join(folder, f"{log}.log")
            text = line(log, number) + "\n"
            half = len(text) // 2
            with open(path, "a", buffering=1 << 16) as out:
                out.write(text[:half])
                out.flush()  # A reader may see half a line.
                out.write(text[half:])
            if number % 200 == 40 * log:
                rotate(path, keep=number // 200 + 1, copies=log % 2 == 1)
        time.sleep(0.002)  # The pace of a busy program: some seconds in all.


def rotate(path, keep, copies):
    for old in range(keep, 0, -1):
        if os.path.exists(f"{path}.{old}"):
            os.rename(f"{path}.{old}", f"{path}.{old + 1}")
    if copies:
        shutil.copyfile(path, f"{path}.1")
        os.truncate(path, 0)
    else:
        os.rename(path, f"{path}.1")


def committed(stack):
    """How many records of the source's session are safe."""
    source = stack.status("sources", "files")
    return source and source.get("committed")


def arrived(out):
    """For each log the numbers that came, in order."""
    numbers = collections.defaultdict(list)
    for record in Stack.received(out):
        line = json.loads(record["text"])
        assert record["key"] == str(line["log"])
        numbers[line["log"]].append(line["number"])
    return numbers


def check_account(numbers, sidecar_kills):
    """Every line is there, in order. Only a kill of the sidecar takes a log some lines back, once."""
    assert sorted(numbers) == list(range(LOGS))
    repeated = 0
    for log, came in numbers.items():
        steps_back = [(before, after) for before, after in zip([0, *came], came) if after != before + 1]
        assert all(after <= before for before, after in steps_back), f"log {log} misses lines: {steps_back}"
        assert set(came) == set(range(1, LINES + 1)), f"log {log} is not whole"
        assert len(steps_back) <= sidecar_kills, f"log {log}: {steps_back} after {sidecar_kills} kills of the sidecar"
        repeated += len(came) - LINES
    assert repeated <= sidecar_kills * WINDOW
    return repeated


def test_every_line_arrives_in_order_through_rotations_and_kills(stack, reader, program, tmp_path):
    logs = tmp_path / "logs"
    logs.mkdir()
    stack = stack(config(f'paths = ["{logs}/*.log*"]\nkey_field = "log"\npoll_interval_ms = 50'))
    reading, out = reader(stack.broker)
    source = start_source(stack, program)
    begin = multiprocessing.get_context("spawn").Event()
    writer = multiprocessing.get_context("spawn").Process(target=write, args=(str(logs), begin), daemon=True)
    writer.start()
    begin.set()
    kills = {"connector": 0, "sidecar": 0, "both": 0}
    schedule = ["connector", "sidecar", "connector", "both", "connector", "sidecar", "both", "connector"]
    try:
        for number, what in enumerate(schedule, 1):
            share = number * LOGS * LINES // (len(schedule) + 1)
            eventually(f"{share} lines", lambda: len(out.read_text().splitlines() if out.exists() else []) >= share,
                       [source, stack.sidecar])
            kills[what] += 1
            if what != "sidecar":
                source.kill_all()
            if what != "connector":
                stack.kill_sidecar()
            if what != "sidecar":
                source = start_source(stack, program)
        writer.join(PATIENCE)
        assert writer.exitcode == 0
    finally:
        writer.kill()

    def is_whole():
        numbers = arrived(out)
        return len(numbers) == LOGS and all(len(set(came)) == LINES for came in numbers.values())

    eventually("all lines", is_whole, [source, stack.sidecar])
    assert source.end() == 0
    reading.wait_until_settled("reader")
    repeated = check_account(arrived(out), kills["sidecar"] + kills["both"])
    print(f"{LOGS * LINES} lines, {kills}, {repeated} twice")


def test_rotations_while_the_source_is_dead_lose_and_repeat_nothing(stack, reader, program, tmp_path):
    logs = tmp_path / "logs"
    logs.mkdir()
    stack = stack(config(f'paths = ["{logs}/*.log*"]\nkey_field = "log"\npoll_interval_ms = 50'))
    reading, out = reader(stack.broker)
    expected = [(log, number) for log in (0, 1) for number in range(1, 401)]

    def append(first, last):
        for log in (0, 1):
            with open(logs / f"{log}.log", "a") as file:
                file.writelines(line(log, number) + "\n" for number in range(first, last))

    def came():
        return sorted((log, number) for log, numbers in arrived(out).items() for number in numbers)

    source = start_source(stack, program)
    append(1, 101)
    eventually("the commit of the first lines", lambda: committed(stack) == 200, [source])
    source.kill_all()
    for keep, first in enumerate((101, 201, 301), 1):
        append(first, first + 50)
        for log in (0, 1):
            rotate(str(logs / f"{log}.log"), keep, copies=log == 1)
        append(first + 50, first + 100)
    stack.kill_sidecar()
    source = start_source(stack, program)

    eventually("all lines", lambda: len(came()) >= len(expected), [source])
    assert source.end() == 0
    reading.wait_until_settled("reader")
    assert came() == expected
    assert all(numbers == sorted(numbers) for numbers in arrived(out).values())


def test_a_csv_file_becomes_json_objects(stack, reader, program, tmp_path):
    stack = stack(config(f'paths = ["{tmp_path}/*.csv"]\nformat = "csv"\nkey_column = "id"\npoll_interval_ms = 50'))
    _, out = reader(stack.broker)
    (tmp_path / "a.csv").write_bytes(b'id,text\r\n1,"two\r\nlines"\r\n2,one\r\n')
    source = start_source(stack, program)

    eventually("both records", lambda: len(Stack.received(out)) == 2, [source])
    assert [(record["key"], json.loads(record["text"])) for record in Stack.received(out)] == [
        ("1", {"id": "1", "text": "two\r\nlines"}), ("2", {"id": "2", "text": "one"})]
