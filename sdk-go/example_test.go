package connector_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	connector "github.com/danube-messaging/danube-sidecar/sdk-go"
)

// region push

// webhooks is a source that answers a request when its record is safe in Danube.
type webhooks struct {
	listener net.Listener
}

func (w *webhooks) Stream(ctx context.Context, emitter *connector.Emitter) error {
	server := &http.Server{Handler: http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(io.LimitReader(request.Body, 1<<20))
		if err != nil {
			return
		}
		pending, err := emitter.TryEmit(connector.SourceRecord{Payload: body})
		if errors.Is(err, connector.ErrFull) {
			answer.WriteHeader(http.StatusTooManyRequests)
		} else if err != nil || pending.Wait(request.Context()) != nil {
			answer.WriteHeader(http.StatusServiceUnavailable)
		}
	})}
	context.AfterFunc(ctx, func() { _ = server.Shutdown(context.WithoutCancel(ctx)) })
	if err := server.Serve(w.listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// endregion

// region settings

// table writes into a table that the operator's file names.
type table struct {
	Table string `json:"table"`
}

// Open reads the settings.
func (t *table) Open(_ context.Context, session connector.Session) error {
	return session.Settings.Decode(t)
}

// endregion

func (t *table) Process(context.Context, connector.Record) error {
	return nil
}

func TestTheReadmesWebhooksAnswerWhenARecordIsSafe(t *testing.T) {
	sidecar, front := newSidecar(t), httptest.NewUnstartedServer(nil)
	running := start(t, func(ctx context.Context) error {
		return connector.RunStreamer(ctx, &webhooks{listener: front.Listener}, sourceOptions(sidecar.address))
	})
	session := sidecar.openedSource(t)
	post := func() int {
		response, err := http.Post("http://"+front.Listener.Addr().String(), "text/plain", strings.NewReader("an event"))
		if err != nil {
			t.Error(err)
			return 0
		}
		_ = response.Body.Close()
		return response.StatusCode
	}
	if code := post(); code != http.StatusTooManyRequests {
		t.Fatalf("without demand: %d", code)
	}
	demand(t, session, 1)
	saysNothing(t, session)
	codes := make(chan int, 1)
	go func() { codes <- post() }()
	takes(t, session, 1, "an event")
	committed(t, session, 1)
	if code := receive(t, codes); code != http.StatusOK {
		t.Fatalf("a committed one: %d", code)
	}
	running.stop()
	saysDrained(t, session)
	session.end <- nil

	running.endsWell(t)
}

func TestTheReadmesSettingsComeFromTheSidecar(t *testing.T) {
	sidecar, sink := newSidecar(t), &table{}
	startSink(t, sink, sinkOptions(sidecar.address))
	session, _ := sidecar.sink(t)
	sinkOpened(t, session, `{"table": "orders"}`)
	sendBatch(t, session, offer(1, "a"))
	isList(t, outcomes(t, session, 1), "1 WRITTEN")

	if sink.Table != "orders" {
		t.Fatalf("the table is %q", sink.Table)
	}
}
