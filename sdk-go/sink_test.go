package connector_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	connector "github.com/danube-messaging/danube-sidecar/sdk-go"
	pb "github.com/danube-messaging/danube-sidecar/sdk-go/gen"
)

// byWord answers as the payload says.
func byWord(record connector.Record) error {
	cause := errors.New("because of " + string(record.Payload))
	switch string(record.Payload) {
	case "retry":
		return connector.Retry(cause).WithCode("LOCKED").After(1500 * time.Millisecond)
	case "busy":
		return connector.Busy(cause).WithCode("LIMIT").After(600 * time.Millisecond)
	case "reject":
		return fmt.Errorf("wrapped: %w", connector.Reject(cause).WithCode("BAD"))
	case "filter":
		return connector.Filtered("not for us")
	case "plain":
		return cause
	case "fatal":
		return connector.Fatal(cause).WithCode("BROKEN")
	default:
		return nil
	}
}

func TestEveryRecordIsAnsweredOnceWithItsOutcome(t *testing.T) {
	for _, mode := range []string{"single", "batch"} {
		t.Run(mode, func(t *testing.T) {
			sidecar, sink := newSidecar(t), newSink()
			sink.answer = byWord
			if mode == "single" {
				startSink(t, sink, sinkOptions(sidecar.address))
			} else {
				startBatchSink(t, &batchSink{testSink: sink}, sinkOptions(sidecar.address))
			}
			session := sidecar.openedSink(t)
			sendBatch(t, session, offer(1, "a"), offer(2, "b"), offer(3, "retry"), offer(4, "reject"), offer(5, "filter"),
				offer(6, "plain"), offer(7, "c"), offer(9, "d"))
			sendBatch(t, session, offer(10, "e"))

			isList(t, outcomes(t, session, 9), "1 WRITTEN", "2 WRITTEN", "3 RETRY LOCKED", "4 REJECT BAD",
				"5 FILTERED FILTERED", "6 RETRY EXCEPTION", "7 WRITTEN", "9 WRITTEN", "10 WRITTEN")
		})
	}
}

func TestAFailureTellsWhenAndWhy(t *testing.T) {
	sidecar, sink := newSidecar(t), newSink()
	sink.answer = byWord
	startBatchSink(t, &batchSink{testSink: sink}, sinkOptions(sidecar.address))
	session := sidecar.openedSink(t)
	sendBatch(t, session, offer(1, "retry"), offer(2, "reject"))
	failures := nextResults(t, session).GetFailures()

	if after := failures[0].GetRetryAfter().AsDuration(); after != 1500*time.Millisecond {
		t.Errorf("retry_after is %v", after)
	}
	if message := failures[1].GetMessage(); message != "wrapped: because of reject" {
		t.Errorf("the message is %q", message)
	}
}

func TestAnErrorOfTheWholeBatchIsARetryOfEachRecord(t *testing.T) {
	sidecar, sink := newSidecar(t), newSink()
	startBatchSink(t, &batchSink{testSink: sink, whole: errors.New("no database")}, sinkOptions(sidecar.address))
	session := sidecar.openedSink(t)
	sendBatch(t, session, offer(1, "a"), offer(2, "b"))

	isList(t, outcomes(t, session, 2), "1 RETRY EXCEPTION", "2 RETRY EXCEPTION")
}

func TestRecordsBehindARetryAreHeldUntilItIsOfferedAgain(t *testing.T) {
	sidecar, sink := newSidecar(t), newSink()
	sink.answer = byWord
	startSink(t, sink, sinkOptions(sidecar.address))
	session := sidecar.openedSink(t)
	failing := offer(1, "k:retry")
	sendBatch(t, session, failing, offer(2, "k:behind"), offer(3, "other:free"), offer(4, "keyless"))
	sendBatch(t, session, offer(5, "k:behind too"))
	isList(t, outcomes(t, session, 4), "1 RETRY LOCKED", "2 RETRY HELD", "3 WRITTEN", "4 WRITTEN")
	isList(t, outcomes(t, session, 1), "5 RETRY HELD")

	mended := again(6, failing)
	mended.Payload = []byte("mended")
	sendBatch(t, session, mended, again(7, offer(2, "k:behind")), offer(8, "k:new"))
	isList(t, outcomes(t, session, 3), "6 WRITTEN", "7 WRITTEN", "8 WRITTEN")
	sink.is(t, "open session 7 {}", "process retry", "process free", "process keyless", "process mended",
		"process behind", "process new")
}

