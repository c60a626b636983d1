package connector_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	connector "github.com/danube-messaging/danube-sidecar/sdk-go"
	pb "github.com/danube-messaging/danube-sidecar/sdk-go/gen"
)

func TestBothKindsOfAddressLeadToTheSidecar(t *testing.T) {
	for name, sidecar := range map[string]*scripted{"tcp": onTCP(t), "unix": newSidecar(t)} {
		t.Run(name, func(t *testing.T) {
			options := sinkOptions(sidecar.address)
			options.Runtime.Token = "secret"
			startSink(t, newSink(), options)
			session := sidecar.openedSink(t)
			sendBatch(t, session, offer(1, "a"))

			isList(t, outcomes(t, session, 1), "1 WRITTEN")
			isList(t, session.metadata().Get(":authority"), "localhost")
			isList(t, session.metadata().Get("authorization"), "Bearer secret")
		})
	}
}

func TestTheEnvironmentSaysWhatTheOptionsDoNot(t *testing.T) {
	sidecar := newSidecar(t)
	t.Setenv("DANUBE_SIDECAR_ADDRESS", sidecar.address)
	t.Setenv("DANUBE_SIDECAR_TOKEN", "from the environment")
	t.Setenv("CONNECTOR_NAME", "named")
	options := sinkOptions("")
	options.Name = ""
	startSink(t, newSink(), options)
	session, open := sidecar.sink(t)

	isList(t, session.metadata().Get("authorization"), "Bearer from the environment")
	isList(t, []string{open.GetConnector()}, "named")
}

func TestOptionsThatMakeNoSenseEndTheRunAtOnce(t *testing.T) {
	nameless, elsewhere, garbled := sinkOptions("http://h:1"), sinkOptions("https://h:1"), sinkOptions("http://h:1")
	nameless.Name = ""
	garbled.Runtime.Token = "two\nlines"
	for text, options := range map[string]connector.SinkOptions{
		"CONNECTOR_NAME": nameless, "https://h:1": elsewhere, "DANUBE_SIDECAR_TOKEN": garbled,
	} {
		err := startSink(t, newSink(), options).end(t)
		if err == nil || !strings.Contains(err.Error(), text) || strings.Contains(err.Error(), "lines") {
			t.Errorf("expected %q in: %v", text, err)
		}
	}
}

func TestTheSinkIsOpenedOnceBeforeAnyRecord(t *testing.T) {
	sidecar, sink := newSidecar(t), newSink()
	startSink(t, sink, sinkOptions(sidecar.address))
	first, _ := sidecar.sink(t)
	sinkOpened(t, first, `{"table": "orders"}`)
	sendBatch(t, first, offer(1, "a"))
	isList(t, outcomes(t, first, 1), "1 WRITTEN")
	first.end <- nil
	second := sidecar.openedSink(t)
	sendBatch(t, second, offer(1, "b"))
	isList(t, outcomes(t, second, 1), "1 WRITTEN")

	sink.is(t, `open session 7 {"table": "orders"}`, "process a", "process b")
}

func TestAnErrorOfOpenEndsTheRun(t *testing.T) {
	sidecar, sink := newSidecar(t), newSink()
	sink.openErr = errors.New("no such table")
	running := startSink(t, sink, sinkOptions(sidecar.address))
	session := sidecar.openedSink(t)
	if fault := session.next(t).GetFault(); !strings.Contains(fault.GetMessage(), "no such table") {
		t.Fatalf("unexpected: %v", fault)
	}
	session.end <- nil

	if err := running.end(t); !errors.Is(err, sink.openErr) {
		t.Fatalf("unexpected: %v", err)
	}
	sink.is(t, "open session 7 {}", "close")
}

func TestFramesThatItDoesNotKnowAreIgnored(t *testing.T) {
	sidecar := newSidecar(t)
	startSink(t, newSink(), sinkOptions(sidecar.address))
	session := sidecar.openedSink(t)
	session.send(t, &pb.SinkServiceRunResponse{})
	sendBatch(t, session, offer(1, "a"))

	isList(t, outcomes(t, session, 1), "1 WRITTEN")
}

