package connector_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	connector "github.com/danube-messaging/danube-sidecar/sdk-go"
)

func emit(t *testing.T, emitter *connector.Emitter, offset uint64, payload string) *connector.Pending {
	t.Helper()
	pending, err := emitter.Emit(t.Context(), numbered(offset, payload))
	if err != nil {
		t.Fatalf("Emit: %v", err)
	}
	return pending
}

func TestAnEmitterHasRoomAsLongAsThereIsDemand(t *testing.T) {
	sidecar := newSidecar(t)
	_, _, emitter, _ := startPushed(t, sidecar.address)
	session := sidecar.openedSource(t)
	e := emitter()
	if _, err := e.TryEmit(numbered(1, "a")); !errors.Is(err, connector.ErrFull) {
		t.Fatalf("expected ErrFull, got %v", err)
	}
	demand(t, session, 2)
	emit(t, e, 1, "a")
	if _, err := e.TryEmit(numbered(2, "b")); err != nil {
		t.Fatalf("TryEmit: %v", err)
	}
	if _, err := e.TryEmit(numbered(3, "c")); !errors.Is(err, connector.ErrFull) {
		t.Fatalf("expected ErrFull, got %v", err)
	}
	takes(t, session, 1, "a", "b")
}

func TestEmitWaitsForRoom(t *testing.T) {
	sidecar := newSidecar(t)
	_, _, emitter, _ := startPushed(t, sidecar.address)
	session := sidecar.openedSource(t)
	e := emitter()
	impatient, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.Emit(impatient, numbered(1, "a")); !errors.Is(err, context.Canceled) {
		t.Fatalf("expected the context's error, got %v", err)
	}
	emitted := make(chan error, 1)
	go func() {
		_, err := e.Emit(context.Background(), numbered(1, "a"))
		emitted <- err
	}()
	demand(t, session, 1)

	takes(t, session, 1, "a")
	if err := receive(t, emitted); err != nil {
		t.Fatalf("Emit: %v", err)
	}
}

func TestAPendingRecordTellsWhatBecameOfIt(t *testing.T) {
	sidecar := newSidecar(t)
	running, source, emitter, _ := startPushed(t, sidecar.address)
	session := sidecar.openedSource(t)
	demand(t, session, 3)
	e := emitter()
	safe, bad, left := emit(t, e, 1, "a"), emit(t, e, 2, "b"), emit(t, e, 3, "c")
	takes(t, session, 1, "a", "b", "c")
	rejected(t, session, 2)
	committed(t, session, 2)

	if err := safe.Wait(t.Context()); err != nil {
		t.Errorf("the committed one: %v", err)
	}
	var rejection *connector.Rejection
	if err := bad.Wait(t.Context()); !errors.As(err, &rejection) || rejection.Code != "TOO_LARGE" {
		t.Errorf("the rejected one: %v", err)
	}
	running.stop()
	saysDrained(t, session)
	session.end <- status.Error(codes.PermissionDenied, "no more")
	if err := left.Wait(t.Context()); !errors.Is(err, connector.ErrStopped) {
		t.Errorf("the one that was left: %v", err)
	}
	if err := running.end(t); err == nil {
		t.Error("the run did not fail")
	}
	if _, err := e.TryEmit(numbered(4, "d")); !errors.Is(err, connector.ErrStopped) {
		t.Errorf("expected ErrStopped, got %v", err)
	}
	source.is(t, "restore", "reject b TOO_LARGE", "commit 1", "commit 2", "close")
}

func TestPendingRecordsOutliveASession(t *testing.T) {
	sidecar := newSidecar(t)
	_, _, emitter, _ := startPushed(t, sidecar.address)
	first := sidecar.openedSource(t)
	demand(t, first, 5)
	pending := emit(t, emitter(), 1, "a")
	takes(t, first, 1, "a")
	first.end <- status.Error(codes.Internal, "bug")
	second := sidecar.openedSource(t)
	demand(t, second, 5)
	takes(t, second, 1, "a")
	committed(t, second, 1)

	if err := pending.Wait(t.Context()); err != nil {
		t.Fatalf("Wait: %v", err)
	}
}

