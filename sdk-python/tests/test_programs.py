"""Whole programs in processes of their own: the conformance connectors, the examples, and signals."""

import asyncio
import contextlib
import os
import pathlib
import signal
import sqlite3
import sys

import pytest

from danube_connector._wire import common, sink
from scripted import REJECT, RETRY, ScriptedSidecar, failures, ranges, record, scenario, within

HOME = pathlib.Path(__file__).resolve().parents[1]


@contextlib.asynccontextmanager
async def program(path, sidecar, cwd, **env):
    """Runs a program of this folder against the sidecar."""
    env = {**os.environ, "PYTHONPATH": str(HOME / "src"), "DANUBE_SIDECAR_ADDRESS": sidecar.address, **env}
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(HOME / path), cwd=cwd, env=env, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def stopped(process, session, number=signal.SIGTERM):
    """Stops a program, and gives its exit code."""
    process.send_signal(number)
    await session.receive("drained")
    session.end()
    return await within(process.wait())


@pytest.mark.parametrize("mode", ["batch", "single"])
@scenario
async def test_the_conformance_sink_obeys(mode, tmp_path):
    journal = tmp_path / "f"
    env = {"CONFORMANCE_FILE": str(journal), "CONFORMANCE_MODE": mode}
    async with ScriptedSidecar() as sidecar, program("conformance/sink.py", sidecar, tmp_path, **env) as process:
        session = await sidecar.open(settings_json='{"conformance": {"word": "hello"}}')
        assert session.open.connector == "conformance"
        assert (await session.probe()).status in (common.Health.STATUS_HEALTHY, common.Health.STATUS_UNHEALTHY)
        texts = ["plain", "reject", "retry", "retry-after 1500", "filter", "slow 1"]
        await session.batch(*(record(text, dedup_id=text.split()[0]) for text in texts))
        results = await session.receive("results")
        while not any(last == 6 for _, last in ranges(results)):
            results.MergeFrom(await session.receive("results"))
        assert [(each, code) for each, _, code in failures(results)] == [(2, "TOLD_TO"), (3, "TOLD_TO"), (4, "TOLD_TO"), (5, "TOLD_TO")]
        assert results.failures[0].message == "told to reject" and results.failures[0].outcome == REJECT
        assert results.failures[2].retry_after.ToMilliseconds() == 1500
        assert ranges(results) == [(1, 1), (6, 6)]
        await session.batch(record("error"))
        assert failures(await session.receive("results")) == [(7, RETRY, "EXCEPTION")]
        (tmp_path / "f.sick").touch()
        health = await session.probe()
        assert (health.status, health.message) == (common.Health.STATUS_UNHEALTHY, "told to be")
        assert await stopped(process, session) == 0
    assert journal.read_text() == "opened hello\nwritten plain 1 -\nwritten slow 1 -\nclosed\n"


@pytest.mark.parametrize("mode", ["poll", "push"])
@scenario
async def test_the_conformance_source_counts_and_ends(mode, tmp_path):
    journal = tmp_path / "f"
    env = {"CONFORMANCE_FILE": str(journal), "CONFORMANCE_MODE": mode, "CONFORMANCE_END": "1"}
    positions = [common.Position(source_partition="numbers", offset=2)]
    async with ScriptedSidecar() as sidecar, program("conformance/source.py", sidecar, tmp_path, **env) as process:
        session = await sidecar.open(settings_json='{"conformance": {"records": 5, "size": 12}}', positions=positions)
        await session.demand(100)
        records = []
        while len(records) < 3:
            records.extend((await session.receive("records")).records)
        await session.receive("drained")
        await session.committed(3)
        await session.expect_end()
        session.end()
        assert await within(process.wait()) == 0
    first = records[0]
    assert (first.payload, first.key, dict(first.attributes)) == (b"record 3xxxx", "k3", {"n": "3"})
    assert (first.position.source_partition, first.position.offset, first.position.metadata) == ("numbers", 3, "m3")
    assert journal.read_text() == "restored 2\ncommitted 3\ncommitted 4\ncommitted 5\nclosed\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@scenario
async def test_a_signal_stops_a_program_in_good_order(number, tmp_path):
    async with ScriptedSidecar() as sidecar, program("examples/hello_sink.py", sidecar, tmp_path) as process:
        session = await sidecar.open()
        await session.batch(record("hello", key="k"))
        assert ranges(await session.receive("results")) == [(1, 1)]
        assert await within(process.stdout.readline()) == b"id-hello k hello\n"
        assert await stopped(process, session, number) == 0


