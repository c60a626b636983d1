package connector

import (
	"context"
	"errors"
	"sync"
)

// ErrStopped says that the source takes no more records, or was stopped before a record was committed.
var ErrStopped = errors.New("connector: the source is stopped")

// ErrFull says that there is no room for another record at the moment.
var ErrFull = errors.New("connector: the sidecar has no demand for another record")

// Emitter takes the records of a [Streamer]. It is for any number of goroutines.
type Emitter struct {
	outbox   *outbox
	stopping context.Context
}

// Emit hands a record over, and waits until there is room for it. It fails with [ErrStopped], with
// the context's error, or with one that says why the record can never be sent.
func (e *Emitter) Emit(ctx context.Context, record SourceRecord) (*Pending, error) {
	entry, err := newEntry(record)
	if err != nil {
		return nil, err
	}
	for {
		room, err := e.offer(entry)
		if err != nil {
			return nil, err
		}
		if room == nil {
			return entry.pending, nil
		}
		select {
		case <-room:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-e.stopping.Done():
			return nil, ErrStopped
		}
	}
}

// TryEmit hands a record over if there is room for it, and fails with [ErrFull] if not. It never waits.
func (e *Emitter) TryEmit(record SourceRecord) (*Pending, error) {
	entry, err := newEntry(record)
	if err != nil {
		return nil, err
	}
	room, err := e.offer(entry)
	if err != nil {
		return nil, err
	}
	if room != nil {
		return nil, ErrFull
	}
	return entry.pending, nil
}

func (e *Emitter) offer(entry *entry) (<-chan struct{}, error) {
	if e.stopping.Err() != nil {
		return nil, ErrStopped
	}
	return e.outbox.offer(entry)
}

// Pending is a record that was handed over.
type Pending struct {
	done chan struct{}
	once sync.Once
	err  error
}

func newPending() *Pending {
	return &Pending{done: make(chan struct{})}
}

// Wait waits until the record is committed: published, and its position durable. It fails with a
// [*Rejection], when the record can never be published; with [ErrStopped], when the source was
// stopped before; or with the context's error.
func (p *Pending) Wait(ctx context.Context) error {
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// resolve says what became of the record. Only the first word counts.
func (p *Pending) resolve(err error) {
	p.once.Do(func() {
		p.err = err
		close(p.done)
	})
}
