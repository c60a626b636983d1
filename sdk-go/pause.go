package connector

import "time"

// defaultPause is what a [Busy] without After means.
const defaultPause = time.Second

// pause is how long the external system is left alone: until then each record is handed back without a call. It outlives
// sessions, as the external system does not care for them. It is for the goroutine that calls the connector.
type pause struct {
	until time.Time
	said  *Error
}

// begin leaves the external system alone for as long as it asked; never for less than it asked before.
func (p *pause) begin(now time.Time, busy *Error) {
	after := busy.RetryAfter
	if after <= 0 {
		after = defaultPause
	}
	if until := now.Add(after); until.After(p.until) {
		p.until, p.said = until, busy
	}
}

// left is what is answered meanwhile: what the connector said, for what is left of the time. Nil: it may be called.
func (p *pause) left(now time.Time) *Error {
	left := p.until.Sub(now)
	if left <= 0 {
		return nil
	}
	return &Error{Outcome: OutcomeBusy, Code: p.said.Code, RetryAfter: left, Err: p.said.Err}
}
