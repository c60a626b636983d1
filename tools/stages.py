"""Runs stages side by side, as many as the processors bear, and tells of each what it said and how long it took."""

import dataclasses
import os
import pathlib
import signal
import subprocess
import sys
import time
import typing

ROOT = pathlib.Path(__file__).resolve().parent.parent
LOGS = ROOT / "target" / "suite"

# Stages that took less seconds are one line of the table.
SHORT = 5
# Seconds that a stage has, once interrupted, to end what it started.
GRACE = 15


@dataclasses.dataclass(frozen=True)
class Stage:
    """Shell commands that are one thing to a reader. The first that fails ends it."""

    name: str
    commands: str = ""
    # Stages that must have passed.
    after: tuple = ()
    # How many processors it keeps busy, on average.
    cores: float = 1
    # It takes what the others leave of the processors: it is never late, and what waits for it to answer would be.
    behind: bool = False
    # What it uses as it was built, and what it builds anew: nobody else uses that meanwhile.
    reads: tuple = ()
    writes: tuple = ()
    # What takes longer hangs.
    minutes: float = 10
    # Instead of commands: the stages that it consists of, known when those before it have passed.
    parts: typing.Optional[typing.Callable] = None

    def bears(self, other):
        """Whether it may run beside the other."""
        mine, others = set(self.reads) | set(self.writes), set(other.reads) | set(other.writes)
        return not (mine & set(other.writes) or others & set(self.writes))


@dataclasses.dataclass
class Run:
    """A stage that was started."""

    stage: Stage
    process: subprocess.Popen
    began: float
    log: pathlib.Path
    # What went wrong; empty where nothing did.
    failure: str = ""
    seconds: float = 0
    processor: float = 0

    def signal(self, number):
        """To it, and to what it started in its session."""
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            pass

    def has_ended(self):
        over = time.monotonic() - self.began - self.stage.minutes * 60
        if over > 0 and not self.failure:
            self.failure = f"took more than {self.stage.minutes} minutes"
            self.signal(signal.SIGINT)
        if over > GRACE:
            self.signal(signal.SIGKILL)
        pid, status, used = os.wait4(self.process.pid, os.WNOHANG)
        if pid == 0:
            return False
        # What it left behind would disturb the others.
        self.signal(signal.SIGKILL)
        code = self.process.returncode = os.waitstatus_to_exitcode(status)
        self.failure = self.failure or (f"ended with {code}" if code else "")
        self.seconds, self.processor = time.monotonic() - self.began, used.ru_utime + used.ru_stime
        return True


class Suite:
    def __init__(self, stages, logs=LOGS, processors=len(os.sched_getaffinity(0))):
        self.waiting, self.logs, self.processors = list(stages), logs, processors
        self.running, self.ended, self.parts = [], [], {}
        self.began = time.monotonic()

    def run(self):
        """Runs all. Tells whether all passed."""
        self.logs.mkdir(parents=True, exist_ok=True)
        # Who starts us in the background has us ignore it, and what we start would inherit that.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            while self.running or self.start_what_can():
                self.collect()
                self.start_what_can()
                time.sleep(0.05)
        finally:
            self.interrupt()
            self.tell()
        return not self.waiting and not any(run.failure for run in self.ended)

    def start_what_can(self):
        """Starts stages while there is room. Tells whether one runs."""
        while stage := next((stage for stage in self.waiting if self.can_start(stage)), None):
            place = self.waiting.index(stage)
            self.waiting[place:place + 1] = self.parts_of(stage)
            if not stage.parts:
                self.start(stage)
        return bool(self.running)

    def can_start(self, stage):
        return all(self.has_passed(name) for name in stage.after) and (bool(stage.parts) or self.has_room(stage))

    def has_passed(self, name):
        if name in self.parts:
            return all(self.has_passed(part) for part in self.parts[name])
        return any(run.stage.name == name and not run.failure for run in self.ended)

    def has_room(self, stage):
        busy = sum(run.stage.cores for run in self.running)
        return not self.running or (
            busy + stage.cores <= self.processors and all(stage.bears(run.stage) for run in self.running))

    def parts_of(self, stage):
        parts = stage.parts() if stage.parts else []
        if parts:
            self.parts[stage.name] = [part.name for part in parts]
        return parts

    def start(self, stage):
        log = self.logs / f"{stage.name.replace(' ', '-')}.log"
        shell = ["nice", "-n", "10"] if stage.behind else []
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*shell, "bash", "-euo", "pipefail", "-c", stage.commands], cwd=ROOT, stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, start_new_session=True)
        self.running.append(Run(stage, process, time.monotonic(), log))

    def interrupt(self):
        """Ends what still runs: somebody has interrupted the suite."""
        for run in self.running:
            run.failure = "was interrupted"
            run.signal(signal.SIGINT)
        until = time.monotonic() + GRACE
        while self.running and time.monotonic() < until:
            self.collect()
            time.sleep(0.05)
        for run in self.running:
            run.signal(signal.SIGKILL)

    def collect(self):
        for run in [run for run in self.running if run.has_ended()]:
            self.running.remove(run)
            self.ended.append(run)
            say(f"── {run.stage.name}: {run.failure or 'passed'} ({clock(run.seconds)})")
            if run.failure:
                say("   its output comes last; the others go on")
            else:
                say(run.log.read_text(errors="replace").rstrip())

    def tell(self):
        failed = [run for run in self.ended if run.failure]
        for run in failed:
            say(f"\n── {run.stage.name}: {run.failure}; it said:")
            say(run.log.read_text(errors="replace").rstrip())
        say(f"\n{'minutes':>8} {'of a processor':>15}  stage")
        shown = [run for run in self.ended if run.seconds >= SHORT or run.failure]
        for run in sorted(shown, key=lambda run: -run.seconds):
            say(f"{clock(run.seconds):>8} {clock(run.processor):>15}  {run.stage.name}{': FAILED' if run.failure else ''}")
        others = [run for run in self.ended if run not in shown]
        if others:
            say(f"{clock(sum(run.seconds for run in others)):>8} {clock(sum(run.processor for run in others)):>15}"
                f"  {len(others)} others")
        for stage in self.waiting:
            say(f"{'-':>8} {'':>15}  {stage.name}: not run")
        took, used = time.monotonic() - self.began, sum(run.processor for run in self.ended)
        say(f"{clock(took):>8} {clock(used):>15}  together, on {self.processors} processors")
        say(f"suite: FAILED: {', '.join(run.stage.name for run in failed)}" if failed else
            "suite: all passed")


def clock(seconds):
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def say(text):
    if text:
        print(text, flush=True)


def chosen(stages, names):
    """The stages of these names, and those that must have passed before them."""
    by_name = {stage.name: stage for stage in stages}
    unknown = [name for name in names if name not in by_name]
    if unknown:
        sys.exit(f"suite: there is no stage \"{unknown[0]}\"; choose from: {', '.join(by_name)}")
    wanted, rest = set(), list(names)
    while rest:
        name = rest.pop()
        if name not in wanted:
            wanted.add(name)
            rest.extend(by_name[name].after)
    return [stage for stage in stages if stage.name in wanted]