func TestBehindABusyRecordAllInHandIsHandedBackWithoutACallUntilThePauseIsOver(t *testing.T) {
	for _, mode := range []string{"single", "batch"} {
		t.Run(mode, func(t *testing.T) {
			sidecar, sink := newSidecar(t), newSink()
			sink.answer = byWord
			if mode == "single" {
				startSink(t, sink, sinkOptions(sidecar.address))
			} else {
				startBatchSink(t, &batchSink{testSink: sink}, sinkOptions(sidecar.address))
			}
			session := sidecar.openedSink(t)
			busy := offer(1, "k:busy")
			sendBatch(t, session, busy)
			sendBatch(t, session, offer(2, "b"), offer(3, "k:c"))
			failures := nextResults(t, session).GetFailures()
			for len(failures) < 3 {
				failures = append(failures, nextResults(t, session).GetFailures()...)
			}
			if after := failures[0].GetRetryAfter().AsDuration(); after != 600*time.Millisecond {
				t.Errorf("retry_after is %v", after)
			}
			for _, failure := range failures {
				after := failure.GetRetryAfter().AsDuration()
				if failure.GetOutcome() != pb.Outcome_OUTCOME_BUSY || failure.GetCode() != "LIMIT" || after <= 0 || after > 600*time.Millisecond {
					t.Errorf("unexpected: %v", failure)
				}
			}
			sink.is(t, "open session 7 {}", "process busy")

			time.Sleep(600 * time.Millisecond)
			// What was sent before the sidecar heard of it must not overtake what comes again.
			sendBatch(t, session, offer(4, "k:d"), offer(5, "e"))
			isList(t, outcomes(t, session, 2), "4 RETRY HELD", "5 WRITTEN")
			mended := again(6, busy)
			mended.Payload = []byte("mended")
			sendBatch(t, session, mended, again(7, offer(2, "b")), again(8, offer(3, "k:c")))
			isList(t, outcomes(t, session, 3), "6 WRITTEN", "7 WRITTEN", "8 WRITTEN")
		})
	}
}

func TestAPauseOutlivesTheSession(t *testing.T) {
	sidecar, sink := newSidecar(t), newSink()
	sink.answer = func(connector.Record) error { return connector.Busy(errors.New("in maintenance")).After(time.Hour) }
	startSink(t, sink, sinkOptions(sidecar.address))
	session := sidecar.openedSink(t)
	sendBatch(t, session, offer(1, "a"))
	isList(t, outcomes(t, session, 1), "1 BUSY BUSY")
	session.end <- nil

	session = sidecar.openedSink(t)
	sendBatch(t, session, offer(1, "b"))
	isList(t, outcomes(t, session, 1), "1 BUSY BUSY")
	sink.is(t, "open session 7 {}", "process a")
}

func TestABatchMayNotOvertakeARetryOfAnEarlierBatch(t *testing.T) {
	sidecar, sink := newSidecar(t), newSink()
	sink.answer = byWord
	startBatchSink(t, &batchSink{testSink: sink}, sinkOptions(sidecar.address))
	session := sidecar.openedSink(t)
	sendBatch(t, session, offer(1, "k:retry"), offer(2, "k:same batch"))
	sendBatch(t, session, offer(3, "k:next batch"), offer(4, "other:free"))

	isList(t, outcomes(t, session, 2), "1 RETRY LOCKED", "2 WRITTEN")
	isList(t, outcomes(t, session, 2), "3 RETRY HELD", "4 WRITTEN")
}