func TestASessionThatBreaksTheProtocolIsOpenedAgain(t *testing.T) {
	sidecar, sink := newSidecar(t), newSink()
	startSink(t, sink, sinkOptions(sidecar.address))
	unopened, _ := sidecar.sink(t)
	sendProbe(t, unopened, 1)
	misconfigured, _ := sidecar.sink(t)
	sinkOpened(t, misconfigured, "no JSON")
	twice := sidecar.openedSink(t)
	sinkOpened(t, twice, "")

	session := sidecar.openedSink(t)
	sendBatch(t, session, offer(1, "a"))
	isList(t, outcomes(t, session, 1), "1 WRITTEN")
}

func TestResultsOfALostSessionAreNotSentInTheNext(t *testing.T) {
	sidecar, sink := newSidecar(t), newSink()
	sink.gate = make(chan struct{})
	startSink(t, sink, sinkOptions(sidecar.address))
	first := sidecar.openedSink(t)
	sendBatch(t, first, offer(41, "old"), offer(42, "never"))
	sendBatch(t, first, offer(43, "never"))
	sink.until(t, "process old")
	first.end <- status.Error(codes.DeadlineExceeded, "no result in time")

	second := sidecar.openedSink(t)
	sendBatch(t, second, offer(1, "new"))
	// It has read the batch once it answers this, and waits for the call that is running.
	sendProbe(t, second, 9)
	if second.next(t).GetHealth().GetProbeId() != 9 {
		t.Fatal("the probe is not answered")
	}
	sink.gate <- struct{}{}
	sink.until(t, "process new")
	sink.gate <- struct{}{}
	isList(t, outcomes(t, second, 1), "1 WRITTEN")
	sink.is(t, "open session 7 {}", "process old", "process new")
}

func TestASidecarThatComesLaterOrAgainIsWaitedFor(t *testing.T) {
	path := socketPath(t)
	startSink(t, newSink(), sinkOptions("unix:"+path))
	for range 2 {
		sidecar := onUnix(t, path)
		session := sidecar.openedSink(t)
		sendBatch(t, session, offer(1, "a"))
		isList(t, outcomes(t, session, 1), "1 WRITTEN")
		sidecar.kill()
	}
}

func TestFourStatusesAreRefusals(t *testing.T) {
	for _, code := range []codes.Code{
		codes.InvalidArgument, codes.FailedPrecondition, codes.PermissionDenied, codes.Unauthenticated,
	} {
		t.Run(code.String(), func(t *testing.T) {
			sidecar, sink := newSidecar(t), newSink()
			running := startSink(t, sink, sinkOptions(sidecar.address))
			session, _ := sidecar.sink(t)
			answer, err := status.New(code, "topic /default/x").WithDetails(&errdetails.ErrorInfo{Reason: "TOPIC_NOT_ALLOWED"})
			if err != nil {
				t.Fatal(err)
			}
			session.end <- answer.Err()

			err = running.end(t)
			var refused *connector.RefusedError
			if !errors.As(err, &refused) || refused.Code != code || refused.Reason != "TOPIC_NOT_ALLOWED" {
				t.Fatalf("unexpected: %v", err)
			}
			for _, part := range []string{"TOPIC_NOT_ALLOWED", "topic /default/x"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("no %q in %q", part, err)
				}
			}
			sink.is(t, "close")
		})
	}
}

func TestADrainFinishesWhatIsInHandAndComesBack(t *testing.T) {
	sidecar, sink := newSidecar(t), newSink()
	sink.gate = make(chan struct{})
	startSink(t, sink, sinkOptions(sidecar.address))
	session := sidecar.openedSink(t)
	sendBatch(t, session, offer(1, "a"))
	sendBatch(t, session, offer(2, "b"))
	sendDrain(t, session)
	sink.gate <- struct{}{}
	sink.gate <- struct{}{}
	isList(t, outcomes(t, session, 2), "1 WRITTEN", "2 WRITTEN")
	if frame := session.next(t); frame.GetDrained() == nil {
		t.Fatalf("expected drained, got %v", frame)
	}
	sendProbe(t, session, 3)
	if frame := session.next(t); frame.GetHealth() == nil {
		t.Fatalf("expected health, got %v", frame)
	}
	session.end <- nil

	sidecar.openedSink(t)
}

