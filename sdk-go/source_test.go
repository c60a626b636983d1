package connector_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	connector "github.com/danube-messaging/danube-sidecar/sdk-go"
	pb "github.com/danube-messaging/danube-sidecar/sdk-go/gen"
)

func TestNothingIsPolledWithoutDemandOrSentBeyondIt(t *testing.T) {
	sidecar, source := newSidecar(t), newPolled(brings(1, "a", "b", "c"), brings(4, "d"))
	startSource(t, source, sourceOptions(sidecar.address))
	session := sidecar.openedSource(t)
	source.until(t, "restore")
	saysNothing(t, session)
	source.is(t, "restore")

	demand(t, session, 2)
	takes(t, session, 1, "a", "b")
	saysNothing(t, session)
	source.is(t, "restore", "poll")
	demand(t, session, 4)
	takes(t, session, 3, "c", "d")
}

func TestTheRecordThatReachesTheDemandInBytesIsTheLast(t *testing.T) {
	sidecar := newSidecar(t)
	startSource(t, newPolled(brings(1, "aaaa", "bbbb")), sourceOptions(sidecar.address))
	session := sidecar.openedSource(t)
	demandBytes(t, session, 10, 1)
	takes(t, session, 1, "aaaa")
	saysNothing(t, session)
	demandBytes(t, session, 10, 1000)
	takes(t, session, 2, "bbbb")
}

func TestARecordCarriesWhatTheSourceGaveIt(t *testing.T) {
	sidecar := newSidecar(t)
	poll := func() ([]connector.SourceRecord, error) {
		record := numbered(3, "x")
		record.Key, record.Attributes = connector.Key("k"), map[string]string{"a": "1"}
		record.Position.Metadata = "m"
		return []connector.SourceRecord{record}, nil
	}
	startSource(t, newPolled(poll), sourceOptions(sidecar.address))
	session, open := sidecar.source(t)
	if producer := open.GetProducers()[0]; producer.GetTopic() != "/default/events" || producer.GetPartitions() != 4 || producer.Reliable != nil {
		t.Errorf("unexpected: %v", producer)
	}
	opened := &pb.SourceServiceRunResponse_Opened{Opened: &pb.SourceOpened{}}
	session.send(t, &pb.SourceServiceRunResponse{Frame: opened})
	demand(t, session, 1)
	record := session.next(t).GetRecords().GetRecords()[0]

	position := record.GetPosition()
	if record.GetTopic() != "/default/events" || record.GetKey() != "k" || record.GetAttributes()["a"] != "1" ||
		position.GetSourcePartition() != "file" || position.GetOffset() != 3 || position.GetMetadata() != "m" {
		t.Errorf("unexpected: %v", record)
	}
}

func TestWhatIsCommittedIsToldInOrder(t *testing.T) {
	sidecar, source := newSidecar(t), newPolled(brings(1, "a", "b", "c"))
	startSource(t, source, sourceOptions(sidecar.address))
	session := sidecar.openedSource(t)
	demand(t, session, 5)
	takes(t, session, 1, "a", "b", "c")
	committed(t, session, 1)
	committed(t, session, 3)
	source.until(t, "commit 3")

	source.is(t, "restore", "poll", "commit 1", "commit 2", "commit 3")
}

func TestTheCommitHookIsNotCalledDuringAPoll(t *testing.T) {
	sidecar, started, gate := newSidecar(t), make(chan struct{}), make(chan struct{})
	source := newPolled(brings(1, "a"))
	source.polls <- func() ([]connector.SourceRecord, error) {
		close(started)
		<-gate
		source.add("poll returns")
		return nil, nil
	}
	startSource(t, source, sourceOptions(sidecar.address))
	session := sidecar.openedSource(t)
	demand(t, session, 5)
	takes(t, session, 1, "a")
	receive(t, started)
	committed(t, session, 1)
	saysNothing(t, session)
	close(gate)
	source.until(t, "commit 1")

	source.is(t, "restore", "poll", "poll", "poll returns", "commit 1")
}

