package connector

import (
	"sync"
	"time"
)

const (
	firstPollBackoff   = time.Second
	longestPollBackoff = 30 * time.Second
)

// intake knows when the next poll is due, and whether records still come.
type intake struct {
	interval time.Duration

	mutex     sync.Mutex
	polling   bool
	ended     bool
	failures  int
	notBefore time.Time
}

// begin notes that Poll is being called.
func (i *intake) begin() {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	i.polling = true
}

// polled notes what came of a poll, and tells how long the next one waits.
func (i *intake) polled(records int, ended bool, err error) time.Duration {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	i.polling = false
	i.ended = i.ended || ended
	var wait time.Duration
	switch {
	case err != nil:
		wait = min(firstPollBackoff<<min(i.failures, 8), longestPollBackoff)
		if after := outcomeOf(err).RetryAfter; after > 0 {
			wait = after
		}
		i.failures++
	case records == 0:
		wait = i.interval
	}
	if err == nil {
		i.failures = 0
	}
	i.notBefore = time.Now().Add(wait)
	return wait
}

// end notes that no more records come.
func (i *intake) end() {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	i.ended = true
}

func (i *intake) hasEnded() bool {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	return i.ended
}

func (i *intake) isPolling() bool {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	return i.polling
}

// wait tells how long the next poll has to wait.
func (i *intake) wait(now time.Time) time.Duration {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	return i.notBefore.Sub(now)
}