func TestAStopAfterADrainDoesNotSayDrainedTwice(t *testing.T) {
	sidecar := newSidecar(t)
	running := startSink(t, newSink(), sinkOptions(sidecar.address))
	session := sidecar.openedSink(t)
	sendDrain(t, session)
	if frame := session.next(t); frame.GetDrained() == nil {
		t.Fatalf("expected drained, got %v", frame)
	}
	running.stop()
	session.hangsUp(t)
	session.end <- nil

	running.endsWell(t)
}

func TestAStopFinishesWhatIsInHandAndLeaves(t *testing.T) {
	sidecar, sink := newSidecar(t), newSink()
	sink.gate = make(chan struct{})
	running := startSink(t, sink, sinkOptions(sidecar.address))
	session := sidecar.openedSink(t)
	sendBatch(t, session, offer(1, "a"), offer(2, "b"))
	sink.until(t, "process a")
	running.stop()
	sink.gate <- struct{}{}
	sink.gate <- struct{}{}
	isList(t, outcomes(t, session, 2), "1 WRITTEN", "2 WRITTEN")
	if frame := session.next(t); frame.GetDrained() == nil {
		t.Fatalf("expected drained, got %v", frame)
	}
	session.hangsUp(t)
	session.end <- nil

	running.endsWell(t)
	sink.is(t, "open session 7 {}", "process a", "process b", "close")
}

func TestAfterAStopNothingNewIsTaken(t *testing.T) {
	sidecar, sink := newSidecar(t), newSink()
	sink.gate = make(chan struct{})
	running := startSink(t, sink, sinkOptions(sidecar.address))
	session := sidecar.openedSink(t)
	sendBatch(t, session, offer(1, "a"))
	sink.until(t, "process a")
	running.stop()
	sendBatch(t, session, offer(2, "late"))
	sendProbe(t, session, 1)
	if frame := session.next(t); frame.GetHealth() == nil {
		t.Fatalf("expected health, got %v", frame)
	}
	sink.gate <- struct{}{}
	isList(t, outcomes(t, session, 1), "1 WRITTEN")
	session.end <- nil

	running.endsWell(t)
	sink.is(t, "open session 7 {}", "process a", "close")
}

func TestACallThatDoesNotReturnIsLeftWhenTheStopTimeoutIsOver(t *testing.T) {
	sidecar, sink := newSidecar(t), newSink()
	sink.gate = make(chan struct{})
	options := sinkOptions(sidecar.address)
	options.Runtime.StopTimeout = 10 * time.Millisecond
	running := startSink(t, sink, options)
	session := sidecar.openedSink(t)
	sendBatch(t, session, offer(1, "a"))
	sink.until(t, "process a")
	running.stop()
	if frame := session.next(t); frame.GetDrained() == nil {
		t.Fatalf("expected drained, got %v", frame)
	}
	session.end <- nil

	running.endsWell(t)
}

func TestAStopWhileNoSidecarIsThereEndsTheRun(t *testing.T) {
	sink := newSink()
	running := startSink(t, sink, sinkOptions("unix:"+socketPath(t)))
	running.stop()

	running.endsWell(t)
	sink.is(t, "close")
}

func TestASignalStopsTheSink(t *testing.T) {
	sidecar, sink := newSidecar(t), newSink()
	options := sinkOptions(sidecar.address)
	options.Runtime.NoSignals = false
	running := startSink(t, sink, options)
	session := sidecar.openedSink(t)
	sink.until(t, "open session 7 {}")
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if frame := session.next(t); frame.GetDrained() == nil {
		t.Fatalf("expected drained, got %v", frame)
	}
	session.end <- nil

	running.endsWell(t)
}

func TestManyBatchesAreAnsweredOnceEach(t *testing.T) {
	const batches, size = 50, 100
	sidecar, sink := newSidecar(t), newSink()
	sink.answer = byWord
	startSink(t, sink, sinkOptions(sidecar.address))
	session := sidecar.openedSink(t)
	for batch := range uint64(batches) {
		var records []*pb.SinkRecord
		for i := range uint64(size) {
			word := []string{"written", "reject", "filter"}[i%3]
			records = append(records, offer(batch*size+i+1, fmt.Sprintf("k%d:%s", i, word)))
		}
		sendBatch(t, session, records...)
	}

	if found := outcomes(t, session, batches*size); len(found) != batches*size {
		t.Fatalf("%d answers", len(found))
	}
}
