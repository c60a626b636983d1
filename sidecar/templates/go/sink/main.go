// {{name}} appends each record to a file, as a line of JSON. Put your own system in the place of the file.
package main

import (
	"context"
	"encoding/json"
	"log"
	"os"

	connector "github.com/danube-messaging/danube-sidecar/sdk-go"
)

type {{name_pascal}} struct {
	Path string `json:"path"` // A setting: [connectors.{{name}}.settings] in sidecar.toml.
	file *os.File
}

// Open is called once, before the first record. An error here ends the connector.
func (s *{{name_pascal}}) Open(_ context.Context, session connector.Session) (err error) {
	if err := session.Settings.Decode(s); err != nil {
		return err
	}
	s.file, err = os.OpenFile(s.Path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	return err
}

// ProcessBatch answers for each record, in order: nil is written, connector.Reject a dead letter, any other error a retry.
// Where the system takes nothing at present (HTTP 429, 503), connector.Busy is no attempt of a record.
func (s *{{name_pascal}}) ProcessBatch(_ context.Context, records []connector.Record) []error {
	answers := connector.ForAll(len(records), nil)
	for i, record := range records {
		answers[i] = s.write(record)
	}
	// What is answered as written must be there, whatever happens next.
	if err := s.file.Sync(); err != nil {
		return connector.ForAll(len(records), err)
	}
	return answers
}

// write appends a record. After a crash it may come again with the same DedupID: where that is the key of what you write,
// the second time changes nothing.
func (s *{{name_pascal}}) write(record connector.Record) error {
	text, err := record.Text()
	if err != nil {
		return err // A reject, with the code NOT_UTF8.
	}
	return json.NewEncoder(s.file).Encode(map[string]any{
		"dedup_id": record.DedupID, "key": record.Key, "payload": text, "topic": record.Topic,
	})
}

func main() {
	err := connector.RunBatchSink(context.Background(), &{{name_pascal}}{Path: "{{name}}.jsonl"}, connector.SinkOptions{
		Name:          "{{name}}",
		Subscriptions: []connector.Subscription{{Topic: "/default/{{name}}"}}, // sidecar.toml wins.
	})
	if err != nil {
		log.Fatal(err)
	}
}
