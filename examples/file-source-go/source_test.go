package main

import (
	"context"
	"os"
	"strings"
	"testing"

	connector "github.com/danube-messaging/danube-sidecar/sdk-go"
)

func TestLinesComeWithThePlaceBehindThem(t *testing.T) {
	d := newDriver(t, nil)
	d.write("a.log", "ab\r\n\nc\n")

	records := d.reads("ab", "c")

	if records[0].Position.Offset != 4 || records[1].Position.Offset != 7 {
		t.Fatalf("unexpected: %v and %v", records[0].Position, records[1].Position)
	}
	if path := records[0].Attributes["file_path"]; path != d.path("a.log") {
		t.Fatalf("the path is %q", path)
	}
}

func TestALineWithoutAnEndWaitsForIt(t *testing.T) {
	d := newDriver(t, nil)
	d.write("a.log", "whole\nbeg")
	d.reads("whole")
	d.write("a.log", "un")
	d.reads()
	d.write("a.log", "\n")

	d.reads("begun")
}

func TestARestartedSourceGoesOnBehindWhatIsCommitted(t *testing.T) {
	d := newDriver(t, nil)
	d.write("a.log", "a\nb\nbeg")
	d.reads("a", "b")
	d.stop()
	d.write("a.log", "un\nc\n")
	d.restart()

	d.reads("begun", "c")
}

func TestWhatIsNotCommittedIsReadAgain(t *testing.T) {
	d := newDriver(t, nil)
	d.write("a.log", "a\nb\nc\n")
	first := d.reads("a", "b", "c")[0].Position
	d.positions[first.SourcePartition] = *first
	d.stop()
	d.restart()

	d.reads("b", "c")
}

func TestAnOffsetThatAnOperatorHasSetIsTaken(t *testing.T) {
	d := newDriver(t, nil)
	d.write("a.log", "a\nb\nc\n")
	partition := d.reads("a", "b", "c")[0].Position.SourcePartition
	d.stop()
	d.positions[partition] = connector.Position{SourcePartition: partition, Offset: 2}
	d.restart()
	d.reads("b", "c")
	d.stop()
	d.restart()

	d.reads()
}

func TestPositionsOfOthersAreNoTrouble(t *testing.T) {
	d := newDriver(t, nil)
	d.stop()
	d.positions["numbers"] = connector.Position{SourcePartition: "numbers", Offset: 2}
	d.write("a.log", "a\n")
	d.restart()

	d.reads("a")
}

func TestTheKeyIsAFieldOfAJSONLine(t *testing.T) {
	d := newDriver(t, map[string]any{"key_field": "id"})
	for _, test := range []struct{ line, key string }{
		{`{"id": "seven"}`, "seven"},
		{`{"id": 7}`, "7"},
		{`{"id": null}`, "-"},
		{`{"other": 7}`, "-"},
		{`["id"]`, "-"},
		{`no JSON`, "-"},
	} {
		d.write("a.log", test.line+"\n")
		key := d.reads(test.line)[0].Key
		if (key == nil && test.key != "-") || (key != nil && *key != test.key) {
			t.Errorf("the key of %s is %v", test.line, key)
		}
	}
}

func TestALineThatIsTooLongIsSkippedAndCounted(t *testing.T) {
	d := newDriver(t, map[string]any{"max_line_bytes": 10})
	d.write("a.log", "first\n"+strings.Repeat("x", 100_000))
	d.reads("first")
	d.write("a.log", "yy\nnine char\n10 letters\nlast\n")

	d.reads("nine char", "last")
	if d.source.files.skipped != 2 {
		t.Fatalf("skipped: %d", d.source.files.skipped)
	}
}

func TestASkippedLineIsSkippedAgainAfterARestart(t *testing.T) {
	d := newDriver(t, map[string]any{"max_line_bytes": 10})
	d.write("a.log", "first\n"+strings.Repeat("x", 3000)+"\n")
	d.reads("first")
	d.stop()
	d.write("a.log", "second\n")
	d.restart()

	d.reads("second")
}

func TestFilesHaveTurns(t *testing.T) {
	d := newDriver(t, nil)
	for _, name := range []string{"a.log", "b.log", "c.log"} {
		d.write(name, strings.Repeat(name+"\n", 10_000))
	}
	counts := map[string]int{}
	for range 6 {
		for _, record := range d.poll() {
			counts[string(record.Payload)]++
		}
	}
	for name, count := range counts {
		if count < 900 || count > 1100 {
			t.Errorf("%s: %d lines of 3000", name, count)
		}
	}
}

func TestExcludedFilesAreNotRead(t *testing.T) {
	d := newDriver(t, nil)
	d.write("a.log.1.gz", "compressed\n")
	d.write("a.log", "a\n")

	d.reads("a")
}

func TestAFileThatCannotBeReadIsUnhealthyUntilItCan(t *testing.T) {
	d := newDriver(t, nil)
	d.must(os.Symlink(d.path("a.log"), d.path("a.log")))
	d.write("b.log", "b\n")
	d.reads("b")
	if err := d.source.HealthCheck(context.Background()); err == nil || !strings.Contains(err.Error(), "a.log") {
		t.Fatalf("unexpected: %v", err)
	}
	d.must(os.Remove(d.path("a.log")))
	d.reads()

	d.must(d.source.HealthCheck(context.Background()))
}

func TestWrongSettingsAreNamed(t *testing.T) {
	for text, expected := range map[string]string{
		`{}`:                                   "paths is empty",
		`{"paths": ["["]}`:                     "no pattern",
		`{"paths": ["a"], "formt": "csv"}`:     `unknown field "formt"`,
		`{"paths": ["a"], "format": "xml"}`:    `format is "xml"`,
		`{"paths": ["a"], "key_column": "id"}`: "key_column is for",
		`{"paths": ["a"], "format": "csv", "key_field": "id"}`: "key_field is for",
		`{"paths": ["a"], "format": "csv", "delimiter": ";;"}`: "delimiter is",
		`{"paths": ["a"], "poll_interval_ms": 0}`:              "poll_interval_ms is 0",
		`{"paths": ["a"], "rotate_wait_ms": -1}`:               "rotate_wait_ms is -1",
		`{"paths": ["a"], "max_line_bytes": 1048577}`:          "max_line_bytes is 1048577",
	} {
		if _, err := parseSettings([]byte(text)); err == nil || !strings.Contains(err.Error(), expected) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
