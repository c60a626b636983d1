// The smallest sink: prints each record.
package main

import (
	"context"
	"fmt"
	"log"

	connector "github.com/danube-messaging/danube-sidecar/sdk-go"
)

type hello struct{}

func (hello) Process(_ context.Context, record connector.Record) error {
	text, err := record.Text()
	if err != nil {
		return err // Rejected: it becomes a dead letter.
	}
	fmt.Println(record.DedupID, text) // DedupID makes writes idempotent.
	return nil
}

func main() {
	err := connector.RunSink(context.Background(), hello{}, connector.SinkOptions{
		Name:          "hello",
		Subscriptions: []connector.Subscription{{Topic: "/default/hello"}},
	})
	if err != nil {
		log.Fatal(err)
	}
}
