package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	connector "github.com/danube-messaging/danube-sidecar/sdk-go"
)

// driver calls a source as the SDK does, and commits what it reads.
type driver struct {
	*testing.T
	folder   string
	settings map[string]any
	source   *fileSource
	// The committed position of each source partition.
	positions map[string]connector.Position
}

// newDriver starts a source of the .log files in a folder of its own, and of those that they are rotated into.
func newDriver(t *testing.T, settings map[string]any) *driver {
	d := &driver{T: t, folder: t.TempDir(), positions: map[string]connector.Position{}}
	d.settings = map[string]any{"paths": []string{d.path("*.log*")}, "poll_interval_ms": 1}
	for name, value := range settings {
		d.settings[name] = value
	}
	d.restart()
	t.Cleanup(d.stop)
	return d
}

func (d *driver) path(name string) string {
	return filepath.Join(d.folder, name)
}

// stop ends the source, as a kill does. What it has read is committed.
func (d *driver) stop() {
	d.Helper()
	if d.source != nil {
		d.must(d.source.Close(context.Background()))
	}
	d.source = nil
}

// restart starts the source with what is committed.
func (d *driver) restart() {
	d.Helper()
	text, err := json.Marshal(d.settings)
	d.must(err)
	d.source = &fileSource{log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	d.must(d.source.Open(context.Background(), connector.Session{Settings: text}))
	var positions []connector.Position
	for _, position := range d.positions {
		positions = append(positions, position)
	}
	d.must(d.source.Restore(context.Background(), positions))
}

func (d *driver) must(err error) {
	d.Helper()
	if err != nil {
		d.Fatal(err)
	}
}

// write appends to a file, which is made where it is not there.
func (d *driver) write(name, text string) {
	d.Helper()
	file, err := os.OpenFile(d.path(name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	d.must(err)
	_, err = file.WriteString(text)
	d.must(err)
	d.must(file.Close())
}

func (d *driver) rename(from, to string) {
	d.Helper()
	d.must(os.Rename(d.path(from), d.path(to)))
}

// copyTruncate rotates a file as logrotate's copytruncate does.
func (d *driver) copyTruncate(from, to string) {
	d.Helper()
	text, err := os.ReadFile(d.path(from))
	d.must(err)
	d.must(os.WriteFile(d.path(to), text, 0o600))
	d.must(os.Truncate(d.path(from), 0))
}

// poll gives the records of one poll. When there are none, the source has looked at everything.
func (d *driver) poll() []connector.SourceRecord {
	d.Helper()
	records, err := d.source.Poll(context.Background())
	d.must(err)
	for _, record := range records {
		d.positions[record.Position.SourcePartition] = *record.Position
	}
	return records
}

// all gives everything that there is to read.
func (d *driver) all() []connector.SourceRecord {
	d.Helper()
	var all []connector.SourceRecord
	for {
		records := d.poll()
		if len(records) == 0 {
			return all
		}
		all = append(all, records...)
	}
}

// reads tells whether these messages are all that there is to read, in this order.
func (d *driver) reads(expected ...string) []connector.SourceRecord {
	d.Helper()
	records := d.all()
	if found := messages(records); !slices.Equal(found, expected) {
		d.Fatalf("read %q,\nexpected %q", found, expected)
	}
	return records
}

func messages(records []connector.SourceRecord) []string {
	messages := make([]string, len(records))
	for i, record := range records {
		messages[i] = string(record.Payload)
	}
	return messages
}

// numbered are lines from one number to another, of more than 1 KiB where they are a dozen.
func numberedLines(first, last int) []string {
	var lines []string
	for n := first; n <= last; n++ {
		lines = append(lines, fmt.Sprintf("line %d %s", n, strings.Repeat("x", 100)))
	}
	return lines
}

func joined(lines []string) string {
	return strings.Join(lines, "\n") + "\n"
}
