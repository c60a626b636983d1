// {{name}} publishes the numbers from 1 to `count`. Put your own system in the place of the numbers.
package main

import (
	"context"
	"fmt"
	"log"

	connector "github.com/danube-messaging/danube-sidecar/sdk-go"
)

const perPoll = 10

type {{name_pascal}} struct {
	// Count is a setting: [connectors.{{name}}.settings] in sidecar.toml.
	Count uint64 `json:"count"`
	last  uint64
}

// Open is called once, before anything else. An error here ends the connector.
func (s *{{name_pascal}}) Open(_ context.Context, session connector.Session) error {
	return session.Settings.Decode(s)
}

// Restore is called once, behind Open, with the last committed position of each source partition: go on behind them.
func (s *{{name_pascal}}) Restore(_ context.Context, positions []connector.Position) error {
	for _, position := range positions {
		if position.SourcePartition == "numbers" {
			s.last = position.Offset
		}
	}
	return nil
}

// Poll gives the next records, or none for now; it is called again after a moment then. io.EOF would say that there will
// never be more.
func (s *{{name_pascal}}) Poll(context.Context) ([]connector.SourceRecord, error) {
	var records []connector.SourceRecord
	for len(records) < perPoll && s.last < s.Count {
		s.last++
		records = append(records, connector.SourceRecord{
			Payload: []byte(fmt.Sprintf("number %d", s.last)),
			// Records of one key stay in order.
			Key: connector.Key(fmt.Sprintf("key %d", s.last%4)),
			// Committed once this record and all before it are safe in Danube.
			Position: &connector.Position{SourcePartition: "numbers", Offset: s.last},
		})
	}
	return records, nil
}

func main() {
	err := connector.RunSource(context.Background(), &{{name_pascal}}{Count: 1000}, connector.SourceOptions{
		Name:      "{{name}}",
		Producers: []connector.Producer{{Topic: "/default/{{name}}"}}, // sidecar.toml wins.
	})
	if err != nil {
		log.Fatal(err)
	}
}
