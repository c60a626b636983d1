package connector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	pb "github.com/danube-messaging/danube-sidecar/sdk-go/gen"
)

const (
	// How long a health check may take.
	healthTimeout = 4 * time.Second
	// How long a call is waited for after its context was cancelled.
	lastMoment = time.Second
)

// host has the connector, and sees that its methods are called one at a time. It outlives sessions.
type host struct {
	connector any
	life      *lifecycle
	log       *slog.Logger
	// Whoever holds the token may call the connector.
	turn chan struct{}
	// Done, with its cause, when the connector cannot go on.
	fault context.Context
	fail  context.CancelCauseFunc
	// Closed when Open, and what else comes before the first record, has returned without an error.
	ready chan struct{}
	// Whether that was begun. Only sessions touch it, and they come one after the other.
	prepared bool
	// Held by the health check that is running: one that hangs must not pile up others.
	checking chan struct{}
}

func newHost(connector any, life *lifecycle, log *slog.Logger) *host {
	h := &host{
		connector: connector,
		life:      life,
		log:       log,
		turn:      make(chan struct{}, 1),
		ready:     make(chan struct{}),
		checking:  make(chan struct{}, 1),
	}
	h.fault, h.fail = context.WithCancelCause(context.WithoutCancel(life.calls))
	h.turn <- struct{}{}
	return h
}

// failed is the error that ends the run, or nil.
func (h *host) failed() error {
	return context.Cause(h.fault)
}

// mayCall tells the holder of the token whether the connector may still be called. If not, the token is given back.
func (h *host) mayCall() bool {
	if h.failed() == nil {
		return true
	}
	h.turn <- struct{}{}
	return false
}

// call calls the connector for the holder of the token, and gives that back. An error ends the run.
func (h *host) call(what func() error) {
	if err := what(); err != nil {
		h.fail(err)
	}
	h.turn <- struct{}{}
}

// open calls the connector's Open, where it has one.
func (h *host) open(session Session) error {
	opener, ok := h.connector.(Opener)
	if !ok {
		return nil
	}
	if err := opener.Open(h.life.calls, session); err != nil {
		return fmt.Errorf("connector: Open: %w", err)
	}
	return nil
}

// isReady tells whether records may come.
func (h *host) isReady() bool {
	select {
	case <-h.ready:
		return true
	default:
		return false
	}
}

// health answers a probe, within healthTimeout.
func (h *host) health(probe *pb.Probe) *pb.Health {
	_, checked := h.connector.(HealthChecker)
	answer := &pb.Health{ProbeId: probe.GetProbeId(), Status: pb.Health_STATUS_HEALTHY, Checked: checked}
	if err := h.check(); err != nil {
		answer.Status = pb.Health_STATUS_UNHEALTHY
		answer.Message = shortened(err.Error())
	}
	return answer
}

func (h *host) check() error {
	checker, ok := h.connector.(HealthChecker)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(h.life.calls, healthTimeout)
	defer cancel()
	select {
	case <-h.ready:
	case <-ctx.Done():
		return errors.New("the connector is not open yet")
	}
	select {
	case h.checking <- struct{}{}:
	case <-ctx.Done():
		return errors.New("an earlier health check has not returned")
	}
	result := make(chan error, 1)
	go func() {
		err := checker.HealthCheck(ctx)
		<-h.checking
		result <- err
	}()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return fmt.Errorf("the health check did not return within %v", healthTimeout)
	}
}

// close waits for the call that is running, as long as there is time, and calls the connector's Close.
func (h *host) close() error {
	h.life.stop()
	select {
	case <-h.turn:
	case <-afterDone(h.life.calls, lastMoment):
		h.log.Warn("a call of the connector did not return in time; leaving it")
	}
	closer, ok := h.connector.(Closer)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(h.life.calls), h.life.grace)
	defer cancel()
	result := make(chan error, 1)
	go func() { result <- closer.Close(ctx) }()
	select {
	case err := <-result:
		if err != nil {
			return fmt.Errorf("connector: Close: %w", err)
		}
		return nil
	case <-afterDone(ctx, lastMoment):
		return fmt.Errorf("connector: Close did not return within %v", h.life.grace)
	}
}

// afterDone is closed a moment after the context was cancelled: for calls that heed it.
func afterDone(ctx context.Context, moment time.Duration) <-chan struct{} {
	over := make(chan struct{})
	context.AfterFunc(ctx, func() { time.AfterFunc(moment, func() { close(over) }) })
	return over
}
