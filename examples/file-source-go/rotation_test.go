package main

import (
	"os"
	"slices"
	"testing"
	"time"
)

func TestARenamedFileIsReadToItsEndBeforeTheNewOne(t *testing.T) {
	d := newDriver(t, nil)
	d.write("a.log", "a\n")
	d.reads("a")
	d.write("a.log", "b\n")
	d.rename("a.log", "a.log.1")
	d.write("a.log", "c\n")
	d.reads("b", "c")
	d.write("a.log.1", "late\n")

	d.reads("late")
}

func TestRotationsWhileTheSourceIsDeadLoseAndRepeatNothing(t *testing.T) {
	d := newDriver(t, nil)
	d.write("a.log", "a\n")
	d.reads("a")
	d.stop()
	d.write("a.log", "b\n")
	d.rename("a.log", "a.log.1")
	d.write("a.log", "c\n")
	d.rename("a.log.1", "a.log.2")
	d.rename("a.log", "a.log.1")
	d.write("a.log", "d\n")
	d.restart()

	d.reads("b", "c", "d")
}

func TestAFileThatIsRenamedOutOfThePatternIsReadToItsEnd(t *testing.T) {
	d := newDriver(t, map[string]any{"rotate_wait_ms": 0})
	d.write("a.log", "a\n")
	d.reads("a")
	d.write("a.log", "b\n")
	d.rename("a.log", "old")
	d.write("a.log", "c\n")
	d.reads("b", "c")

	if len(d.source.files.tails) != 1 {
		t.Fatal("the old file is still open")
	}
}

func TestADeletedFileIsReadToItsEnd(t *testing.T) {
	d := newDriver(t, map[string]any{"rotate_wait_ms": 0})
	d.write("a.log", "a\n")
	d.reads("a")
	d.write("a.log", "b\n")
	d.must(os.Remove(d.path("a.log")))

	d.reads("b")
}

func TestATruncatedFileIsReadFromItsBeginning(t *testing.T) {
	d := newDriver(t, nil)
	d.write("a.log", "first\n")
	d.reads("first")
	d.must(os.Truncate(d.path("a.log"), 0))
	d.write("a.log", "new\n")
	d.reads("new")
	d.stop()
	d.write("a.log", "more\n")
	d.restart()

	d.reads("more")
}

func TestATruncatedFileThatHasGrownAgainIsNoticed(t *testing.T) {
	d := newDriver(t, nil)
	for _, running := range []bool{true, false} {
		d.must(os.WriteFile(d.path("a.log"), []byte("first\nbeg"), 0o600))
		d.reads("first")
		if !running {
			d.stop()
		}
		d.must(os.WriteFile(d.path("a.log"), []byte("longer than before\nand more\n"), 0o600))
		if !running {
			d.restart()
		}
		d.reads("longer than before", "and more")
	}
}

func TestAnInodeThatAnotherFileHasNowIsNoticed(t *testing.T) {
	d := newDriver(t, nil)
	before := numberedLines(1, 30)
	d.write("a.log", joined(before))
	d.reads(before...)
	d.stop()
	other := numberedLines(31, 99)
	d.must(os.WriteFile(d.path("a.log"), []byte(joined(other)), 0o600))
	d.rename("a.log", "b.log")
	d.restart()

	d.reads(other...)
}

func TestACopyTruncatedFileLosesAndRepeatsNothing(t *testing.T) {
	lines := numberedLines(1, 60)
	for _, running := range []bool{true, false} {
		d := newDriver(t, nil)
		d.write("a.log", joined(lines[:20]))
		d.reads(lines[:20]...)
		if !running {
			d.stop()
		}
		d.write("a.log", joined(lines[20:40]))
		d.copyTruncate("a.log", "a.log.1")
		d.write("a.log", joined(lines[40:]))
		if !running {
			d.restart()
		}
		d.reads(lines[20:]...)
		d.stop()
		d.restart()

		d.reads()
	}
}

