package connector

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	pb "github.com/danube-messaging/danube-sidecar/sdk-go/gen"
)

const defaultPollInterval = 100 * time.Millisecond

// Poller is a source that is asked for records. It may also be an [Opener], a [Restorer], a
// [Committer], a [Rejecter], a [HealthChecker] and a [Closer].
type Poller interface {
	// Poll returns some records, or none. It is called only while the sidecar has demand, and
	// should return soon: what was committed is told between polls. The context is cancelled
	// when the source is asked to stop; what Poll returns then is still published.
	//
	// io.EOF, with or without records, says that there will never be more: the run ends when
	// all is committed. A [Fatal] error ends the run at once; after any other one Poll is called
	// again, after a backoff or what [Error.After] says.
	Poll(ctx context.Context) ([]SourceRecord, error)
}

// Streamer is a source whose external system pushes. It may also be an [Opener], a [Restorer], a
// [Committer], a [Rejecter], a [HealthChecker] and a [Closer].
type Streamer interface {
	// Stream hands records over until there will never be more: when it returns nil, the run
	// ends as soon as all is committed. Any error ends the run at once. The context is cancelled
	// when the source is asked to stop. The emitter is for any number of goroutines.
	Stream(ctx context.Context, emitter *Emitter) error
}

// RunSource runs a source that is polled until its context ends or SIGTERM or SIGINT comes, or
// until Poll says io.EOF. It then waits until what it has in hand is committed, closes the source,
// and returns nil. It waits for the sidecar for as long as it takes, and sends what was not
// committed again.
//
// The error is the connector's own, from [Fatal], Open, Restore or Close; a [*RefusedError], where
// the sidecar refuses the connector or another process of the source has taken over; or says what
// is wrong with the options, or with a record that no frame can carry.
func RunSource(ctx context.Context, source Poller, options SourceOptions) error {
	return runSource(ctx, source, options, func(s *sourceRun) { s.poller = source })
}

// RunStreamer runs a source that pushes, as [RunSource] does.
func RunStreamer(ctx context.Context, source Streamer, options SourceOptions) error {
	return runSource(ctx, source, options, func(s *sourceRun) { s.streamer = source })
}

// sourceRun is a source with its records. It outlives sessions.
type sourceRun struct {
	*run
	// One of both.
	poller   Poller
	streamer Streamer
	outbox   *outbox
	intake   intake
	// Closed when Stream has returned; nil before it is called. Only the run's own goroutine touches it.
	streamed chan struct{}
}

func runSource(ctx context.Context, connector any, options SourceOptions, kind func(*sourceRun)) error {
	open, err := sourceOpen(options)
	if err != nil {
		return err
	}
	run, err := newRun(ctx, connector, options.Runtime)
	if err != nil {
		return err
	}
	interval := options.PollInterval
	if interval <= 0 {
		interval = defaultPollInterval
	}
	_, commits := connector.(Committer)
	_, rejects := connector.(Rejecter)
	s := &sourceRun{run: run, outbox: newOutbox(commits, rejects), intake: intake{interval: interval}}
	kind(s)
	notices := s.startNotices()
	err = s.keep(func() error { return runSourceSession(s, open) }, s.isDone)
	return s.finish(err, notices)
}

// isFinishing tells whether no more records come.
func (s *sourceRun) isFinishing() bool {
	return (s.life.stopping.Err() != nil || s.intake.hasEnded()) && !s.intake.isPolling()
}

// isDone tells whether there is nothing left to do, or no time to do it.
func (s *sourceRun) isDone() bool {
	return s.life.calls.Err() != nil || (s.isFinishing() && s.outbox.isEmpty())
}

// finish ends all that runs beside the sessions, and then the run.
func (s *sourceRun) finish(err error, notices *notices) error {
	s.life.stop()
	if left := s.outbox.abandon(); left > 0 {
		s.log.Warn("stopping with records that are not committed; they are read again at the next start",
			"records", left)
	}
	if s.streamed != nil {
		select {
		case <-s.streamed:
		case <-afterDone(s.life.calls, lastMoment):
			s.log.Warn("Stream did not return in time; leaving it")
		}
	}
	notices.finish()
	return s.run.finish(err)
}

// prepare calls what comes before the first record.
func (s *sourceRun) prepare(session Session, restored []Position) error {
	defer s.outbox.wakeUp()
	if err := s.open(session); err != nil {
		return err
	}
	if restorer, ok := s.connector.(Restorer); ok {
		if err := restorer.Restore(s.life.calls, restored); err != nil {
			return fmt.Errorf("connector: Restore: %w", err)
		}
	}
	close(s.ready)
	return nil
}

// poll calls Poll, and keeps what it returns. The error is one that ends the run.
func (s *sourceRun) poll() error {
	defer s.outbox.wakeUp()
	records, err := s.poller.Poll(s.life.stopping)
	invalid := s.outbox.push(records)
	ended := errors.Is(err, io.EOF)
	if ended || (s.life.stopping.Err() != nil && fatal(err) == nil) {
		err = nil
	}
	wait := s.intake.polled(len(records), ended, err)
	if end := errors.Join(invalid, fatal(err)); end != nil {
		return end
	}
	if err != nil {
		s.log.Warn("Poll failed; it is called again", "reason", shortened(err.Error()), "after", wait)
	}
	return nil
}

// startStream calls Stream, once, beside everything else.
func (s *sourceRun) startStream() {
	if s.streamer == nil || s.streamed != nil || !s.isReady() || s.life.stopping.Err() != nil {
		return
	}
	s.streamed = make(chan struct{})
	go func() {
		defer close(s.streamed)
		defer s.outbox.wakeUp()
		err := s.streamer.Stream(s.life.stopping, &Emitter{outbox: s.outbox, stopping: s.life.stopping})
		if err == nil || (s.life.stopping.Err() != nil && fatal(err) == nil) {
			s.intake.end()
			return
		}
		s.fail(fmt.Errorf("connector: Stream: %w", err))
	}()
}

func openSourceWire(giveUp context.Context, r *run, open *pb.SourceOpen) (*sourceWire, *pb.SourceOpened, error) {
	wire, err := openWire(giveUp, r.sidecar, startSource, true)
	if err != nil {
		return nil, nil, err
	}
	wire.send(&pb.SourceServiceRunRequest{Frame: &pb.SourceServiceRunRequest_Open{Open: open}})
	first, err := wire.first(giveUp)
	if err == nil && first.GetOpened() == nil {
		err = lost("it broke the protocol: its first frame is not `opened`")
	}
	if err == nil {
		err = readPages(giveUp, wire, first.GetOpened())
	}
	if err != nil {
		wire.close()
		return nil, nil, err
	}
	return wire, first.GetOpened(), nil
}

// readPages adds the positions that did not fit into `opened` to it.
func readPages(giveUp context.Context, wire *sourceWire, opened *pb.SourceOpened) error {
	for more := opened.GetMorePositions(); more; {
		frame, err := wire.first(giveUp)
		if err != nil {
			return err
		}
		page := frame.GetPositions()
		if page == nil {
			return lost("it broke the protocol: positions were to follow")
		}
		opened.Positions = append(opened.Positions, page.GetPositions()...)
		more = page.GetMore()
	}
	return nil
}
