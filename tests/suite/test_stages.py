"""What `make test` is made of: stages side by side, and an account of them whatever happens."""

import pathlib
import re
import sys
import threading

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

import stages  # noqa: E402
from stages import Stage, Suite  # noqa: E402


@pytest.fixture
def play(tmp_path, capsys):
    """Runs stages. Tells whether all passed, and what was printed."""

    def play(*given, processors=2):
        return Suite(given, tmp_path, processors).run(), capsys.readouterr().out

    return play


def rows(printed):
    """The table: the stages, with what it says of them behind their names."""
    return re.findall(r"^ +(?:\d+:\d\d|-) +(?:\d+:\d\d)?  (.*)$", printed, re.MULTILINE)


def test_a_stage_starts_when_those_before_it_have_passed(play, tmp_path):
    first = Stage("first", f"sleep 0.3; touch {tmp_path}/made")
    passed, printed = play(Stage("second", f"ls {tmp_path}/made", after=("first",)), first)
    assert passed and printed.index("── first: passed") < printed.index("── second: passed")
    assert printed.endswith("suite: all passed\n")


def test_what_fails_is_told_whole_at_the_end_and_the_others_go_on(play, monkeypatch):
    monkeypatch.setattr(stages, "SHORT", 0)
    passed, printed = play(
        Stage("wrong", "echo why; false; echo never"), Stage("other", "sleep 0.5; echo fine"),
        Stage("needs it", "echo never", after=("wrong",)))
    assert not passed and "never" not in printed
    assert printed.index("fine") < printed.index("── wrong: ended with 1; it said:\nwhy\n")
    assert rows(printed) == ["other", "wrong: FAILED", "needs it: not run", "together, on 2 processors"]
    assert printed.endswith("suite: FAILED: wrong\n")


def test_a_failure_in_the_middle_of_a_pipe_is_one(play):
    assert not play(Stage("pipe", "false | true"))[0]


def test_what_hangs_is_ended_with_all_that_it_started(play, monkeypatch):
    monkeypatch.setattr(stages, "GRACE", 0.2)
    hangs = Stage("hangs", "trap '' INT; echo begins; (trap '' INT; sleep 60) & sleep 60; sleep 60", minutes=0.05)
    began = stages.time.monotonic()
    passed, printed = play(hangs)
    assert not passed and stages.time.monotonic() - began < 30
    assert "── hangs: took more than 0.05 minutes; it said:\nbegins" in printed


@pytest.mark.parametrize("one, other, together", [
    ({"reads": ("it",)}, {"reads": ("it",)}, True),
    ({"reads": ("it",)}, {"writes": ("it",)}, False),
    ({"writes": ("it",)}, {"reads": ("it",)}, False),
    ({"writes": ("it",)}, {"writes": ("it",)}, False),
    ({"writes": ("it",)}, {"writes": ("another",)}, True),
    ({"cores": 1.5}, {"cores": 1}, False),
])
def test_stages_that_would_disturb_each_other_are_not_side_by_side(one, other, together, play, tmp_path):
    # Each sees the other, or has waited for it in vain.
    meet = "touch {0}/{1}; for _ in $(seq 20); do [ ! -e {0}/{2} ] || echo met; sleep 0.02; done; rm {0}/{1}"
    _, printed = play(Stage("one", meet.format(tmp_path, "a", "b"), **one), Stage("other", meet.format(tmp_path, "b", "a"), **other))
    assert ("met" in printed) == together


def test_a_stage_of_parts_has_passed_when_all_of_them_have(play):
    parts = lambda: [Stage("part one", "echo 1"), Stage("part two", "echo 2")]
    passed, printed = play(Stage("whole", parts=parts), Stage("last", "echo last", after=("whole",)))
    assert passed and max(printed.index("part one"), printed.index("part two")) < printed.index("── last")
    passed, printed = play(Stage("whole", parts=lambda: [Stage("part", "false")]), Stage("last", "echo last", after=("whole",)))
    assert not passed and "last: not run" in printed


def test_an_interrupted_suite_ends_what_runs_and_tells_of_it(play, monkeypatch, tmp_path):
    monkeypatch.setattr(stages, "say", stop_at("── quick", stages.say))
    with pytest.raises(KeyboardInterrupt):
        play(Stage("quick", f"until [ -e {tmp_path}/begun ]; do sleep 0.02; done"),
             Stage("slow", f"trap 'touch {tmp_path}/asked; exit 1' INT; touch {tmp_path}/begun; sleep 60 & wait"),
             Stage("later", after=("slow",)))
    assert (tmp_path / "asked").exists()


def stop_at(text, say):
    """What somebody does who interrupts when this is printed."""
    stopped = threading.Event()

    def say_or_stop(said):
        say(said)
        if said.startswith(text) and not stopped.is_set():
            stopped.set()
            raise KeyboardInterrupt

    return say_or_stop