func TestAShortCopyTruncatedFileLosesAndRepeatsNothing(t *testing.T) {
	for _, running := range []bool{true, false} {
		d := newDriver(t, nil)
		for _, day := range []string{"one", "two"} {
			d.write("a.log", "started\n"+day+"\n")
			d.reads("started", day)
			if !running {
				d.stop()
			}
			d.write("a.log", "end of "+day+"\n")
			if day == "two" {
				d.rename("a.log.1", "a.log.2")
			}
			d.copyTruncate("a.log", "a.log.1")
			if !running {
				d.restart()
			}
			d.reads("end of " + day)
		}
	}
}

func TestAnotherFileThatBeginsAsAShortTruncatedOneIsReadWhole(t *testing.T) {
	d := newDriver(t, map[string]any{"rotate_wait_ms": 0})
	d.write("a.log", "started\n")
	d.reads("started")
	d.must(os.Truncate(d.path("a.log"), 0))
	d.write("b.log", "started\n")

	d.reads("started")
}

func TestACopyThatIsBeingMadeIsNotRead(t *testing.T) {
	d := newDriver(t, nil)
	lines := numberedLines(1, 30)
	d.write("a.log", joined(lines))
	d.reads(lines...)
	for _, part := range []string{"", joined(lines[:1]), joined(lines[1:15]), joined(lines[15:])} {
		d.write("a.log.1", part)
		d.reads()
	}
	d.must(os.Truncate(d.path("a.log"), 0))
	d.reads()
	d.write("a.log", "new\n")

	d.reads("new")
}

func TestCopiesThatWereMadeWhileTheSourceWasDeadAreNotRead(t *testing.T) {
	d := newDriver(t, nil)
	lines := numberedLines(1, 30)
	d.write("a.log", joined(lines[:20]))
	d.reads(lines[:20]...)
	d.stop()
	d.write("a.log", joined(lines[20:]))
	d.write("0.log", joined(lines))
	d.write("1.log", joined(lines[:25]))
	d.restart()

	d.reads(lines[20:]...)
}

func TestWhichOfTwoShortCopiesItWasIsNotGuessed(t *testing.T) {
	d := newDriver(t, map[string]any{"rotate_wait_ms": 0})
	d.write("a.log", "started\n")
	d.reads("started")
	d.stop()
	d.copyTruncate("a.log", "a.log.2")
	d.write("a.log", "started\ntwo\n")
	d.copyTruncate("a.log", "a.log.1")
	d.restart()

	d.reads("started", "started", "two")
}

func TestACopyThatIsNotCompleteIsNotReadBesideItsOriginal(t *testing.T) {
	d := newDriver(t, nil)
	lines := numberedLines(1, 30)
	d.write("0.log", joined(lines[:15]))
	d.write("a.log", joined(lines))

	d.reads(lines...)
}

func TestFilesThatOnlyBeginAlikeAreDifferentFiles(t *testing.T) {
	d := newDriver(t, nil)
	same := numberedLines(1, 20)
	d.write("a.log", joined(same)+"a\n")
	d.write("b.log", joined(same)+"b\n")
	records := d.all()

	if len(records) != 2*len(same)+2 {
		t.Fatalf("%d records", len(records))
	}
}

func TestShortFilesThatAreAlikeAreDifferentFiles(t *testing.T) {
	d := newDriver(t, map[string]any{"rotate_wait_ms": 0})
	d.write("a.log", "started\n")
	d.write("b.log", "started\n")

	d.reads("started", "started")
}

func TestTheOrderInASeriesIsThatOfTheLastChanges(t *testing.T) {
	names := []string{"app.log", "app.log.1", "app.log.2", "app.log.10", "app.log-20261128", "other.log"}
	known := map[string]bool{}
	var tails []*tail
	for _, name := range names {
		known[name] = true
		tails = append(tails, &tail{sequence: sequence{path: name}})
	}
	lost := &tail{sequence: sequence{path: "app.log"}, missing: time.Now()}
	if oldestFirst(lost, tails[0]) >= 0 {
		t.Error("what has lost its name is not older than what has it")
	}
	for _, name := range names[:5] {
		if found := base(name, known); found != "app.log" {
			t.Errorf("the base of %s is %s", name, found)
		}
	}
	numbers := tails[:4]
	slices.SortFunc(numbers, oldestFirst)
	for i, expected := range []string{"app.log.10", "app.log.2", "app.log.1", "app.log"} {
		if numbers[i].path != expected {
			t.Errorf("place %d is %s", i, numbers[i].path)
		}
	}
}
