package main

import (
	"context"
	"testing"

	connector "github.com/danube-messaging/danube-sidecar/sdk-go"
)

func TestItGoesOnBehindWhatIsCommittedAndIsIdleAtTheEnd(t *testing.T) {
	source := &{{name_pascal}}{}
	session := connector.Session{Settings: connector.Settings(`{"count": 8}`)}
	if err := source.Open(context.Background(), session); err != nil {
		t.Fatal(err)
	}
	committed := []connector.Position{{SourcePartition: "numbers", Offset: 6}}
	if err := source.Restore(context.Background(), committed); err != nil {
		t.Fatal(err)
	}

	records, err := source.Poll(context.Background())
	if err != nil || len(records) != 2 || string(records[0].Payload) != "number 7" || records[1].Position.Offset != 8 {
		t.Fatalf("unexpected: %v, %v", records, err)
	}
	if records, err := source.Poll(context.Background()); err != nil || len(records) != 0 {
		t.Fatalf("at the end: %v, %v", records, err)
	}
}
