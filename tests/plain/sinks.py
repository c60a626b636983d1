"""The sinks under test: how each is built and run, and what it has stored."""

import json
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
PATIENCE = 30  # Seconds for a process to end.


class Language:
    """One language's sink. `build` and `command` run in the example's folder."""

    def __init__(self, name, folder, toolchain, command, build=None):
        self.name = name
        self.folder = EXAMPLES / folder
        self.toolchain = toolchain
        self.command = command
        self.build_command = build

    def missing_tools(self):
        return [tool for tool in self.toolchain if shutil.which(tool) is None]

    def build(self):
        if self.build_command is None:
            return
        done = subprocess.run(self.build_command, cwd=self.folder, text=True, capture_output=True)
        assert done.returncode == 0, f"{self.name}: {self.build_command} failed (did `tools/setup {self.name}` run?)\n{done.stdout}{done.stderr}"


LANGUAGES = {
    language.name: language
    for language in [
        Language("python", "sqlite-sink-python", [], [sys.executable, "sink.py"]),
        Language("go", "plain-sink-go", ["go"], ["./plain-sink"], ["go", "build", "-o", "plain-sink", "."]),
        Language("typescript", "plain-sink-typescript", ["node", "npm"], ["node", "dist/sink.js"], ["npm", "run", "--silent", "build"]),
        Language(
            "java",
            "plain-sink-java",
            ["java", "mvn"],
            ["java", "-jar", "target/plain-sink.jar"],
            ["mvn", "--quiet", "--offline", "--batch-mode", "package"],
        ),
    ]
}


class Sink:
    """A running sink, and the file or database that it writes."""

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
        """(dedup_id, payload) of what is stored, in the order of arrival."""
        if self.language.name == "python":
            return [(row["dedup_id"], row["payload"]) for row in self.rows()]
        lines = [json.loads(line) for line in self.effects.read_text().splitlines()]
        return [(line["dedup_id"], line["payload"]) for line in lines]

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
        """Waits for the end; the exit code, and what was said on stderr."""
        _, stderr = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, stderr