func TestARecordThatTakesItsTimeDoesNotHoldTheAnswersOfOthers(t *testing.T) {
	sidecar, sink := newSidecar(t), newSink()
	sink.gate = make(chan struct{}, 1)
	sink.gate <- struct{}{}
	startSink(t, sink, sinkOptions(sidecar.address))
	session := sidecar.openedSink(t)
	sendBatch(t, session, offer(1, "a"), offer(2, "b"))

	isList(t, outcomes(t, session, 1), "1 WRITTEN")
	sink.gate <- struct{}{}
	isList(t, outcomes(t, session, 1), "2 WRITTEN")
}

func TestProbesAreAnsweredWhileTheSinkWrites(t *testing.T) {
	sidecar, sink := newSidecar(t), newSink()
	sink.gate, sink.health = make(chan struct{}), errors.New("no database")
	startBatchSink(t, &batchSink{testSink: sink}, sinkOptions(sidecar.address))
	session := sidecar.openedSink(t)
	sendBatch(t, session, offer(1, "a"))
	sink.until(t, "process a")
	sendProbe(t, session, 4)
	health := session.next(t).GetHealth()

	if health.GetProbeId() != 4 || health.GetStatus() != pb.Health_STATUS_UNHEALTHY || health.GetMessage() != "no database" || !health.GetChecked() {
		t.Fatalf("unexpected: %v", health)
	}
	sink.gate <- struct{}{}
	isList(t, outcomes(t, session, 1), "1 WRITTEN")
}

func TestASinkWithoutAHealthCheckIsHealthy(t *testing.T) {
	sidecar := newSidecar(t)
	startSink(t, struct{ connector.Sink }{newSink()}, sinkOptions(sidecar.address))
	session := sidecar.openedSink(t)
	sendProbe(t, session, 5)

	if health := session.next(t).GetHealth(); health.GetProbeId() != 5 || health.GetStatus() != pb.Health_STATUS_HEALTHY || health.GetChecked() {
		t.Fatalf("unexpected: %v", health)
	}
}

func TestAFatalErrorIsToldAndEndsTheRun(t *testing.T) {
	sidecar, sink := newSidecar(t), newSink()
	sink.answer = byWord
	running := startSink(t, sink, sinkOptions(sidecar.address))
	session := sidecar.openedSink(t)
	sendBatch(t, session, offer(1, "a"), offer(2, "fatal"), offer(3, "b"))

	isList(t, outcomes(t, session, 1), "1 WRITTEN")
	if fault := session.next(t).GetFault(); fault.GetCode() != "BROKEN" || fault.GetMessage() != "because of fatal" {
		t.Fatalf("unexpected: %v", fault)
	}
	session.hangsUp(t)
	session.end <- nil
	var found *connector.Error
	if err := running.end(t); !errors.As(err, &found) || found.Code != "BROKEN" {
		t.Fatalf("unexpected: %v", err)
	}
	sink.is(t, "open session 7 {}", "process a", "process fatal", "close")
}

func TestAWrongNumberOfAnswersIsFatal(t *testing.T) {
	sidecar := newSidecar(t)
	running := startBatchSink(t, miscounting{}, sinkOptions(sidecar.address))
	session := sidecar.openedSink(t)
	sendBatch(t, session, offer(1, "a"), offer(2, "b"))

	if fault := session.next(t).GetFault(); fault.GetCode() != "MISCOUNTED" {
		t.Fatalf("unexpected: %v", fault)
	}
	session.end <- nil
	if err := running.end(t); err == nil {
		t.Fatal("the run did not fail")
	}
}