func TestWhatWasNotCommittedIsSentAgainNumberedFromOne(t *testing.T) {
	sidecar, source := newSidecar(t), newPolled(brings(1, "a", "b", "c"))
	startSource(t, source, sourceOptions(sidecar.address))
	first := sidecar.openedSource(t)
	demand(t, first, 3)
	takes(t, first, 1, "a", "b", "c")
	committed(t, first, 1)
	source.until(t, "commit 1")
	first.end <- status.Error(codes.Unavailable, "restarting")

	second := sidecar.openedSource(t)
	saysNothing(t, second)
	demand(t, second, 10)
	takes(t, second, 1, "b", "c")
	committed(t, second, 2)
	source.until(t, "commit 3")
	source.is(t, "restore", "poll", "commit 1", "commit 2", "commit 3")
}

func TestWhatThePositionsShowToBeCommittedIsNotSentAgain(t *testing.T) {
	sidecar, source := newSidecar(t), newPolled(brings(1, "a", "b", "c"))
	startSource(t, source, sourceOptions(sidecar.address))
	first := sidecar.openedSource(t)
	demand(t, first, 3)
	takes(t, first, 1, "a", "b", "c")
	first.end <- status.Error(codes.Unavailable, "restarting")

	elsewhere := &pb.Position{SourcePartition: "other", Offset: 3}
	second := sidecar.openedSource(t, elsewhere, &pb.Position{SourcePartition: "file", Offset: 2})
	demand(t, second, 3)
	takes(t, second, 1, "c")
	committed(t, second, 1)
	source.until(t, "commit 3")
	source.is(t, "restore", "poll", "commit 1", "commit 2", "commit 3")
}

func TestASourceIsRestoredOnce(t *testing.T) {
	sidecar, source := newSidecar(t), newPolled(brings(1, "a"))
	startSource(t, source, sourceOptions(sidecar.address))
	first := sidecar.openedSource(t, &pb.Position{SourcePartition: "file", Offset: 42})
	source.until(t, "restore file:42")
	first.end <- nil
	second := sidecar.openedSource(t, &pb.Position{SourcePartition: "file", Offset: 43})
	demand(t, second, 1)
	takes(t, second, 1, "a")

	source.is(t, "restore file:42", "poll")
}

func TestPositionsThatComeInPagesAreRestoredTogether(t *testing.T) {
	sidecar, source := newSidecar(t), newPolled(brings(1, "a"))
	startSource(t, source, sourceOptions(sidecar.address))
	session, _ := sidecar.source(t)
	place := func(name string, offset uint64) []*pb.Position {
		return []*pb.Position{{SourcePartition: name, Offset: offset}}
	}
	opened := &pb.SourceOpened{SessionId: "session", Epoch: 7, ProtocolVersion: 1, Positions: place("a", 1), MorePositions: true}
	session.send(t, &pb.SourceServiceRunResponse{Frame: &pb.SourceServiceRunResponse_Opened{Opened: opened}})
	for _, page := range []*pb.SourcePositions{{Positions: place("b", 2), More: true}, {Positions: place("c", 3)}} {
		session.send(t, &pb.SourceServiceRunResponse{Frame: &pb.SourceServiceRunResponse_Positions{Positions: page}})
	}

	source.until(t, "restore a:1 b:2 c:3")
}

func TestARejectedRecordIsToldByItsNumber(t *testing.T) {
	sidecar, source := newSidecar(t), newPolled(brings(1, "a", "b"))
	startSource(t, source, sourceOptions(sidecar.address))
	session := sidecar.openedSource(t)
	demand(t, session, 2)
	takes(t, session, 1, "a", "b")
	committed(t, session, 1)
	rejected(t, session, 2)
	rejected(t, session, 77)
	committed(t, session, 2)
	source.until(t, "commit 2")

	source.is(t, "restore", "poll", "commit 1", "reject b TOO_LARGE", "commit 2")
}

