"""Runs the commands of a README literally, as a reader would: block by block, in one shell after another.

Every ```sh block is run, from the repository's root, in order; `export`ed variables, and `cd`, last from block to block. A comment
right before a block says what is special about it:

    <!-- in the background, until "TEXT" -->   another terminal: it is started, and goes on when it has printed TEXT
    <!-- prints "TEXT" -->                     it is run again until it has printed TEXT, as one would look again
    <!-- not run: WHY -->                      needs what no test has, a container engine say

Background blocks are ended with SIGINT (what Ctrl-C sends) after the last block, in the reverse order, and must end.
"""

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import time

from stack import PATIENCE, ROOT

BLOCK = re.compile(r"(?:<!-- (?P<note>[^>]*?) -->\n+)?```sh\n(?P<code>.*?)```", re.DOTALL)


class Blocks:
    def __init__(self, folder):
        self.folder, self.background = pathlib.Path(folder), []
        self.state = self.folder / "state.sh"
        self.state.write_text(f"cd '{ROOT}'\n")

    def script(self, code, keep):
        after = f"\n{{ export -p; echo \"cd '$PWD'\"; }} >'{self.state}'" if keep else ""
        return f". '{self.state}'\nset -e\n{code}{after}"

    def start(self, name, code, keep):
        output = open(self.folder / f"{name}.out", "wb")
        process = subprocess.Popen(["bash", "-c", self.script(code, keep)], stdout=output, stderr=output,
                                   stdin=subprocess.DEVNULL, start_new_session=True, env=environment())
        return process, self.folder / f"{name}.out"

    def run(self, number, note, code):
        text = re.search(r'"(.*)"', note or "")
        if (note or "").startswith("in the background"):
            process, output = self.start(f"{number}-background", code, keep=False)
            self.background.append((process, code))
            self.wait(code, output, lambda: text[1] in output.read_text(errors="replace"), process)
            return
        deadline = time.monotonic() + PATIENCE
        while True:
            process, output = self.start(str(number), code, keep=True)
            assert process.wait(10 * PATIENCE) == 0, f"{code}\nended with {process.returncode}:\n{output.read_text()}"
            if text is None or text[1] in output.read_text():
                return
            assert time.monotonic() < deadline, f"{code}\ndoes not print {text[1]}:\n{output.read_text()}"
            time.sleep(0.5)

    @staticmethod
    def wait(code, output, condition, process):
        deadline = time.monotonic() + 4 * PATIENCE  # A first build may be in it.
        while not condition():
            assert process.poll() is None, f"{code}\nended with {process.returncode}:\n{output.read_text()}"
            assert time.monotonic() < deadline, f"{code}\nis not ready:\n{output.read_text()}"
            time.sleep(0.1)

    def end(self):
        for process, code in reversed(self.background):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                raise AssertionError(f"{code}\ndoes not end with Ctrl-C") from None

    def kill(self):
        for process, _ in self.background:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def environment():
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("DANUBE_", "CONNECTOR_"))}
    return clean | {"PATH": f"{ROOT}/.tools/bin:{os.environ['PATH']}"}


def blocks(readme):
    return [(found["note"], found["code"]) for found in BLOCK.finditer(readme.read_text())]


def run_commands(readme, folder):
    found = blocks(readme)
    assert found, f"{readme} has no commands"
    shell = Blocks(folder)
    try:
        for number, (note, code) in enumerate(found):
            if not (note or "").startswith("not run:"):
                shell.run(number, note, code)
        shell.end()
    finally:
        shell.kill()
