package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"slices"
	"time"
)

// A log that is copied and then truncated leaves a copy: it must neither be read again, nor be left out where the log was
// not read to its end before it was truncated. What is read is recognised by its beginning and by what stands before the
// offset, so the copy goes on where the log was left. Files of less than headBytes are often alike: their names must fit, too.

// isCopy tells whether all of a file is read in another one already. One that is small counts as a copy only while it may
// still be growing.
func isCopy(t, other *tail, now time.Time) (bool, error) {
	mine, err := t.beginning()
	theirs, failed := other.beginning()
	if err != nil || failed != nil {
		return false, errors.Join(err, failed)
	}
	both := min(len(mine), len(theirs))
	if !bytes.Equal(mine[:both], theirs[:both]) {
		return false, nil
	}
	// Afresh, so that a copy is not taken for longer than what it was made of.
	info, err := other.handle.Stat()
	if err != nil || t.size > info.Size() {
		return false, err
	}
	if t.size < headBytes && now.Sub(t.modified) >= t.settings.rotateWait() {
		return false, nil
	}
	expected, err := markAt(other.handle, t.size)
	if err != nil {
		return false, ignoreEnd(err)
	}
	return expected.matches(t.handle)
}

// continueCopy goes on where a file was left that this one begins with: as far as that was read.
func (f *files) continueCopy(t *tail) error {
	left := slices.Clone(f.past)
	for _, other := range f.tails {
		left = append(left, other.sequence)
	}
	for _, each := range left {
		if each.mark.unchecked || each.mark.offset <= t.mark.offset {
			continue
		}
		same, err := each.mark.matches(t.handle)
		if err == nil && same && each.mark.offset < headBytes {
			same, err = f.isRotation(each, t)
		}
		if err != nil {
			return err
		}
		if same {
			t.mark = each.mark
		}
	}
	return nil
}

// isRotation tells whether a file that begins with a sequence is what that was rotated into, though they are short: its name
// says so, the sequence's inode is still there, with something else or empty, and no other file could be it as well.
func (f *files) isRotation(each sequence, t *tail) (bool, error) {
	if _, isThere := f.all[each.identity]; !isThere || !isRenamed(t.path, each.path) {
		return false, nil
	}
	if now := f.tails[each.identity]; now != nil && now.generation == each.generation {
		if same, err := each.mark.matches(now.handle); err != nil || same {
			return false, err
		}
	}
	for id, other := range f.all {
		if id == each.identity || id == t.identity || !isRenamed(other.path, each.path) {
			continue
		}
		if same, err := begins(other.path, each.mark); err != nil || same {
			return false, err
		}
	}
	return true, nil
}

// begins tells whether the file of a name begins with what was read.
func begins(path string, read mark) (bool, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	return read.matches(file)
}

// beginning is the file's first bytes, up to headBytes.
func (t *tail) beginning() ([]byte, error) {
	if want := min(headBytes, t.size); int64(len(t.first)) < want {
		first, err := readWhole(t.handle, 0, want)
		if err != nil {
			return nil, ignoreEnd(err)
		}
		t.first = first
	}
	return t.first, nil
}
