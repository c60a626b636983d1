package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	connector "github.com/danube-messaging/danube-sidecar/sdk-go"
)

// How often a scan looks again because something was new.
const mostPasses = 3

// A file has its turn with so many records at most, so that none waits for the end of another.
const recordsPerTurn = 100

// files are all files that are read. Each is kept open: its inode cannot become another file's, and it can be read to its
// end wherever it is moved to.
type files struct {
	settings settings
	log      *slog.Logger
	tails    map[identity]*tail
	// What the patterns found the last time.
	all map[identity]found
	// What was read and is not any more: of files that are gone, or were truncated, and all of it after a restart.
	past []sequence
	// The tails in the order of their turns, and whose turn it is.
	order []*tail
	turn  int
	// What keeps files from being read.
	trouble error
	skipped int
}

// found is a file that a pattern has found.
type found struct {
	identity
	path string
	info os.FileInfo
}

// scan looks which files there are, and what has become of those that are read.
func (f *files) scan(now time.Time) {
	// A file that appears or is truncated may have come with another one, which was not there yet when we looked.
	for pass, changed := 0, true; changed && pass < mostPasses; pass++ {
		var trouble error
		f.all, trouble = f.find()
		truncated := f.refresh(now)
		admitted, refused := f.admitAll(now)
		changed = truncated || admitted
		f.report(errors.Join(trouble, refused, f.failures()))
	}
	f.arrange()
}

// report logs what keeps files from being read, when it is news.
func (f *files) report(trouble error) {
	if trouble != nil && (f.trouble == nil || f.trouble.Error() != trouble.Error()) {
		f.log.Warn("cannot read all files; trying again", "reason", trouble)
	}
	f.trouble = trouble
}

// failures are those of files that could not be read.
func (f *files) failures() error {
	var failures error
	for _, t := range f.order {
		failures = errors.Join(failures, t.failure)
	}
	return failures
}

// find looks for the files that the patterns name. A file with several names is found once.
func (f *files) find() (map[identity]found, error) {
	all := map[identity]found{}
	var trouble error
	for _, pattern := range f.settings.Paths {
		paths, _ := filepath.Glob(pattern) // The pattern is known to be one.
		for _, path := range paths {
			info, err := os.Stat(path)
			if errors.Is(err, fs.ErrNotExist) || (err == nil && (!info.Mode().IsRegular() || f.isExcluded(path))) {
				continue
			}
			if err != nil {
				trouble = errors.Join(trouble, err)
				continue
			}
			each := identify(info)
			if _, known := all[each]; !known {
				all[each] = found{identity: each, path: path, info: info}
			}
		}
	}
	return all, trouble
}

func (f *files) isExcluded(path string) bool {
	return slices.ContainsFunc(f.settings.Exclude, func(pattern string) bool {
		excluded, _ := filepath.Match(pattern, filepath.Base(path))
		return excluded
	})
}

func identify(info os.FileInfo) identity {
	status := info.Sys().(*syscall.Stat_t)
	return identity{device: uint64(status.Dev), inode: status.Ino}
}