func TestARecordThatNoFrameCanCarryIsAnErrorOfEmit(t *testing.T) {
	sidecar := newSidecar(t)
	_, _, emitter, _ := startPushed(t, sidecar.address)
	session := sidecar.openedSource(t)
	demand(t, session, 5)
	e := emitter()
	for code, record := range map[string]connector.SourceRecord{
		"TOO_LARGE": numbered(1, strings.Repeat("x", 4<<20)), "INVALID_RECORD": {Topic: "\xff"},
	} {
		var found *connector.Error
		if _, err := e.Emit(t.Context(), record); !errors.As(err, &found) || found.Code != code {
			t.Errorf("expected %s, got %v", code, err)
		}
	}
	emit(t, e, 1, "a")
	takes(t, session, 1, "a")
}

func TestAStreamThatReturnsEndsTheRunWhenAllIsCommitted(t *testing.T) {
	sidecar := newSidecar(t)
	running, source, emitter, ends := startPushed(t, sidecar.address)
	session := sidecar.openedSource(t)
	demand(t, session, 5)
	emit(t, emitter(), 1, "a")
	ends <- nil
	takes(t, session, 1, "a")
	saysDrained(t, session)
	committed(t, session, 1)
	session.hangsUp(t)
	session.end <- nil

	running.endsWell(t)
	source.is(t, "restore", "commit 1", "close")
}

func TestAStreamThatFailsIsToldAndEndsTheRun(t *testing.T) {
	sidecar, cause := newSidecar(t), errors.New("the socket is gone")
	running, _, emitter, ends := startPushed(t, sidecar.address)
	session := sidecar.openedSource(t)
	emitter()
	ends <- cause
	if fault := session.next(t).GetFault(); !strings.Contains(fault.GetMessage(), cause.Error()) {
		t.Fatalf("unexpected: %v", fault)
	}
	session.end <- nil

	if err := running.end(t); !errors.Is(err, cause) {
		t.Fatalf("unexpected: %v", err)
	}
}

func TestAStopEndsTheStream(t *testing.T) {
	sidecar := newSidecar(t)
	running, source, emitter, _ := startPushed(t, sidecar.address)
	session := sidecar.openedSource(t)
	demand(t, session, 5)
	e := emitter()
	emit(t, e, 1, "a")
	takes(t, session, 1, "a")
	running.stop()
	saysDrained(t, session)
	if _, err := e.Emit(t.Context(), numbered(2, "b")); !errors.Is(err, connector.ErrStopped) {
		t.Errorf("expected ErrStopped, got %v", err)
	}
	committed(t, session, 1)
	session.hangsUp(t)
	session.end <- nil

	running.endsWell(t)
	source.is(t, "restore", "commit 1", "close")
}

func TestManyGoroutinesMayEmit(t *testing.T) {
	const emitters, each = 8, 50
	sidecar := newSidecar(t)
	_, _, emitter, _ := startPushed(t, sidecar.address)
	session := sidecar.openedSource(t)
	e := emitter()
	waited := make(chan error, emitters)
	for n := range emitters {
		go func() {
			var err error
			for i := range uint64(each) {
				pending, failed := e.Emit(context.Background(), numbered(i, fmt.Sprint(n)))
				if failed != nil {
					waited <- failed
					return
				}
				err = errors.Join(err, pending.Wait(context.Background()))
			}
			waited <- err
		}()
	}
	demand(t, session, 3)
	for taken := uint64(0); taken < emitters*each; {
		records := session.next(t).GetRecords()
		if records.GetFirstNumber() != taken+1 {
			t.Fatalf("numbered from %d after %d", records.GetFirstNumber(), taken)
		}
		taken += uint64(len(records.GetRecords()))
		committed(t, session, taken)
		demand(t, session, taken+3)
	}
	for range emitters {
		if err := receive(t, waited); err != nil {
			t.Error(err)
		}
	}
}