func TestADrainSendsNothingNewAndTheSourceComesBack(t *testing.T) {
	sidecar, source := newSidecar(t), newPolled(brings(1, "a", "b"))
	startSource(t, source, sourceOptions(sidecar.address))
	session := sidecar.openedSource(t)
	demand(t, session, 1)
	takes(t, session, 1, "a")
	session.send(t, &pb.SourceServiceRunResponse{Frame: &pb.SourceServiceRunResponse_Drain{Drain: &pb.Drain{}}})
	saysDrained(t, session)
	demand(t, session, 5)
	saysNothing(t, session)
	committed(t, session, 1)
	source.until(t, "commit 1")
	session.end <- nil

	session = sidecar.openedSource(t)
	demand(t, session, 5)
	takes(t, session, 1, "b")
}

func TestAStopWaitsUntilWhatIsInHandIsCommitted(t *testing.T) {
	sidecar, source := newSidecar(t), newPolled(brings(1, "a", "b"))
	running := startSource(t, source, sourceOptions(sidecar.address))
	session := sidecar.openedSource(t)
	demand(t, session, 1)
	takes(t, session, 1, "a")
	running.stop()
	saysNothing(t, session)
	demand(t, session, 5)
	takes(t, session, 2, "b")
	saysDrained(t, session)
	committed(t, session, 2)
	session.hangsUp(t)
	session.end <- nil

	running.endsWell(t)
	source.is(t, "restore", "poll", "commit 1", "commit 2", "close")
}

func TestAStopWithoutCommitsEndsWhenTheTimeIsOver(t *testing.T) {
	sidecar, source := newSidecar(t), newPolled(brings(1, "a"))
	options := sourceOptions(sidecar.address)
	options.Runtime.StopTimeout = 50 * time.Millisecond
	running := startSource(t, source, options)
	session := sidecar.openedSource(t)
	demand(t, session, 1)
	takes(t, session, 1, "a")
	running.stop()
	saysDrained(t, session)
	session.hangsUp(t)
	session.end <- nil

	running.endsWell(t)
	source.is(t, "restore", "poll", "close")
}

func TestAStopWhileTheSidecarIsAwayWaitsForItToTakeWhatIsInHand(t *testing.T) {
	path := socketPath(t)
	sidecar, source := onUnix(t, path), newPolled(brings(1, "a"))
	running := startSource(t, source, sourceOptions("unix:"+path))
	session := sidecar.openedSource(t)
	demand(t, session, 1)
	takes(t, session, 1, "a")
	sidecar.kill()
	running.stop()

	sidecar = onUnix(t, path)
	session = sidecar.openedSource(t)
	demand(t, session, 1)
	takes(t, session, 1, "a")
	saysDrained(t, session)
	committed(t, session, 1)
	session.hangsUp(t)
	session.end <- nil
	running.endsWell(t)
	source.is(t, "restore", "poll", "commit 1", "close")
}

func TestASourceThatEndsIsOverWhenAllIsCommitted(t *testing.T) {
	sidecar := newSidecar(t)
	last := func() ([]connector.SourceRecord, error) {
		return []connector.SourceRecord{numbered(2, "b")}, io.EOF
	}
	source := newPolled(brings(1, "a"), last)
	running := startSource(t, source, sourceOptions(sidecar.address))
	session := sidecar.openedSource(t)
	demand(t, session, 5)
	takes(t, session, 1, "a", "b")
	saysDrained(t, session)
	committed(t, session, 2)
	session.hangsUp(t)
	session.end <- nil

	running.endsWell(t)
	source.is(t, "restore", "poll", "poll", "commit 1", "commit 2", "close")
}

func TestAPollThatFailsIsCalledAgain(t *testing.T) {
	sidecar := newSidecar(t)
	failing := fails(connector.Retry(errors.New("timeout")).After(time.Millisecond))
	startSource(t, newPolled(failing, brings(1, "a")), sourceOptions(sidecar.address))
	session := sidecar.openedSource(t)
	demand(t, session, 5)

	takes(t, session, 1, "a")
}

