package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	connector "github.com/danube-messaging/danube-sidecar/sdk-go"
)

func TestAnOrderBehindARetryOfItsKeyWaits(t *testing.T) {
	posted := 0
	api := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		posted++
		if request.Header.Get("Idempotency-Key") == "1" {
			answer.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer api.Close()
	sink := &orders{}
	settings := connector.Settings(`{"url": "` + api.URL + `"}`)
	if err := sink.Open(context.Background(), connector.Session{Settings: settings}); err != nil {
		t.Fatal(err)
	}

	answers := sink.ProcessBatch(context.Background(), []connector.Record{
		{DedupID: "1", Key: connector.Key("ada"), Payload: []byte(`{}`)},
		{DedupID: "2", Key: connector.Key("ada"), Payload: []byte(`{}`)},
		{DedupID: "3", Key: connector.Key("bob"), Payload: []byte(`{}`)},
		{DedupID: "4", Payload: []byte(`no JSON`)},
	})

	for i, expected := range []string{"API_DOWN", "BEHIND", "", "NOT_JSON"} {
		var failed *connector.Error
		if errors.As(answers[i], &failed); (failed == nil) != (expected == "") || (failed != nil && failed.Code != expected) {
			t.Errorf("record %d: expected %q, got %v", i+1, expected, answers[i])
		}
	}
	if posted != 2 {
		t.Errorf("posted %d times", posted)
	}
}

func TestAnAPIThatIsBusyIsLeftAlone(t *testing.T) {
	posted := 0
	api := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, _ *http.Request) {
		posted++
		answer.Header().Set("Retry-After", "7")
		answer.WriteHeader(http.StatusTooManyRequests)
	}))
	defer api.Close()
	sink := &orders{URL: api.URL}

	answers := sink.ProcessBatch(context.Background(), []connector.Record{{Payload: []byte(`{}`)}, {Payload: []byte(`{}`)}})

	for i, answer := range answers {
		var failed *connector.Error
		if !errors.As(answer, &failed) || failed.Outcome != connector.OutcomeBusy || failed.RetryAfter != 7*time.Second {
			t.Errorf("record %d: unexpected: %v", i+1, answer)
		}
	}
	if posted != 1 {
		t.Errorf("posted %d times", posted)
	}
}
