package connector

import (
	"context"
	"time"

	"google.golang.org/grpc"

	pb "github.com/danube-messaging/danube-sidecar/sdk-go/gen"
)

type sourceWire = wire[pb.SourceServiceRunRequest, pb.SourceServiceRunResponse]

func startSource(ctx context.Context, conn grpc.ClientConnInterface) (
	grpc.BidiStreamingClient[pb.SourceServiceRunRequest, pb.SourceServiceRunResponse], error,
) {
	return pb.NewSourceServiceClient(conn).Run(ctx)
}

// sourceSession is one session of a source: demand and commits come, records go. One goroutine serves it.
type sourceSession struct {
	*sourceRun
	wire      *sourceWire
	opened    Session
	positions []Position
	health    chan *pb.Health
	pollAt    *time.Timer
	// Whether the sidecar wants nothing new, and whether we have said that nothing more comes.
	draining bool
	drained  bool
}

// runSourceSession opens a session and serves it. Nil means that there is nothing left to do, or no time to do it.
func runSourceSession(r *sourceRun, open *pb.SourceOpen) error {
	giveUp := r.life.stopping
	if !r.outbox.isEmpty() {
		giveUp = r.life.calls
	}
	wire, opened, err := openSourceWire(giveUp, r.run, open)
	if err != nil {
		return err
	}
	defer wire.close()
	settings, err := parseSettings(opened.GetSettingsJson())
	if err != nil {
		return err
	}
	r.pace.isOpen(time.Now(), opened.GetSessionId())
	s := &sourceSession{
		sourceRun: r,
		wire:      wire,
		opened: Session{
			ID:       opened.GetSessionId(),
			Epoch:    opened.GetEpoch(),
			WorkerID: opened.GetWorkerId(),
			Settings: settings,
		},
		positions: positions(opened.GetPositions()),
		health:    make(chan *pb.Health),
		pollAt:    time.NewTimer(r.intake.interval),
	}
	defer s.pollAt.Stop()
	r.outbox.reopen(opened.GetLimits().GetMaxInboundFrameBytes(), s.positions)
	return s.serve()
}

// serve serves until the session ends, one way or the other.
func (s *sourceSession) serve() error {
	for {
		s.startStream()
		s.sendRecords()
		if s.failed() != nil {
			fault := wireFault(s.failed())
			s.wire.leave(s.log, &pb.SourceServiceRunRequest{Frame: &pb.SourceServiceRunRequest_Fault{Fault: fault}})
			return s.failed()
		}
		if s.isSettled() {
			return nil
		}
		select {
		case frame, ok := <-s.wire.frames:
			if !ok {
				return s.wire.lost()
			}
			if err := s.take(frame); err != nil {
				return err
			}
		case <-s.turnIfWanted():
			s.begin()
		case health := <-s.health:
			s.wire.send(&pb.SourceServiceRunRequest{Frame: &pb.SourceServiceRunRequest_Health{Health: health}})
		// What these mean is looked after in the next turn.
		case <-s.pollAt.C:
		case <-s.outbox.wake:
		case <-s.stops():
		case <-s.life.calls.Done():
		case <-s.fault.Done():
		}
	}
}

// sendRecords sends what demand allows. A record that no frame can carry ends the run.
func (s *sourceSession) sendRecords() {
	for !s.draining && !s.drained {
		records, err := s.outbox.nextFrame()
		if err != nil {
			s.fail(err)
		}
		if records == nil {
			return
		}
		s.wire.send(&pb.SourceServiceRunRequest{Frame: &pb.SourceServiceRunRequest_Records{Records: records}})
	}
}

// isSettled says `drained` when that is due, and tells whether the session is over with it.
func (s *sourceSession) isSettled() bool {
	finishing := s.isFinishing()
	if finishing {
		s.outbox.refuse()
	}
	if s.isDone() {
		s.sayDrained()
		s.wire.leave(s.log, nil)
		return true
	}
	if s.draining || (finishing && s.outbox.isSent()) {
		s.sayDrained()
	}
	return false
}

// sayDrained says that no more records follow in this session.
func (s *sourceSession) sayDrained() {
	if s.drained {
		return
	}
	s.drained = true
	s.wire.send(&pb.SourceServiceRunRequest{Frame: &pb.SourceServiceRunRequest_Drained{Drained: &pb.Drained{}}})
}

// stops wakes the session at the stop, once: it looks after that in each turn.
func (s *sourceSession) stops() <-chan struct{} {
	if s.life.stopping.Err() != nil {
		return nil
	}
	return s.life.stopping.Done()
}

func (s *sourceSession) take(frame *pb.SourceServiceRunResponse) error {
	switch frame := frame.GetFrame().(type) {
	case *pb.SourceServiceRunResponse_Demand:
		s.outbox.update(frame.Demand)
	case *pb.SourceServiceRunResponse_Committed:
		if err := s.outbox.commit(frame.Committed.GetNumber()); err != nil {
			return lost("it broke the protocol: %w", err)
		}
	case *pb.SourceServiceRunResponse_Rejected:
		s.takeRejected(frame.Rejected)
	case *pb.SourceServiceRunResponse_Probe:
		go s.answerProbe(frame.Probe)
	case *pb.SourceServiceRunResponse_Drain:
		s.draining = true
	case *pb.SourceServiceRunResponse_Opened:
		return lost("it broke the protocol: it sent `opened` twice")
	}
	// Anything else is of a later protocol version.
	return nil
}

func (s *sourceSession) takeRejected(rejected *pb.SourceRejected) {
	s.outbox.reject(rejected)
	s.log.Warn("a record can never be published",
		"number", rejected.GetNumber(), "code", rejected.GetCode(), "reason", rejected.GetMessage())
}

func (s *sourceSession) answerProbe(probe *pb.Probe) {
	select {
	case s.health <- s.host.health(probe):
	case <-s.wire.closed.Done():
	}
}

// turnIfWanted is the token to call the connector with, where there is something to call it for.
func (s *sourceSession) turnIfWanted() <-chan struct{} {
	if !s.prepared {
		return s.turn
	}
	if s.poller == nil || !s.isReady() || s.draining || s.life.stopping.Err() != nil || s.intake.hasEnded() {
		return nil
	}
	if !s.outbox.wantsMore() {
		return nil
	}
	if wait := s.intake.wait(time.Now()); wait > 0 {
		s.pollAt.Reset(wait)
		return nil
	}
	return s.turn
}

// begin calls the connector, with the token in hand.
func (s *sourceSession) begin() {
	if !s.mayCall() {
		return
	}
	if s.prepared {
		s.intake.begin()
		go s.call(s.poll)
		return
	}
	s.prepared = true
	opened, restored := s.opened, s.positions
	go s.call(func() error { return s.prepare(opened, restored) })
}
