package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	connector "github.com/danube-messaging/danube-sidecar/sdk-go"
)

// How much of a file is read at once, unless a record is longer.
const chunkBytes = 32 << 10

// errReplaced says that a file does not begin any more with what was read of it.
var errReplaced = errors.New("the file was truncated")

// identity is what the file system calls a file, whatever its name. It may be used again when the file is deleted.
type identity struct {
	device, inode uint64
}

// sequence is a source partition: what a file had in it until it was truncated, or until its inode became another file's.
type sequence struct {
	identity
	generation uint64
	// The file's name when it was last seen.
	path string
	mark mark
}

// partition names the sequence.
func (s sequence) partition() string {
	return fmt.Sprintf("%d-%d-%d", s.device, s.inode, s.generation)
}

// name is the file's path, as text.
func (s sequence) name() string {
	return strings.ToValidUTF8(s.path, "\uFFFD")
}

// metadata is what comes back with a position: where the file was, for people, and its mark.
type metadata struct {
	Path string `json:"path"`
	Head string `json:"head"`
	Tail string `json:"tail"`
}

func (s sequence) position() *connector.Position {
	text, _ := json.Marshal(metadata{ // It has nothing that cannot be encoded.
		Path: s.name(),
		Head: fmt.Sprintf("%016x", s.mark.head),
		Tail: fmt.Sprintf("%016x", s.mark.tail),
	})
	return &connector.Position{SourcePartition: s.partition(), Offset: uint64(s.mark.offset), Metadata: string(text)}
}

// restored is the sequence that a position was in; false, when it is none of ours.
func restored(position connector.Position) (sequence, bool) {
	s := sequence{mark: mark{offset: int64(position.Offset)}}
	_, err := fmt.Sscanf(position.SourcePartition, "%d-%d-%d", &s.device, &s.inode, &s.generation)
	if err != nil || s.partition() != position.SourcePartition || s.mark.offset < 0 {
		return sequence{}, false
	}
	var known metadata
	s.mark.unchecked = json.Unmarshal([]byte(position.Metadata), &known) != nil
	s.path = known.Path
	if _, err := fmt.Sscanf(known.Head+" "+known.Tail, "%x %x", &s.mark.head, &s.mark.tail); err != nil {
		s.mark.unchecked = true
	}
	return s, true
}

// tail is a file that is being read.
type tail struct {
	sequence
	settings settings
	handle   *os.File
	format   format
	// How the file was when it was last looked at.
	size     int64
	modified time.Time
	// The file's first bytes, once they were asked for.
	first []byte
	// Whether there is no complete record left until the file changes.
	idle bool
	// Why the file could not be read the last time.
	failure error
	// Since when no pattern finds the file; zero while one does.
	missing time.Time
	// The file that has to be read to its end before this one.
	after *tail
	// Up to where no end was found of a record that is too long.
	searched int64
	// How many records were too long since this was last asked.
	skipped int
}

// isBlocked tells whether a file that comes before this one has not been read to its end.
func (t *tail) isBlocked() bool {
	for before := t.after; before != nil; before = before.after {
		if !before.idle {
			return true
		}
	}
	return false
}

// restart goes on with the file as with another one.
func (t *tail) restart() {
	t.generation++
	t.mark, t.format, t.first, t.idle, t.searched = mark{}, t.settings.newFormat(), nil, false, 0
}

// next reads some records, as many as asked for at most. None: wait for the file to change, if it is idle; else go on.
// errReplaced: nothing was read.
func (t *tail) next(most int) ([]connector.SourceRecord, error) {
	if t.format.wantsHeader() {
		if ready, err := t.readHeader(); !ready || err != nil {
			return nil, err
		}
	}
	before := int(min(tailBytes, t.mark.offset))
	text, end, err := t.load(t.mark.offset, before)
	if err != nil {
		return nil, err
	}
	// What was read belongs to what was read before only if this still holds now.
	if err := t.verify(); err != nil {
		return nil, err
	}
	if end > t.settings.MaxLineBytes || (end < 0 && len(text)-before > t.settings.MaxLineBytes) {
		return nil, t.skip()
	}
	t.idle = end < 0
	return t.take(text, before, most), nil
}

// take makes records of what stands in a text behind a place in it.
func (t *tail) take(text []byte, at, most int) []connector.SourceRecord {
	var records []connector.SourceRecord
	for len(records) < most {
		end := t.format.end(text[at:])
		if end < 0 || end > t.settings.MaxLineBytes {
			break
		}
		record := text[at : at+end]
		at += end
		t.mark.advance(record, text[:at])
		message, key := t.format.decode(record)
		if len(message) > t.settings.MaxLineBytes {
			t.skipped++
			continue
		}
		if len(message) == 0 {
			continue
		}
		records = append(records, connector.SourceRecord{
			Payload:    message,
			Key:        key,
			Attributes: map[string]string{"file_path": t.name()},
			Position:   t.position(),
		})
	}
	return records
}

// load reads from an offset, and some bytes before it, until the text has a complete record behind the offset, or is too
// long for one, or the file ends. The end of that record is counted from the offset; -1: it is not there.
func (t *tail) load(offset int64, before int) (text []byte, end int, err error) {
	longest := t.settings.MaxLineBytes + 1
	for size := min(chunkBytes, longest); ; size = min(8*size, longest) {
		text = make([]byte, before+size)
		n, err := t.handle.ReadAt(text, offset-int64(before))
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, 0, err
		}
		if n < before {
			return nil, 0, errReplaced
		}
		text = text[:n]
		end = t.format.end(text[before:])
		if end >= 0 || n < before+size || size == longest {
			return text, end, nil
		}
	}
}

// readHeader gives the file's first record to the format. False: it is not there yet.
func (t *tail) readHeader() (bool, error) {
	text, end, err := t.load(0, 0)
	if err != nil {
		return false, err
	}
	if end < 0 && len(text) > t.settings.MaxLineBytes {
		t.idle = true
		return false, fmt.Errorf("its header is longer than max_line_bytes, %d", t.settings.MaxLineBytes)
	}
	if end < 0 {
		t.idle = true
		return false, nil
	}
	t.format.header(text[:end])
	if t.mark.offset == 0 {
		t.mark.advance(text[:end], text[:end])
	}
	return true, nil
}

// skip goes on behind the first line end, however far away it is.
func (t *tail) skip() error {
	text := make([]byte, chunkBytes)
	for at := max(t.searched, t.mark.offset); ; {
		n, err := t.handle.ReadAt(text, at)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if found := bytes.IndexByte(text[:n], '\n'); found >= 0 {
			return t.skipTo(at + int64(found) + 1)
		}
		at += int64(n)
		if err != nil {
			t.searched, t.idle = at, true
			return nil
		}
	}
}

func (t *tail) skipTo(offset int64) error {
	behind, err := markAt(t.handle, offset)
	if errors.Is(err, io.EOF) {
		return errReplaced
	}
	if err == nil {
		err = t.verify()
	}
	if err != nil {
		return err
	}
	t.mark, t.searched, t.idle = behind, 0, false
	t.skipped++
	return nil
}

// verify fails with errReplaced where the file does not begin with what was read of it.
func (t *tail) verify() error {
	same, err := t.mark.matches(t.handle)
	if err == nil && !same {
		return errReplaced
	}
	return err
}
