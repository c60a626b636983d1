"""The sinks under test: how each is built and run, and what it has stored."""

import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import sys

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples"
PATIENCE = 30  # Seconds for a process to end.


class Language:
    """One language's sink. `build` and `command` run in the example's folder."""

    def __init__(self, name, folder, toolchain, build, command):
        self.name = name
        self.folder = EXAMPLES / folder
        self.toolchain = toolchain
        self.build_command = build
        self.command = command

    def missing_tools(self):
        return [tool for tool in self.toolchain if shutil.which(tool) is None]

    def build(self):
        # tools/suite has built all of them, and others use them meanwhile.
        if self.build_command is None or os.environ.get("SUITE_BUILT"):
            return
        done = subprocess.run(self.build_command, cwd=self.folder, text=True, capture_output=True)
        remedy = f"{' '.join(self.build_command)} failed in {self.folder} (did `tools/setup {self.name}` run?)"
        assert done.returncode == 0, f"{remedy}\n{done.stdout}{done.stderr}"


LANGUAGES = {
    "python": Language(
        name="python",
        folder="sqlite-sink-python",
        toolchain=[],
        build=None,
        command=[sys.executable, "sink.py"],
    ),
    "go": Language(
        name="go",
        folder="plain-sink-go",
        toolchain=["go"],
        build=["go", "build", "-o", "plain-sink", "."],
        command=["./plain-sink"],
    ),
    "typescript": Language(
        name="typescript",
        folder="plain-sink-typescript",
        toolchain=["node", "npm"],
        build=["npm", "run", "--silent", "build"],
        command=["node", "dist/sink.js"],
    ),
    "java": Language(
        name="java",
        folder="plain-sink-java",
        toolchain=["java", "mvn"],
        build=["mvn", "--quiet", "--offline", "--batch-mode", "package"],
        # It runs for a few seconds: what makes a JVM fast in the long run costs more than it gives.
        command=["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-jar", "target/plain-sink.jar"],
    ),
}


class Sink:
    """A running sink. The Python sink writes a database, the others a folder with one file for each record."""

    def __init__(self, language, address, effects):
        self.language = language
        self.effects = effects
        environment = {
            **os.environ,
            "DANUBE_SIDECAR_ADDRESS": address,
            "CONNECTOR_NAME": "under-test",
            "SINK_TOPIC": "/default/events",
            "SINK_DATABASE": str(effects),
            "PLAIN_SINK_TOPIC": "/default/events",
            "PLAIN_SINK_OUT": str(effects),
        }
        self.process = subprocess.Popen(
            language.command, cwd=language.folder, env=environment, stderr=subprocess.PIPE, text=True
        )

    def stored(self):
        """The stored payloads by identity."""
        if self.language.name == "python":
            stored = [(row["dedup_id"], row["payload"].encode()) for row in self.rows()]
            assert len(dict(stored)) == len(stored), "an identity is stored twice"
            return dict(stored)
        return {file.name: file.read_bytes() for file in self.effects.iterdir()}

    def count(self):
        """How many payloads are stored by now, while the sink goes on."""
        if self.language.name == "python":
            return len(self.rows()) if self.effects.exists() else 0
        return sum(file.suffix != ".part" for file in self.effects.iterdir())

    def rows(self):
        """The Python sink's table."""
        database = sqlite3.connect(self.effects)
        database.row_factory = sqlite3.Row
        try:
            return database.execute("SELECT * FROM records ORDER BY arrival").fetchall()
        finally:
            database.close()

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def kill(self):
        self.process.kill()
        self.process.communicate(timeout=PATIENCE)

    def ended(self):
        """Waits for the end; the exit code, and what the sink had to say."""
        _, stderr = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, [line for line in stderr.splitlines() if not is_noise_of_grpc_java(line)]


# On Unix sockets grpc-java complains about an option that it sets itself.
def is_noise_of_grpc_java(line):
    return line.endswith("AbstractBootstrap setChannelOption") or line.startswith("WARNING: Unknown channel option")
