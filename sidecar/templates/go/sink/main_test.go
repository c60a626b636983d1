package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	connector "github.com/danube-messaging/danube-sidecar/sdk-go"
)

func TestRecordsAreAppendedAndWhatIsNoTextIsRejected(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.jsonl")
	sink := &{{name_pascal}}{}
	session := connector.Session{Settings: connector.Settings(`{"path": "` + path + `"}`)}
	if err := sink.Open(context.Background(), session); err != nil {
		t.Fatal(err)
	}

	answers := sink.ProcessBatch(context.Background(), []connector.Record{
		{DedupID: "1", Topic: "/default/{{name}}", Key: connector.Key("k"), Payload: []byte("hello")},
		{DedupID: "2", Topic: "/default/{{name}}", Payload: []byte{0xFF}},
	})

	var rejected *connector.Error
	if answers[0] != nil || !errors.As(answers[1], &rejected) || rejected.Code != "NOT_UTF8" {
		t.Fatalf("unexpected: %v", answers)
	}
	written, err := os.ReadFile(path)
	expected := `{"dedup_id":"1","key":"k","payload":"hello","topic":"/default/{{name}}"}` + "\n"
	if err != nil || string(written) != expected {
		t.Fatalf("written: %s, %v", written, err)
	}
}
