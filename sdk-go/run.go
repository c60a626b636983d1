package connector

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// run is what sinks and sources have in common: a connector that is kept in session with the sidecar.
type run struct {
	*host
	sidecar *sidecar
	pace    pace
}

func newRun(ctx context.Context, connector any, options RuntimeOptions) (*run, error) {
	sidecar, err := newSidecar(options)
	if err != nil {
		return nil, err
	}
	log := options.Logger
	if log == nil {
		log = slog.Default()
	}
	life := newLifecycle(ctx, options, log)
	return &run{
		host:    newHost(connector, life, log),
		sidecar: sidecar,
		pace:    pace{log: log, address: sidecar.address.String()},
	}, nil
}

// keep opens one session after the other, until one ends without an error or with one that is permanent, or until
// isDone says that there is nothing left to do.
func (r *run) keep(session func() error, isDone func() bool) error {
	for !isDone() {
		reason := session()
		var lost *lostError
		if !errors.As(reason, &lost) {
			return reason
		}
		if isDone() {
			break
		}
		if err := r.rest(r.pace.failed(time.Now(), reason)); err != nil {
			return err
		}
	}
	return r.failed()
}

// rest waits between two sessions. A stop ends it, so that what is left to do is done at once.
func (r *run) rest(wait time.Duration) error {
	stopping := r.life.stopping.Done()
	if r.life.stopping.Err() != nil {
		stopping = nil
	}
	over := time.NewTimer(wait)
	defer over.Stop()
	select {
	case <-over.C:
	case <-stopping:
	case <-r.life.calls.Done():
	case <-r.fault.Done():
		return r.failed()
	}
	return nil
}

// finish closes the connector, and ends the run with its error and that of Close.
func (r *run) finish(err error) error {
	defer r.life.release()
	return errors.Join(err, r.close())
}