// refresh looks after the files that are read. It tells whether one of them was truncated.
func (f *files) refresh(now time.Time) (truncated bool) {
	for id, t := range f.tails {
		each, isThere := f.all[id]
		switch {
		case isThere:
			t.path, t.missing = each.path, time.Time{}
		case t.missing.IsZero():
			t.missing = now
		}
		info, err := t.handle.Stat()
		if err != nil {
			f.leave(t, "its state cannot be read")
			continue
		}
		if t.failure != nil || info.Size() != t.size || !info.ModTime().Equal(t.modified) {
			t.size, t.modified, t.idle = info.Size(), info.ModTime(), false
			t.searched = min(t.searched, t.size)
		}
		if t.size < t.mark.offset {
			f.restart(t)
			truncated = true
		}
		if !isThere && t.idle && now.Sub(latest(t.missing, t.modified)) >= f.settings.rotateWait() {
			f.leave(t, "no pattern finds it any more")
		}
	}
	return truncated
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// restart reads a file from its beginning: it has become another one.
func (f *files) restart(t *tail) {
	f.log.Info("the file was truncated; reading it from its beginning", "path", t.path, "read", t.mark.offset)
	f.past = append(f.past, t.sequence)
	t.restart()
}

// leave closes a file. Should it be found again, it goes on where it was.
func (f *files) leave(t *tail, why string) {
	f.log.Info("leaving a file", "path", t.path, "read", t.mark.offset, "reason", why)
	_ = t.handle.Close()
	f.past = append(f.past, t.sequence)
	delete(f.tails, t.identity)
}

// admitAll begins to read the files that are not read yet. Those whose inode is known come first: which of the others are
// their copies can be told only then; and larger ones come before their copies that are not complete yet.
func (f *files) admitAll(now time.Time) (admitted bool, trouble error) {
	candidates := slices.DeleteFunc(slices.Collect(maps.Values(f.all)), func(each found) bool {
		return f.tails[each.identity] != nil
	})
	slices.SortFunc(candidates, func(a, b found) int {
		return cmp.Or(
			cmp.Compare(f.generations(b.identity), f.generations(a.identity)),
			cmp.Compare(b.info.Size(), a.info.Size()),
			cmp.Compare(a.path, b.path),
		)
	})
	for _, each := range candidates {
		one, err := f.admit(each, now)
		admitted = admitted || one
		trouble = errors.Join(trouble, err)
	}
	return admitted, trouble
}

// generations is the latest generation of an inode; 0: nothing was ever read of it.
func (f *files) generations(id identity) (latest uint64) {
	for _, each := range f.past {
		if each.identity == id {
			latest = max(latest, each.generation)
		}
	}
	return latest
}

// admit begins to read a file, unless it is the copy of one that is read.
func (f *files) admit(each found, now time.Time) (bool, error) {
	handle, err := os.Open(each.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	t, err := f.open(handle, each, now)
	if err != nil || t == nil {
		_ = handle.Close()
		return false, err
	}
	f.tails[t.identity] = t
	return true, nil
}

// open finds out what a file is, and where to go on in it. None: it is not to be read now.
func (f *files) open(handle *os.File, each found, now time.Time) (*tail, error) {
	info, err := handle.Stat()
	if err != nil {
		return nil, err
	}
	if identify(info) != each.identity {
		return nil, nil // It was moved just now: the next look finds it.
	}
	t := &tail{
		sequence: sequence{identity: each.identity, generation: f.generations(each.identity) + 1, path: each.path},
		settings: f.settings,
		handle:   handle,
		format:   f.settings.newFormat(),
		size:     info.Size(),
		modified: info.ModTime(),
	}
	if t.size == 0 {
		return nil, nil
	}
	resumed, err := f.resume(t)
	if err == nil && !resumed {
		for _, other := range f.tails {
			if same, err := isCopy(t, other, now); err != nil || same {
				return nil, err
			}
		}
		err = f.continueCopy(t)
	}
	if err == nil {
		f.log.Info("reading a file", "path", t.path, "from", t.mark.offset, "source_partition", t.partition())
	}
	return t, err
}

// resume goes on where this file was left, if it is still the same.
func (f *files) resume(t *tail) (bool, error) {
	last := slices.IndexFunc(f.past, func(s sequence) bool {
		return s.identity == t.identity && s.generation == t.generation-1
	})
	if last < 0 {
		return false, nil
	}
	same, err := f.past[last].mark.matches(t.handle)
	if err != nil || !same {
		return false, err
	}
	t.generation = f.past[last].generation
	t.mark, err = markAt(t.handle, f.past[last].mark.offset)
	f.past = slices.Delete(f.past, last, last+1)
	return err == nil, err
}

// read gives the next records, with a turn for each file that has some.
func (f *files) read(most int) []connector.SourceRecord {
	var records []connector.SourceRecord
	for waiting := 0; waiting < len(f.order) && len(records) < most; f.turn++ {
		t := f.order[f.turn%len(f.order)]
		if t.idle || t.isBlocked() {
			waiting++
			continue
		}
		waiting = 0
		more, err := t.next(min(recordsPerTurn, most-len(records)))
		records = append(records, more...)
		f.count(t)
		if t.failure = nil; errors.Is(err, errReplaced) {
			f.restart(t)
			f.scan(time.Now())
		} else if err != nil {
			t.idle = true
			t.failure = fmt.Errorf("%s: %w", t.path, err)
		}
	}
	return records
}

// count counts what was too long.
func (f *files) count(t *tail) {
	if t.skipped == 0 {
		return
	}
	f.skipped += t.skipped
	f.log.Warn("skipped records that are longer than max_line_bytes", "path", t.path, "before", t.mark.offset,
		"records", t.skipped, "in_all", f.skipped, "max_line_bytes", f.settings.MaxLineBytes)
	t.skipped = 0
}

func (f *files) close() {
	for _, t := range f.tails {
		_ = t.handle.Close()
	}
}