@scenario
async def test_a_second_signal_ends_a_program_at_once(tmp_path):
    env = {"CONFORMANCE_FILE": str(tmp_path / "f"), "CONFORMANCE_MODE": "single"}
    async with ScriptedSidecar() as sidecar, program("conformance/sink.py", sidecar, tmp_path, **env) as process:
        session = await sidecar.open()
        await session.batch(record("a"), record("slow 60000"))
        assert ranges(await session.receive("results")) == [(1, 1)]
        process.send_signal(signal.SIGTERM)
        # A probe that is answered after the signal was sent does not tell that it was seen: signal until the end is the default one.
        while process.returncode is None:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(process.wait(), 0.1)
    assert process.returncode == -signal.SIGTERM


@scenario
async def test_the_sqlite_sink_of_the_readme_writes_and_rejects(tmp_path):
    async with ScriptedSidecar() as sidecar, program("examples/sqlite_sink.py", sidecar, tmp_path) as process:
        session = await sidecar.open()
        await session.batch(record('{"total": 3}', key="c", dedup_id="1"), record("{", dedup_id="2"))
        results = await session.receive("results")
        assert (ranges(results), failures(results)) == ([(1, 1)], [(2, REJECT, "INVALID_PAYLOAD")])
        assert (await session.probe()).status == common.Health.STATUS_HEALTHY
        assert await stopped(process, session) == 0
    with contextlib.closing(sqlite3.connect(tmp_path / "orders.db")) as db:
        assert db.execute("SELECT * FROM orders").fetchall() == [("1", "c", 3.0)]


@scenario
async def test_the_lines_source_of_the_readme_resumes_behind_its_position(tmp_path):
    (tmp_path / "lines.txt").write_text("one\ntwo\nhalf")
    position = common.Position(source_partition=str(tmp_path / "lines.txt"), offset=4)
    async with ScriptedSidecar() as sidecar, program("examples/lines_source.py", sidecar, tmp_path) as process:
        session = await sidecar.open(positions=[position])
        await session.demand(10)
        frame = await session.receive("records")
        assert [(each.payload, each.position.offset) for each in frame.records] == [(b"two", 8)]
        await session.committed(1)
        assert await stopped(process, session) == 0


@scenario
async def test_the_push_source_of_the_readme_answers_when_a_line_is_committed(tmp_path):
    async with ScriptedSidecar() as sidecar:
        port = await free_port()
        async with program("examples/push_source.py", sidecar, tmp_path) as process:
            session = await sidecar.open(settings_json=f'{{"port": {port}}}')
            reader, writer = await connected(port)
            writer.write(b"no room\n")
            assert await within(reader.readline()) == b"busy\n"
            await session.demand(1)
            # Demand is taken some time after it is sent: a probe tells when.
            await session.probe()
            writer.write(b"event\n")
            assert await session.texts(first=1) == ["event"]
            await session.committed(1)
            assert await within(reader.readline()) == b"ok\n"
            assert await stopped(process, session) == 0
            writer.close()


@scenario
async def test_the_spool_source_deletes_a_file_when_it_is_committed_and_counts_on(tmp_path):
    (tmp_path / "spool").mkdir()
    for name in ("b", "a"):
        (tmp_path / "spool" / name).write_text(f"of {name}")
    position = common.Position(source_partition="files", offset=7, metadata="before")
    async with ScriptedSidecar() as sidecar, program("examples/spool_source.py", sidecar, tmp_path) as process:
        session = await sidecar.open(positions=[position])
        await session.demand(10)
        frame = await session.receive("records")
        assert [(each.payload, each.position.offset) for each in frame.records] == [(b"of a", 8), (b"of b", 9)]
        await session.committed(1)
        while (tmp_path / "spool" / "a").exists():
            await asyncio.sleep(0.01)
        assert (tmp_path / "spool" / "b").exists()
        await session.committed(2)
        assert await stopped(process, session) == 0
    assert not list((tmp_path / "spool").iterdir())


@scenario
async def test_the_schema_sink_takes_the_versions_that_it_knows(tmp_path):
    async with ScriptedSidecar() as sidecar, program("examples/schema_sink.py", sidecar, tmp_path) as process:
        session = await sidecar.open(settings_json='{"versions": [2]}')
        for version in (2, 3):
            ref = common.SchemaRef(schema_id=1, version=version)
            await session.send(schema=sink.Schema(ref=ref, subject="reading", type="json_schema"))
        await session.batch(
            *(record('{"value": 21.5}', schema=common.SchemaRef(schema_id=1, version=version)) for version in (2, 3)), record()
        )
        results = await session.receive("results")
        assert failures(results) == [(2, REJECT, "UNKNOWN_VERSION"), (3, REJECT, "WRONG_SCHEMA")]
        assert await within(process.stdout.readline()) == "21.5 °C\n".encode()
        assert await stopped(process, session) == 0


async def free_port():
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    async with server:
        return server.sockets[0].getsockname()[1]


async def connected(port):
    """Connects to a server that may not listen yet."""
    while True:
        try:
            return await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.01)
