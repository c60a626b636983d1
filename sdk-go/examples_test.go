package connector_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	connector "github.com/danube-messaging/danube-sidecar/sdk-go"
	pb "github.com/danube-messaging/danube-sidecar/sdk-go/gen"
)

func TestTheExampleOfABatchSinkAnswersForEachRecord(t *testing.T) {
	statuses := map[string]int{offer(3, "").GetDedupId(): 500, offer(6, "").GetDedupId(): 404, offer(9, "").GetDedupId(): 429}
	api := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		if status, ok := statuses[request.Header.Get("Idempotency-Key")]; ok {
			answer.WriteHeader(status)
		}
	}))
	t.Cleanup(api.Close)
	sidecar := newSidecar(t)
	program := startProgram(t, "orders-sink", sidecar.address)
	session, _ := sidecar.sink(t)
	sinkOpened(t, session, `{"url": "`+api.URL+`"}`)
	sendBatch(t, session, offer(1, `ada:{"id":1}`), offer(2, `no JSON`), offer(3, `ada:{"id":3}`), offer(4, `ada:{"id":4}`),
		offer(5, `bob:{"id":5}`), offer(6, `eve:{"id":6}`), offer(7, `eve:{"test":true}`), offer(8, `eve:{"id":8}`), offer(9, `joe:{"id":9}`), offer(10, `zoe:{"id":10}`))
	isList(t, outcomes(t, session, 10), "1 WRITTEN", "2 REJECT NOT_JSON", "3 RETRY API_DOWN", "4 RETRY BEHIND", "5 WRITTEN",
		"6 REJECT REFUSED", "7 FILTERED FILTERED", "8 WRITTEN", "9 BUSY BUSY", "10 BUSY BUSY")
	sendProbe(t, session, 1)
	if health := session.next(t).GetHealth(); health.GetStatus() != pb.Health_STATUS_HEALTHY {
		t.Fatalf("unexpected: %v", health)
	}
	program.signal(t, syscall.SIGTERM)
	session.next(t)
	session.end <- nil

	program.endsWell(t)
}

func TestTheExampleOfACommitHookDeletesWhatIsSafe(t *testing.T) {
	folder := t.TempDir()
	for _, name := range []string{"a", "b"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte("in "+name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sidecar := newSidecar(t)
	program := startProgram(t, "spool-source", sidecar.address)
	session, _ := sidecar.source(t)
	opened := &pb.SourceOpened{SettingsJson: `{"folder": "` + folder + `"}`}
	session.send(t, &pb.SourceServiceRunResponse{Frame: &pb.SourceServiceRunResponse_Opened{Opened: opened}})
	demand(t, session, 10)
	takes(t, session, 1, "in a", "in b")
	committed(t, session, 1)
	late := time.After(patience)
	for isThere := true; isThere; {
		_, err := os.Stat(filepath.Join(folder, "a"))
		isThere = !errors.Is(err, os.ErrNotExist)
		select {
		case <-late:
			t.Fatal("the file is not deleted")
		case <-time.After(time.Millisecond):
		}
	}
	if _, err := os.Stat(filepath.Join(folder, "b")); err != nil {
		t.Fatal(err)
	}
	committed(t, session, 2)
	program.signal(t, syscall.SIGTERM)
	saysDrained(t, session)
	session.end <- nil

	program.endsWell(t)
}

// region schema

// readings takes records of the schema that it was written for.
type readings struct{}

func (readings) Process(_ context.Context, record connector.Record) error {
	if record.Schema == nil || record.Schema.Subject != "reading" {
		return connector.Reject(errors.New("the record does not have the schema `reading`")).WithCode("WRONG_SCHEMA")
	}
	var reading struct{ Value float64 }
	return record.JSON(&reading)
}

// endregion

func TestTheGuidesReadingsHaveTheirSchema(t *testing.T) {
	schema := &connector.Schema{Subject: "reading", Version: 1}
	if err := (readings{}).Process(context.Background(), connector.Record{Schema: schema, Payload: []byte(`{"value": 1}`)}); err != nil {
		t.Fatal(err)
	}
	var rejected *connector.Error
	err := (readings{}).Process(context.Background(), connector.Record{Payload: []byte(`{"value": 1}`)})
	if !errors.As(err, &rejected) || rejected.Code != "WRONG_SCHEMA" {
		t.Fatalf("unexpected: %v", err)
	}
}