func TestAFatalPollIsToldAndEndsTheRun(t *testing.T) {
	sidecar, cause := newSidecar(t), errors.New("the file is gone")
	source := newPolled(fails(connector.Fatal(cause).WithCode("GONE")))
	running := startSource(t, source, sourceOptions(sidecar.address))
	session := sidecar.openedSource(t)
	demand(t, session, 5)
	if fault := session.next(t).GetFault(); fault.GetCode() != "GONE" {
		t.Fatalf("unexpected: %v", fault)
	}
	session.end <- nil

	if err := running.end(t); !errors.Is(err, cause) {
		t.Fatalf("unexpected: %v", err)
	}
	source.is(t, "restore", "poll", "close")
}

func TestAPolledRecordThatNoFrameCanCarryEndsTheRun(t *testing.T) {
	for code, record := range map[string]connector.SourceRecord{
		"TOO_LARGE": numbered(1, strings.Repeat("x", 4<<20)), "INVALID_RECORD": {Topic: "\xff"},
	} {
		t.Run(code, func(t *testing.T) {
			sidecar := newSidecar(t)
			poll := func() ([]connector.SourceRecord, error) { return []connector.SourceRecord{record}, nil }
			running := startSource(t, newPolled(poll), sourceOptions(sidecar.address))
			session := sidecar.openedSource(t)
			demand(t, session, 5)
			if fault := session.next(t).GetFault(); fault.GetCode() != code {
				t.Fatalf("unexpected: %v", fault)
			}
			session.end <- nil
			if err := running.end(t); err == nil {
				t.Fatal("the run did not fail")
			}
		})
	}
}

func TestAnotherProcessThatTakesOverEndsTheRun(t *testing.T) {
	sidecar, source := newSidecar(t), newPolled()
	running := startSource(t, source, sourceOptions(sidecar.address))
	session := sidecar.openedSource(t)
	session.end <- status.Error(codes.Aborted, "superseded by epoch 8")

	if err := running.end(t); err == nil || !strings.Contains(err.Error(), "taken over") {
		t.Fatalf("unexpected: %v", err)
	}
}

func TestASidecarThatCommitsWhatWasNotSentIsLeft(t *testing.T) {
	sidecar := newSidecar(t)
	startSource(t, newPolled(brings(1, "a")), sourceOptions(sidecar.address))
	session := sidecar.openedSource(t)
	demand(t, session, 1)
	takes(t, session, 1, "a")
	committed(t, session, 2)

	session = sidecar.openedSource(t)
	demand(t, session, 1)
	takes(t, session, 1, "a")
}

func TestAFatalCommitHookEndsTheRun(t *testing.T) {
	sidecar, source := newSidecar(t), newPolled(brings(1, "a"))
	source.commitErr = connector.Fatal(errors.New("no disk"))
	running := startSource(t, source, sourceOptions(sidecar.address))
	session := sidecar.openedSource(t)
	demand(t, session, 1)
	takes(t, session, 1, "a")
	committed(t, session, 1)
	if fault := session.next(t).GetFault(); fault.GetCode() != "FATAL" {
		t.Fatalf("unexpected: %v", fault)
	}
	session.end <- nil

	if err := running.end(t); !errors.Is(err, source.commitErr) {
		t.Fatalf("unexpected: %v", err)
	}
}

func TestAPollIsInterruptedByAStopAndWhatItReturnsIsPublished(t *testing.T) {
	sidecar, source := newSidecar(t), &waiting{started: make(chan struct{})}
	running := startSource(t, source, sourceOptions(sidecar.address))
	session := sidecar.openedSource(t)
	demand(t, session, 5)
	receive(t, source.started)
	running.stop()
	takes(t, session, 1, "last")
	saysDrained(t, session)
	committed(t, session, 1)
	session.hangsUp(t)
	session.end <- nil

	running.endsWell(t)
}

// waiting has a record when it is asked to stop.
type waiting struct {
	started chan struct{}
}

func (w *waiting) Poll(ctx context.Context) ([]connector.SourceRecord, error) {
	close(w.started)
	<-ctx.Done()
	return []connector.SourceRecord{numbered(1, "last")}, ctx.Err()
}
