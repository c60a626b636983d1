package connector

import (
	"errors"
	"strings"
	"time"
)

// Outcome says what is to follow from an [Error].
type Outcome int

const (
	// OutcomeRetry: temporary. The sidecar offers the record again after a backoff.
	OutcomeRetry Outcome = iota + 1
	// OutcomeReject: the record can never be written. It becomes a dead letter.
	OutcomeReject
	// OutcomeFiltered: deliberately not written. The record is done, and counted apart.
	OutcomeFiltered
	// OutcomeFatal: the connector cannot go on. The run ends with this error.
	OutcomeFatal
	// OutcomeBusy: the external system takes nothing at present, whatever the record. Nothing more is
	// written until RetryAfter has passed.
	OutcomeBusy
)

// Error is an error with an outcome, as made by [Retry], [Busy], [Reject], [Filtered] and [Fatal].
// It may be wrapped: the SDK finds it with errors.As. Any other error counts as a retry with
// the code "EXCEPTION".
type Error struct {
	// Outcome says what is to follow.
	Outcome Outcome
	// Code is a short constant in UPPER_SNAKE, for metrics and dead letters.
	Code string
	// RetryAfter is how long the sidecar waits at least before it offers the record again
	// (OutcomeRetry; zero: the sidecar's backoff), or how long nothing is written (OutcomeBusy; zero: 1 s).
	RetryAfter time.Duration
	// Err is the cause. Its text reaches the operator: it must hold no payload and no secret.
	Err error
}

// Retry says that a record could not be written for now. Code: "RETRY".
func Retry(err error) *Error {
	return &Error{Outcome: OutcomeRetry, Code: "RETRY", Err: err}
}

// Busy says that the external system takes nothing at present, whatever the record: a rate limit (HTTP
// 429, 503), maintenance, a failover. It is never an attempt of a record. Nothing more is written until
// [Error.After] has passed, or 1 s: what is in hand is handed back without a call, and the sidecar goes
// on with one small batch then. Code: "BUSY".
func Busy(err error) *Error {
	return &Error{Outcome: OutcomeBusy, Code: "BUSY", Err: err}
}

// Reject says that a record can never be written. Code: "REJECTED".
func Reject(err error) *Error {
	return &Error{Outcome: OutcomeReject, Code: "REJECTED", Err: err}
}

// Filtered says that a record is deliberately not written, and why. Code: "FILTERED".
func Filtered(reason string) *Error {
	return &Error{Outcome: OutcomeFiltered, Code: "FILTERED", Err: errors.New(reason)}
}

// Fatal says that the connector cannot go on: the sidecar is told so, and the run fails. Code:
// "FATAL".
func Fatal(err error) *Error {
	return &Error{Outcome: OutcomeFatal, Code: "FATAL", Err: err}
}

// WithCode sets the code, and returns the error itself.
func (e *Error) WithCode(code string) *Error {
	e.Code = code
	return e
}

// After sets how long the sidecar waits at least before it offers the record again, or how long the
// external system is busy, and returns the error itself.
func (e *Error) After(wait time.Duration) *Error {
	e.RetryAfter = wait
	return e
}

// Error is the text of the cause, or the code where there is none.
func (e *Error) Error() string {
	if e.Err == nil {
		return e.Code
	}
	return e.Err.Error()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error {
	return e.Err
}

// ForAll is the answer of a [BatchSink] whose whole batch of that many records came to the same end.
func ForAll(records int, err error) []error {
	answers := make([]error, records)
	for i := range answers {
		answers[i] = err
	}
	return answers
}

// outcomeOf finds out what an error means: never nil, for an error that is not nil.
func outcomeOf(err error) *Error {
	var found *Error
	if !errors.As(err, &found) {
		return &Error{Outcome: OutcomeRetry, Code: "EXCEPTION", Err: err}
	}
	// What was wrapped around it belongs to the text.
	return &Error{Outcome: found.Outcome, Code: found.Code, RetryAfter: found.RetryAfter, Err: err}
}

// fatal returns the error if it is one that ends the run.
func fatal(err error) error {
	if err != nil && outcomeOf(err).Outcome == OutcomeFatal {
		return err
	}
	return nil
}

// longestText is what is sent of a text for the operator, in bytes (what a dead letter keeps of it).
const longestText = 1024

// shortened cuts a text between characters where it is too long, and makes it UTF-8.
func shortened(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= longestText {
		return text
	}
	return strings.ToValidUTF8(text[:longestText], "")
}
