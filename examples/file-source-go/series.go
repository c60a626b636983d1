package main

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// arrange decides in which order files have their turns, and which ones wait for others: the files that a log was rotated
// into (app.log.2, app.log.1, app.log) are read one after the other, the one that was changed first before the others.
func (f *files) arrange() {
	names := map[string]bool{}
	for _, t := range f.tails {
		names[t.path] = true
	}
	series := map[string][]*tail{}
	for _, t := range f.tails {
		base := base(t.path, names)
		series[base] = append(series[base], t)
	}
	f.order = f.order[:0]
	for _, base := range slices.Sorted(maps.Keys(series)) {
		members := series[base]
		slices.SortFunc(members, oldestFirst)
		for i, t := range members {
			t.after = nil
			if i > 0 {
				t.after = members[i-1]
			}
		}
		f.order = append(f.order, members...)
	}
}

// number is what rotations append: a number or a time.
var number = regexp.MustCompile(`[.-][0-9][0-9TZ:_.-]*$`)

// base is the name that a file had before it was rotated: without a number at its end, or the shortest name of another file
// that it is suffixed to.
func base(path string, names map[string]bool) string {
	path = path[:len(path)-len(number.FindString(path))]
	for i := range path {
		if names[path[:i]] && isSuffixed(path, path[:i]) {
			return path[:i]
		}
	}
	return path
}

// isRenamed tells whether one of two names is the other one after a rotation.
func isRenamed(a, b string) bool {
	names := map[string]bool{a: true, b: true}
	return a != b && base(a, names) == base(b, names)
}

// isSuffixed tells whether a name is another one with a suffix, as rotations append one.
func isSuffixed(path, of string) bool {
	rest, found := strings.CutPrefix(path, of)
	return found && rest != "" && strings.IndexByte(".-", rest[0]) >= 0
}

// oldestFirst compares files of a series. One that has lost its name is older than what may have it now. Where others changed
// at the same time, the name without a suffix is the latest, and of numbers the lowest.
func oldestFirst(a, b *tail) int {
	return cmp.Or(
		b.missing.Compare(a.missing),
		a.modified.Compare(b.modified),
		cmp.Compare(len(b.path), len(a.path)),
		cmp.Compare(b.path, a.path),
		cmp.Compare(a.generation, b.generation),
	)
}
