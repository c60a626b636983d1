package connector

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	pb "github.com/danube-messaging/danube-sidecar/sdk-go/gen"
)

// answerWithin is how long answers wait for company at most.
const answerWithin = 50 * time.Millisecond

type sinkWire = wire[pb.SinkServiceRunRequest, pb.SinkServiceRunResponse]

func startSink(ctx context.Context, conn grpc.ClientConnInterface) (
	grpc.BidiStreamingClient[pb.SinkServiceRunRequest, pb.SinkServiceRunResponse], error,
) {
	return pb.NewSinkServiceClient(conn).Run(ctx)
}

// sinkSession is one session of a sink: batches come, results go. One goroutine serves it; another one, at most,
// calls the connector for it.
type sinkSession struct {
	*run
	wire   *sinkWire
	writer sinkWriter
	opened Session

	// What waits for the connector, bounded by the window.
	queue   [][]Record
	schemas map[schemaKey]*Schema
	// Whether the connector is called for this session, and where the end of that is told.
	calling  bool
	returned chan struct{}
	health   chan *pb.Health
	flushAt  *time.Timer
	draining bool
	drained  bool

	// What the call shares with the session.
	answers  answers
	lanes    heldLanes
	pause    *pause
	received atomic.Uint64
	failures failureLog
}

type schemaKey struct {
	id      uint64
	version uint32
}

// runSinkSession opens a session and serves it. Nil means that the sink was stopped and has nothing in hand.
func runSinkSession(r *run, writer sinkWriter, pause *pause, open *pb.SinkOpen) error {
	wire, opened, err := openSinkWire(r.life.stopping, r, open)
	if err != nil {
		return err
	}
	defer wire.close()
	settings, err := parseSettings(opened.GetSettingsJson())
	if err != nil {
		return err
	}
	r.pace.isOpen(time.Now(), opened.GetSessionId())
	s := &sinkSession{
		run:    r,
		wire:   wire,
		writer: writer,
		opened: Session{
			ID:       opened.GetSessionId(),
			Epoch:    opened.GetEpoch(),
			WorkerID: opened.GetWorkerId(),
			Settings: settings,
		},
		schemas:  make(map[schemaKey]*Schema),
		returned: make(chan struct{}, 1),
		health:   make(chan *pb.Health),
		flushAt:  time.NewTimer(answerWithin),
		answers:  newAnswers(),
		lanes:    newHeldLanes(),
		pause:    pause,
		failures: failureLog{log: r.log},
	}
	// It runs only while answers wait.
	s.flushAt.Stop()
	defer s.flushAt.Stop()
	return s.serve()
}

// serve serves until the session ends, one way or the other.
func (s *sinkSession) serve() error {
	for {
		if over, err := s.isSettled(); over {
			return err
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
		case <-s.returned:
			s.calling = false
			s.flush()
		case <-s.answers.begun:
			s.flushAt.Reset(answerWithin)
		case <-s.flushAt.C:
			s.flush()
		case health := <-s.health:
			s.send(&pb.SinkServiceRunRequest{Frame: &pb.SinkServiceRunRequest_Health{Health: health}})
		case <-s.stopsWhenIdle():
		case <-s.life.calls.Done():
			s.log.Warn("the time to finish is over; what is not answered is offered again")
			s.flush()
			s.leaveStopped()
			return nil
		case <-s.fault.Done():
			s.flush()
			fault := wireFault(s.failed())
			s.wire.leave(s.log, &pb.SinkServiceRunRequest{Frame: &pb.SinkServiceRunRequest_Fault{Fault: fault}})
			return s.failed()
		}
	}
}

// isSettled says `drained` when that is due, and tells whether the session is over with it.
func (s *sinkSession) isSettled() (bool, error) {
	idle := !s.calling && len(s.queue) == 0
	switch {
	case idle && s.life.stopping.Err() != nil && s.failed() == nil:
		s.flush()
		s.leaveStopped()
		return true, nil
	case idle && s.draining && !s.drained:
		s.flush()
		s.send(sinkDrained())
		s.drained = true
	}
	return false, nil
}

// stopsWhenIdle wakes the session at the stop, once: it looks after that each time it is idle.
func (s *sinkSession) stopsWhenIdle() <-chan struct{} {
	if s.life.stopping.Err() != nil {
		return nil
	}
	return s.life.stopping.Done()
}

func (s *sinkSession) leaveStopped() {
	last := sinkDrained()
	if s.drained {
		last = nil
	}
	s.wire.leave(s.log, last)
}

func sinkDrained() *pb.SinkServiceRunRequest {
	return &pb.SinkServiceRunRequest{Frame: &pb.SinkServiceRunRequest_Drained{Drained: &pb.Drained{}}}
}

