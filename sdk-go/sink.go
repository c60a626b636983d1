package connector

import (
	"context"
	"fmt"

	pb "github.com/danube-messaging/danube-sidecar/sdk-go/gen"
)

// Sink writes records one at a time. It may also be an [Opener], a [HealthChecker] and a [Closer].
type Sink interface {
	// Process writes a record. Nil means that it is durable in the external system. Other
	// answers are made with [Retry], [Busy], [Reject], [Filtered] and [Fatal]; any other error is a
	// retry with the code "EXCEPTION". The context is cancelled when the stop timeout is over.
	//
	// After a retry, records of the same topic and key that are already in hand are held back
	// until the sidecar offers the failed one again. After a [Busy] it is not called until the time
	// that it asked for has passed.
	Process(ctx context.Context, record Record) error
}

// BatchSink writes records in batches. It may also be an [Opener], a [HealthChecker] and a [Closer].
type BatchSink interface {
	// ProcessBatch writes a batch, and answers for each record: nil for all of them, or one
	// error for each as from [Sink.Process], in the order of the records ([ForAll] for the same
	// one). It must not reorder the slice. Within one batch order is the connector's business:
	// where a record is to be retried, later ones of its key should be too.
	ProcessBatch(ctx context.Context, records []Record) []error
}

// RunSink runs a sink until its context ends or SIGTERM or SIGINT comes; it then finishes what is
// in hand, closes the sink, and returns nil. It waits for the sidecar for as long as it takes.
//
// The error is the connector's own, from [Fatal], Open or Close; a [*RefusedError], where the
// sidecar refuses the connector; or says what is wrong with the options.
func RunSink(ctx context.Context, sink Sink, options SinkOptions) error {
	return runSink(ctx, sink, singly{sink}, options)
}

// RunBatchSink runs a sink that writes in batches, as [RunSink] does.
func RunBatchSink(ctx context.Context, sink BatchSink, options SinkOptions) error {
	return runSink(ctx, sink, inBatches{sink}, options)
}

func runSink(ctx context.Context, connector any, writer sinkWriter, options SinkOptions) error {
	open, err := sinkOpen(options)
	if err != nil {
		return err
	}
	run, err := newRun(ctx, connector, options.Runtime)
	if err != nil {
		return err
	}
	pause := &pause{}
	session := func() error { return runSinkSession(run, writer, pause, open) }
	stopped := func() bool { return run.life.stopping.Err() != nil }
	return run.finish(run.keep(session, stopped))
}

// sinkWriter hands a batch to the connector, and settles each of its records with the session. The error ends the run.
type sinkWriter interface {
	write(ctx context.Context, session *sinkSession, batch []Record) error
}

// singly hands over one record at a time.
type singly struct {
	sink Sink
}

func (w singly) write(ctx context.Context, session *sinkSession, batch []Record) error {
	for i := range batch {
		record := &batch[i]
		if session.isOver() {
			return nil
		}
		if !session.admits(record) {
			continue
		}
		if err := session.settle(record, w.sink.Process(ctx, *record)); err != nil {
			return err
		}
	}
	return nil
}

// inBatches hands over a batch at once.
type inBatches struct {
	sink BatchSink
}

func (w inBatches) write(ctx context.Context, session *sinkSession, batch []Record) error {
	admitted := batch[:0]
	for i := range batch {
		if session.admits(&batch[i]) {
			admitted = append(admitted, batch[i])
		}
	}
	if len(admitted) == 0 {
		return nil
	}
	answers := w.sink.ProcessBatch(ctx, admitted)
	if len(answers) == 0 {
		answers = ForAll(len(admitted), nil)
	}
	if len(answers) != len(admitted) {
		err := fmt.Errorf("connector: ProcessBatch answered for %d records of %d", len(answers), len(admitted))
		return Fatal(err).WithCode("MISCOUNTED")
	}
	var end error
	for i := range admitted {
		if err := session.settle(&admitted[i], answers[i]); err != nil && end == nil {
			end = err
		}
	}
	return end
}

func openSinkWire(giveUp context.Context, r *run, open *pb.SinkOpen) (*sinkWire, *pb.SinkOpened, error) {
	wire, err := openWire(giveUp, r.sidecar, startSink, false)
	if err != nil {
		return nil, nil, err
	}
	wire.send(&pb.SinkServiceRunRequest{Frame: &pb.SinkServiceRunRequest_Open{Open: open}})
	first, err := wire.first(giveUp)
	if err == nil && first.GetOpened() == nil {
		err = lost("it broke the protocol: its first frame is not `opened`")
	}
	if err != nil {
		wire.close()
		return nil, nil, err
	}
	return wire, first.GetOpened(), nil
}
