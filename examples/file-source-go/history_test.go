package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	connector "github.com/danube-messaging/danube-sidecar/sdk-go"
)

// Whatever a log goes through, each line is read once, in the order in which they were written.
func TestRandomHistories(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			h := &history{driver: newDriver(t, nil), random: rand.New(rand.NewPCG(seed, 0))}
			h.committed = h.positions
			for range 40 {
				h.step()
			}
			h.live()
			h.readAll()

			if !slices.Equal(h.read, h.written) {
				t.Fatalf("after\n%s\n%d lines were read as %s", strings.Join(h.steps, "\n"), len(h.written), numbers(h.read))
			}
		})
	}
}

// numbers are the lines' numbers.
func numbers(lines []string) []string {
	var numbers []string
	for _, line := range lines {
		number, _, _ := strings.Cut(line, " ")
		numbers = append(numbers, number)
	}
	return numbers
}

// history is what happens to one log.
type history struct {
	*driver
	random        *rand.Rand
	written, read []string
	rotations     int
	steps         []string
	// How it was before the last poll.
	committed      map[string]connector.Position
	committedLines int
}

func (h *history) step() {
	steps := map[string]func(){
		"append":               h.append,
		"append much":          func() { h.append(); h.append(); h.append() },
		"append half a line":   h.appendHalf,
		"rename":               h.moveAway,
		"copy and truncate":    h.copyAway,
		"poll":                 h.pollOnce,
		"read all":             h.readAll,
		"kill":                 h.kill,
		"kill before a commit": h.killBeforeCommit,
		"start":                h.live,
	}
	name := slices.Sorted(maps.Keys(steps))[h.random.IntN(len(steps))]
	before := len(h.read)
	steps[name]()
	reads := numbers(h.read[min(before, len(h.read)):])
	h.steps = append(h.steps, fmt.Sprintf("%s: %d written, reads %s", name, len(h.written), reads))
}

func (h *history) append() {
	for range 1 + h.random.IntN(8) {
		line := fmt.Sprintf("%d %s", len(h.written)+1, strings.Repeat("x", h.random.IntN(200)))
		h.written = append(h.written, line)
		h.write("a.log", line+"\n")
	}
}

// appendHalf appends a line in two writes, and may have it read between them.
func (h *history) appendHalf() {
	line := fmt.Sprintf("%d in halves", len(h.written)+1)
	h.write("a.log", line[:5])
	h.pollOnce()
	h.written = append(h.written, line)
	h.write("a.log", line[5:]+"\n")
}

// shift makes room for a.log.1.
func (h *history) shift() bool {
	if info, err := os.Stat(h.path("a.log")); err != nil || info.Size() == 0 {
		return false
	}
	for number := h.rotations; number > 0; number-- {
		h.rename(fmt.Sprintf("a.log.%d", number), fmt.Sprintf("a.log.%d", number+1))
	}
	h.rotations++
	return true
}

func (h *history) moveAway() {
	if h.shift() {
		h.rename("a.log", "a.log.1")
	}
}

func (h *history) copyAway() {
	if h.shift() {
		h.copyTruncate("a.log", "a.log.1")
	}
}

func (h *history) pollOnce() {
	if h.source != nil {
		h.committed, h.committedLines = maps.Clone(h.positions), len(h.read)
		h.read = append(h.read, messages(h.poll())...)
	}
}

func (h *history) readAll() {
	for before := -1; before < len(h.read); {
		before = len(h.read)
		h.pollOnce()
	}
}

// killBeforeCommit kills the source when what the last poll has brought is not committed: that has to come again.
func (h *history) killBeforeCommit() {
	if h.source != nil {
		h.stop()
		h.positions, h.read = maps.Clone(h.committed), h.read[:h.committedLines]
	}
}

func (h *history) kill() {
	if h.source != nil {
		h.stop()
	}
}

func (h *history) live() {
	if h.source == nil {
		h.restart()
	}
}