func TestARecordOffersWhatTheSidecarSays(t *testing.T) {
	sidecar, sink := newSidecar(t), newSink()
	records := make(chan connector.Record, 10)
	sink.answer = func(record connector.Record) error { records <- record; return nil }
	startSink(t, sink, sinkOptions(sidecar.address))
	session := sidecar.openedSink(t)
	ref := &pb.SchemaRef{SchemaId: 3, Version: 2}
	schema := &pb.Schema{Ref: ref, Subject: "orders", Type: "json_schema", Definition: []byte("{}")}
	session.send(t, &pb.SinkServiceRunResponse{Frame: &pb.SinkServiceRunResponse_Schema{Schema: schema}})
	known, unknown := offer(1, `k:{"total": 3}`), offer(2, "\xff")
	known.Key = connector.Key("k")
	known.Payload = []byte(`{"total": 3}`)
	known.Attributes = map[string]string{"a": "1"}
	known.Schema = ref
	unknown.Schema = &pb.SchemaRef{SchemaId: 4, Version: 1}
	sendBatch(t, session, known, unknown, offer(3, "plain"))

	record := receive(t, records)
	var order struct{ Total int }
	if err := record.JSON(&order); err != nil || order.Total != 3 {
		t.Errorf("JSON: %v %v", err, order)
	}
	if *record.Key != "k" || record.Attributes["a"] != "1" || record.Epoch != 7 || record.Offset != 1 ||
		record.PartitionTopic != "/default/orders-part-1" || record.Producer != "producer" ||
		record.Subscription != "subscription" || record.PublishTime.UnixMilli() != 1_700_000_000_123 || record.Attempt != 1 {
		t.Errorf("unexpected: %+v", record)
	}
	if s := record.Schema; s == nil || s.Subject != "orders" || s.Type != "json_schema" || s.ID != 3 || s.Version != 2 {
		t.Errorf("unexpected: %+v", s)
	}
	record = receive(t, records)
	var bad *connector.Error
	if _, err := record.Text(); !errors.As(err, &bad) || bad.Outcome != connector.OutcomeReject {
		t.Errorf("Text: %v", err)
	}
	if s := record.Schema; s == nil || s.ID != 4 || s.Subject != "" {
		t.Errorf("unexpected: %+v", s)
	}
	if record = receive(t, records); record.Schema != nil || record.Key != nil {
		t.Errorf("unexpected: %+v", record)
	}
}

func TestOpenSaysWhatTheOptionsSayAndNoMore(t *testing.T) {
	sidecar := newSidecar(t)
	startSink(t, newSink(), sinkOptions(sidecar.address))
	_, open := sidecar.sink(t)
	if open.GetConnector() != "under-test" || open.GetMinProtocolVersion() != 1 || open.GetMaxProtocolVersion() != 1 ||
		len(open.GetCapabilities()) != 3 || open.GetSdk() != "danube-connector-go/"+connector.Version {
		t.Errorf("unexpected: %v", open)
	}
	if open.Ordering != nil || open.Linger != nil || open.Retry != nil || open.WindowRecords != 0 || open.Subscriptions[0].Type != nil {
		t.Errorf("what was left open is set: %v", open)
	}

	options := sinkOptions(sidecar.address)
	options.Ordering, options.Linger, options.WindowRecords = connector.OrderingPartition, 20*time.Millisecond, 50
	options.Subscriptions[0].Type = connector.Shared
	options.Retry = &connector.RetrySettings{MaxRetries: new(uint32), MaxBackoff: time.Second}
	startSink(t, newSink(), options)
	_, open = sidecar.sink(t)
	if open.GetOrdering() != pb.Ordering_ORDERING_PARTITION || open.GetLinger().AsDuration() != 20*time.Millisecond ||
		open.GetWindowRecords() != 50 || open.Subscriptions[0].GetType() != pb.SubscriptionType_SUBSCRIPTION_TYPE_SHARED ||
		open.Retry.MaxRetries == nil || open.Retry.InitialBackoff != nil || open.Retry.GetMaxBackoff().AsDuration() != time.Second {
		t.Errorf("unexpected: %v", open)
	}
}
