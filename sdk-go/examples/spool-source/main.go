// A source that is told what is safe: publishes the files of a folder, in the order of their names, and deletes each then.
// Files have to be moved into the folder, whole.
package main

import (
	"context"
	"log"
	"os"
	"path/filepath"

	connector "github.com/danube-messaging/danube-sidecar/sdk-go"
)

const perPoll = 10

type spool struct {
	Folder string `json:"folder"`
	number uint64
	taken  map[string]bool
}

func (s *spool) Open(_ context.Context, session connector.Session) error {
	return session.Settings.Decode(s)
}

func (s *spool) Restore(_ context.Context, positions []connector.Position) error {
	for _, position := range positions {
		s.number = position.Offset // Goes on counting: an offset means one record, for ever.
	}
	return nil
}

func (s *spool) Poll(context.Context) ([]connector.SourceRecord, error) {
	files, err := os.ReadDir(s.Folder)
	if err != nil {
		return nil, err // Logged, and polled again after a backoff.
	}
	var records []connector.SourceRecord
	for _, file := range files {
		if s.taken[file.Name()] || len(records) == perPoll {
			continue
		}
		payload, err := os.ReadFile(filepath.Join(s.Folder, file.Name()))
		if err != nil {
			return records, err
		}
		s.taken[file.Name()] = true
		s.number++
		records = append(records, connector.SourceRecord{
			Payload:  payload,
			Key:      connector.Key(file.Name()),
			Position: &connector.Position{SourcePartition: "files", Offset: s.number, Metadata: file.Name()},
		})
	}
	return records, nil
}

func (s *spool) Commit(_ context.Context, positions []connector.Position) error {
	for _, position := range positions {
		if err := os.Remove(filepath.Join(s.Folder, position.Metadata)); err != nil {
			return err
		}
		delete(s.taken, position.Metadata)
	}
	return nil
}

func main() {
	err := connector.RunSource(context.Background(), &spool{Folder: "spool", taken: map[string]bool{}}, connector.SourceOptions{
		Name:      "spool",
		Producers: []connector.Producer{{Topic: "/default/files"}},
	})
	if err != nil {
		log.Fatal(err)
	}
}
