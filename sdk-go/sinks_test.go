package connector_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	connector "github.com/danube-messaging/danube-sidecar/sdk-go"
	pb "github.com/danube-messaging/danube-sidecar/sdk-go/gen"
)

// journal is what a connector under test was called for.
type journal struct {
	mutex   sync.Mutex
	entries []string
	changed chan struct{}
}

func newJournal() *journal {
	return &journal{changed: make(chan struct{})}
}

func (j *journal) add(format string, arguments ...any) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	j.entries = append(j.entries, fmt.Sprintf(format, arguments...))
	close(j.changed)
	j.changed = make(chan struct{})
}

func (j *journal) all() []string {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	return slices.Clone(j.entries)
}

// until waits for an entry.
func (j *journal) until(t *testing.T, entry string) {
	t.Helper()
	late := time.After(patience)
	for {
		j.mutex.Lock()
		found, changed := slices.Contains(j.entries, entry), j.changed
		j.mutex.Unlock()
		if found {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("no %q in %q", entry, j.all())
		}
	}
}

func (j *journal) is(t *testing.T, expected ...string) {
	t.Helper()
	if entries := j.all(); !slices.Equal(entries, expected) {
		t.Fatalf("expected %q, got %q", expected, entries)
	}
}

// testSink answers each payload with what `answer` says, and waits for the gate where there is one.
type testSink struct {
	*journal
	answer  func(record connector.Record) error
	gate    chan struct{}
	openErr error
	health  error
	mutex   sync.Mutex
}

func newSink() *testSink {
	return &testSink{journal: newJournal(), answer: func(connector.Record) error { return nil }}
}

func (s *testSink) Open(_ context.Context, session connector.Session) error {
	s.add("open %s %d %s", session.ID, session.Epoch, session.Settings)
	return s.openErr
}

func (s *testSink) Process(ctx context.Context, record connector.Record) error {
	if !s.mutex.TryLock() {
		s.add("called twice at the same time")
	}
	defer s.mutex.Unlock()
	s.add("process %s", record.Payload)
	if s.gate != nil {
		select {
		case <-s.gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return s.answer(record)
}

func (s *testSink) HealthCheck(context.Context) error {
	return s.health
}

func (s *testSink) Close(context.Context) error {
	s.add("close")
	return nil
}

// batchSink does the same for whole batches.
type batchSink struct {
	*testSink
	whole error
}

func (s *batchSink) ProcessBatch(ctx context.Context, records []connector.Record) []error {
	answers := make([]error, len(records))
	for i, record := range records {
		answers[i] = s.Process(ctx, record)
	}
	if s.whole != nil {
		return connector.ForAll(len(records), s.whole)
	}
	return answers
}

func sinkOptions(address string) connector.SinkOptions {
	return connector.SinkOptions{
		Name:          "under-test",
		Subscriptions: []connector.Subscription{{Topic: "/default/orders"}},
		Runtime:       runtimeOptions(address),
	}
}

func runtimeOptions(address string) connector.RuntimeOptions {
	return connector.RuntimeOptions{Address: address, NoSignals: true, Logger: slog.New(slog.DiscardHandler)}
}

func startSink(t *testing.T, sink connector.Sink, options connector.SinkOptions) *running {
	t.Helper()
	return start(t, func(ctx context.Context) error { return connector.RunSink(ctx, sink, options) })
}

func startBatchSink(t *testing.T, sink connector.BatchSink, options connector.SinkOptions) *running {
	t.Helper()
	return start(t, func(ctx context.Context) error { return connector.RunBatchSink(ctx, sink, options) })
}

// offer is a record for a batch: "key:payload", or a payload alone.
func offer(deliveryID uint64, text string) *pb.SinkRecord {
	record := &pb.SinkRecord{
		DeliveryId: deliveryID, Attempt: 1, Topic: "/default/orders", PartitionTopic: "/default/orders-part-1",
		Offset: deliveryID, Payload: []byte(text), PublishTimeMs: 1_700_000_000_123, ProducerName: "producer",
		Subscription: "subscription", DedupId: fmt.Sprintf("%032x", deliveryID),
	}
	if key, payload, found := strings.Cut(text, ":"); found {
		record.Key, record.Payload = &key, []byte(payload)
	}
	return record
}

// again is another offer of a record.
func again(deliveryID uint64, earlier *pb.SinkRecord) *pb.SinkRecord {
	record := offer(deliveryID, string(earlier.GetPayload()))
	record.Key, record.DedupId, record.Attempt = earlier.Key, earlier.GetDedupId(), earlier.GetAttempt()+1
	return record
}

func sendBatch(t *testing.T, session *sinkScript, records ...*pb.SinkRecord) {
	t.Helper()
	batch := &pb.SinkBatch{Records: records, Epoch: 7}
	session.send(t, &pb.SinkServiceRunResponse{Frame: &pb.SinkServiceRunResponse_Batch{Batch: batch}})
}

func sendProbe(t *testing.T, session *sinkScript, id uint64) {
	t.Helper()
	session.send(t, &pb.SinkServiceRunResponse{Frame: &pb.SinkServiceRunResponse_Probe{Probe: &pb.Probe{ProbeId: id}}})
}

func sendDrain(t *testing.T, session *sinkScript) {
	t.Helper()
	drain := &pb.Drain{Timeout: durationpb.New(time.Minute)}
	session.send(t, &pb.SinkServiceRunResponse{Frame: &pb.SinkServiceRunResponse_Drain{Drain: drain}})
}

func nextResults(t *testing.T, session *sinkScript) *pb.SinkResults {
	t.Helper()
	frame := session.next(t)
	if frame.GetResults() == nil {
		t.Fatalf("expected results, got %v", frame)
	}
	return frame.GetResults()
}

// outcomes reads results until so many records are answered, none of them twice: "4 RETRY CODE", in the order of their ids.
func outcomes(t *testing.T, session *sinkScript, records int) []string {
	t.Helper()
	answers := map[uint64]string{}
	answer := func(id uint64, outcome string) {
		if _, twice := answers[id]; twice {
			t.Fatalf("%d is answered twice", id)
		}
		answers[id] = fmt.Sprintf("%d %s", id, outcome)
	}
	for len(answers) < records {
		results := nextResults(t, session)
		for _, acked := range results.GetAcked() {
			for id := acked.GetFirst(); id <= acked.GetLast(); id++ {
				answer(id, "WRITTEN")
			}
		}
		for _, failure := range results.GetFailures() {
			outcome := strings.TrimPrefix(failure.GetOutcome().String(), "OUTCOME_")
			answer(failure.GetDeliveryId(), outcome+" "+failure.GetCode())
		}
	}
	var found []string
	for _, id := range slices.Sorted(maps.Keys(answers)) {
		found = append(found, answers[id])
	}
	return found
}

func isList(t *testing.T, found []string, expected ...string) {
	t.Helper()
	if !slices.Equal(found, expected) {
		t.Fatalf("expected %q, got %q", expected, found)
	}
}

// miscounting answers for one record too few.
type miscounting struct{}

func (miscounting) ProcessBatch(_ context.Context, records []connector.Record) []error {
	return make([]error, len(records)-1)
}
