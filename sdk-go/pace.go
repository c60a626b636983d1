package connector

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"
)

const (
	firstBackoff   = 100 * time.Millisecond
	longestBackoff = 10 * time.Second
	// A session that lasted this long was a good one: the next try comes soon.
	goodSession = 5 * time.Second
	// How often a sidecar that stays away is complained of.
	complainEvery = 30 * time.Second
	unreached     = "no session with the sidecar; trying again until it works " +
		"(start it with `danube-sidecar run`, or name another with " + addressVariable + ")"
)

// pace decides when to dial again, and when to say so.
type pace struct {
	log      *slog.Logger
	address  string
	failures int
	opened   time.Time
	// Until when nothing more is said of a sidecar that cannot be reached, and of lost sessions.
	quietUnreached time.Time
	quietLost      time.Time
}

// isOpen notes that a session is open.
func (p *pace) isOpen(now time.Time, sessionID string) {
	p.log.Info("session with the sidecar opened", "address", p.address, "session_id", sessionID)
	p.opened = now
}

// failed notes that a try failed or a session was lost, and tells how long to wait before the next one.
func (p *pace) failed(now time.Time, reason error) time.Duration {
	wasOpen := !p.opened.IsZero()
	if wasOpen && now.Sub(p.opened) >= goodSession {
		p.failures = 0
		p.quietLost = time.Time{}
	}
	p.opened = time.Time{}
	p.tell(now, reason, wasOpen)
	wait := backoff(p.failures)
	p.failures++
	var lost *lostError
	if errors.As(reason, &lost) {
		wait = max(wait, lost.retryAfter)
	}
	return wait
}

func (p *pace) tell(now time.Time, reason error, wasOpen bool) {
	var lost *lostError
	if wasOpen && errors.As(reason, &lost) && lost.orderly {
		p.log.Info("session with the sidecar ended", "address", p.address)
		return
	}
	quiet, message := &p.quietUnreached, unreached
	if wasOpen {
		quiet, message = &p.quietLost, "session with the sidecar lost; trying again until it works"
		// Whether it can be reached again is news.
		p.quietUnreached = time.Time{}
	}
	if now.Before(*quiet) {
		return
	}
	*quiet = now.Add(complainEvery)
	p.log.Warn(message, "address", p.address, "reason", reason)
}

// backoff is exponential with full jitter.
func backoff(failures int) time.Duration {
	limit := min(firstBackoff<<min(failures, 16), longestBackoff)
	return rand.N(limit + 1)
}