func (s *sinkSession) take(frame *pb.SinkServiceRunResponse) error {
	switch frame := frame.GetFrame().(type) {
	case *pb.SinkServiceRunResponse_Batch:
		s.takeBatch(frame.Batch)
	case *pb.SinkServiceRunResponse_Schema:
		s.takeSchema(frame.Schema)
	case *pb.SinkServiceRunResponse_Probe:
		go s.answerProbe(frame.Probe)
	case *pb.SinkServiceRunResponse_Drain:
		s.draining = true
	case *pb.SinkServiceRunResponse_Opened:
		return lost("it broke the protocol: it sent `opened` twice")
	}
	// Anything else is of a later protocol version.
	return nil
}

// takeBatch takes records in hand, but nothing new after a stop.
func (s *sinkSession) takeBatch(batch *pb.SinkBatch) {
	if s.life.stopping.Err() != nil || len(batch.GetRecords()) == 0 {
		return
	}
	records := make([]Record, 0, len(batch.GetRecords()))
	for _, record := range batch.GetRecords() {
		records = append(records, sinkRecord(record, batch.GetEpoch(), s.schemaOf(record.GetSchema())))
	}
	s.received.Store(records[len(records)-1].deliveryID)
	s.queue = append(s.queue, records)
}

func (s *sinkSession) takeSchema(schema *pb.Schema) {
	key := schemaKey{schema.GetRef().GetSchemaId(), schema.GetRef().GetVersion()}
	s.schemas[key] = &Schema{
		ID:         key.id,
		Version:    key.version,
		Subject:    schema.GetSubject(),
		Type:       schema.GetType(),
		Definition: schema.GetDefinition(),
	}
}

func (s *sinkSession) schemaOf(ref *pb.SchemaRef) *Schema {
	if ref == nil {
		return nil
	}
	key := schemaKey{ref.GetSchemaId(), ref.GetVersion()}
	if schema, ok := s.schemas[key]; ok {
		return schema
	}
	return &Schema{ID: key.id, Version: key.version}
}

func (s *sinkSession) answerProbe(probe *pb.Probe) {
	select {
	case s.health <- s.host.health(probe):
	case <-s.wire.closed.Done():
	}
}

// turnIfWanted is the token to call the connector with, where there is something to call it for.
func (s *sinkSession) turnIfWanted() <-chan struct{} {
	if s.calling || s.failed() != nil || (s.prepared && len(s.queue) == 0) {
		return nil
	}
	return s.turn
}

// begin calls the connector, with the token in hand.
func (s *sinkSession) begin() {
	if !s.mayCall() {
		return
	}
	what := s.prepare
	if s.prepared {
		batch := s.queue[0]
		s.queue = s.queue[1:]
		what = func() error { return s.write(batch) }
	}
	s.prepared, s.calling = true, true
	go func() {
		s.call(what)
		s.returned <- struct{}{}
	}()
}

func (s *sinkSession) prepare() error {
	if err := s.open(s.opened); err != nil {
		return err
	}
	close(s.ready)
	return nil
}

func (s *sinkSession) write(batch []Record) error {
	defer s.failures.tell()
	return s.writer.write(s.life.calls, s, batch)
}

// isOver tells the call that the rest of its batch is not wanted any more.
func (s *sinkSession) isOver() bool {
	return s.wire.closed.Err() != nil || s.life.calls.Err() != nil
}

// admits tells whether the connector may have a record. One that it may not have is answered.
func (s *sinkSession) admits(record *Record) bool {
	if busy := s.pause.left(time.Now()); busy != nil {
		s.lanes.hold(record, s.received.Load())
		s.answers.add(record.deliveryID, busy)
		return false
	}
	if s.lanes.admits(record) {
		return true
	}
	held := &Error{Outcome: OutcomeRetry, Code: "HELD", Err: errHeld}
	s.answers.add(record.deliveryID, held)
	return false
}

// settle notes what became of a record. The error is one that ends the run.
func (s *sinkSession) settle(record *Record, err error) error {
	if err == nil {
		s.answers.add(record.deliveryID, nil)
		return nil
	}
	if s.life.calls.Err() != nil && errors.Is(err, context.Canceled) {
		// We broke it off: that is no failure of the record, which is offered again.
		return nil
	}
	failed := outcomeOf(err)
	switch failed.Outcome {
	case OutcomeFatal:
		return err
	case OutcomeBusy:
		s.pause.begin(time.Now(), failed)
	}
	if failed.Outcome != OutcomeReject && failed.Outcome != OutcomeFiltered {
		s.lanes.hold(record, s.received.Load())
	}
	s.failures.note(failed)
	s.answers.add(record.deliveryID, failed)
	return nil
}

// flush sends the answers that were not sent yet.
func (s *sinkSession) flush() {
	for _, results := range s.answers.take() {
		s.send(&pb.SinkServiceRunRequest{Frame: &pb.SinkServiceRunRequest_Results{Results: results}})
	}
}

func (s *sinkSession) send(frame *pb.SinkServiceRunRequest) {
	s.wire.send(frame)
}
