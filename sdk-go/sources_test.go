package connector_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	connector "github.com/danube-messaging/danube-sidecar/sdk-go"
	pb "github.com/danube-messaging/danube-sidecar/sdk-go/gen"
)

// hooks are the optional methods of a source under test.
type hooks struct {
	*journal
	commitErr error
}

func (h *hooks) Restore(_ context.Context, positions []connector.Position) error {
	h.add("restore%s", offsets(positions))
	return nil
}

func (h *hooks) Commit(_ context.Context, positions []connector.Position) error {
	for _, position := range positions {
		h.add("commit %d", position.Offset)
	}
	return h.commitErr
}

func (h *hooks) Reject(_ context.Context, rejection *connector.Rejection) error {
	h.add("reject %s %s", rejection.Record.Payload, rejection.Code)
	return nil
}

func (h *hooks) Close(context.Context) error {
	h.add("close")
	return nil
}

func offsets(positions []connector.Position) string {
	var text strings.Builder
	for _, position := range positions {
		fmt.Fprintf(&text, " %s:%d", position.SourcePartition, position.Offset)
	}
	return text.String()
}

// polled gives what it is given, a poll at a time, and then nothing.
type polled struct {
	hooks
	polls chan func() ([]connector.SourceRecord, error)
}

func newPolled(polls ...func() ([]connector.SourceRecord, error)) *polled {
	p := &polled{hooks: hooks{journal: newJournal()}, polls: make(chan func() ([]connector.SourceRecord, error), 100)}
	for _, poll := range polls {
		p.polls <- poll
	}
	return p
}

func (p *polled) Poll(context.Context) ([]connector.SourceRecord, error) {
	select {
	case poll := <-p.polls:
		p.add("poll")
		return poll()
	default:
		return nil, nil
	}
}

// brings is a poll of records with these payloads, at offsets from first on.
func brings(first uint64, payloads ...string) func() ([]connector.SourceRecord, error) {
	return func() ([]connector.SourceRecord, error) {
		var records []connector.SourceRecord
		for i, payload := range payloads {
			records = append(records, numbered(first+uint64(i), payload))
		}
		return records, nil
	}
}

func fails(err error) func() ([]connector.SourceRecord, error) {
	return func() ([]connector.SourceRecord, error) { return nil, err }
}

func numbered(offset uint64, payload string) connector.SourceRecord {
	return connector.SourceRecord{
		Topic:    "/default/events",
		Payload:  []byte(payload),
		Position: &connector.Position{SourcePartition: "file", Offset: offset},
	}
}

// pushed runs what a test has it stream.
type pushed struct {
	hooks
	stream func(ctx context.Context, emitter *connector.Emitter) error
}

func (p *pushed) Stream(ctx context.Context, emitter *connector.Emitter) error {
	return p.stream(ctx, emitter)
}

// startPushed runs a source that gives its emitter to the test, and streams until the test says what it ends with.
func startPushed(t *testing.T, address string) (*running, *pushed, func() *connector.Emitter, chan error) {
	t.Helper()
	emitters, ends := make(chan *connector.Emitter, 1), make(chan error, 1)
	source := &pushed{hooks: hooks{journal: newJournal()}}
	source.stream = func(ctx context.Context, emitter *connector.Emitter) error {
		emitters <- emitter
		select {
		case err := <-ends:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	running := start(t, func(ctx context.Context) error {
		return connector.RunStreamer(ctx, source, sourceOptions(address))
	})
	return running, source, func() *connector.Emitter { t.Helper(); return receive(t, emitters) }, ends
}

func sourceOptions(address string) connector.SourceOptions {
	return connector.SourceOptions{
		Name:         "under-test",
		Producers:    []connector.Producer{{Topic: "/default/events", Partitions: 4}},
		PollInterval: 1,
		Runtime:      runtimeOptions(address),
	}
}

func startSource(t *testing.T, source connector.Poller, options connector.SourceOptions) *running {
	t.Helper()
	return start(t, func(ctx context.Context) error { return connector.RunSource(ctx, source, options) })
}

// demand allows this many records in total, and bytes without a limit that matters.
func demand(t *testing.T, session *sourceScript, records uint64) {
	t.Helper()
	demandBytes(t, session, records, 1<<40)
}

func demandBytes(t *testing.T, session *sourceScript, records, bytes uint64) {
	t.Helper()
	demand := &pb.SourceDemand{Records: records, Bytes: bytes}
	session.send(t, &pb.SourceServiceRunResponse{Frame: &pb.SourceServiceRunResponse_Demand{Demand: demand}})
}

func committed(t *testing.T, session *sourceScript, number uint64) {
	t.Helper()
	frame := &pb.SourceServiceRunResponse_Committed{Committed: &pb.SourceCommitted{Number: number}}
	session.send(t, &pb.SourceServiceRunResponse{Frame: frame})
}

func rejected(t *testing.T, session *sourceScript, number uint64) {
	t.Helper()
	frame := &pb.SourceRejected{Number: number, Code: "TOO_LARGE", Message: "1 MiB at most"}
	session.send(t, &pb.SourceServiceRunResponse{Frame: &pb.SourceServiceRunResponse_Rejected{Rejected: frame}})
}

// takes reads until these payloads have come, numbered from first on.
func takes(t *testing.T, session *sourceScript, first uint64, payloads ...string) {
	t.Helper()
	var found []string
	for len(found) < len(payloads) {
		frame := session.next(t)
		if frame.GetRecords() == nil {
			t.Fatalf("expected records, got %v", frame)
		}
		if number := frame.GetRecords().GetFirstNumber(); number != first+uint64(len(found)) {
			t.Fatalf("numbered from %d after %q", number, found)
		}
		for _, record := range frame.GetRecords().GetRecords() {
			found = append(found, string(record.GetPayload()))
		}
	}
	isList(t, found, payloads...)
}

// saysNothing checks that the connector has nothing to say but the answer to a probe.
func saysNothing(t *testing.T, session *sourceScript) {
	t.Helper()
	probe := &pb.SourceServiceRunResponse_Probe{Probe: &pb.Probe{ProbeId: 99}}
	session.send(t, &pb.SourceServiceRunResponse{Frame: probe})
	if frame := session.next(t); frame.GetHealth() == nil {
		t.Fatalf("expected nothing, got %v", frame)
	}
}

func saysDrained(t *testing.T, session *sourceScript) {
	t.Helper()
	if frame := session.next(t); frame.GetDrained() == nil {
		t.Fatalf("expected drained, got %v", frame)
	}
}
