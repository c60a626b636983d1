// The smallest source that goes on where it was: publishes the numbers from 1 to 1000.
package main

import (
	"context"
	"fmt"
	"io"
	"log"

	connector "github.com/danube-messaging/danube-sidecar/sdk-go"
)

type counter struct {
	last uint64
}

func (c *counter) Restore(_ context.Context, positions []connector.Position) error {
	for _, position := range positions {
		c.last = position.Offset
	}
	return nil
}

func (c *counter) Poll(context.Context) ([]connector.SourceRecord, error) {
	if c.last == 1000 {
		return nil, io.EOF // There will never be more.
	}
	c.last++
	return []connector.SourceRecord{{
		Topic:    "/default/numbers",
		Payload:  []byte(fmt.Sprintf("number %d", c.last)),
		Position: &connector.Position{SourcePartition: "numbers", Offset: c.last},
	}}, nil
}

func main() {
	err := connector.RunSource(context.Background(), &counter{}, connector.SourceOptions{
		Name:      "counter",
		Producers: []connector.Producer{{Topic: "/default/numbers"}},
	})
	if err != nil {
		log.Fatal(err)
	}
}
