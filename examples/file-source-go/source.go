package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	connector "github.com/danube-messaging/danube-sidecar/sdk-go"
)

const recordsPerPoll = 500

// fileSource publishes what is appended to files. A source partition is what one file has in it until it is truncated, an
// offset is the byte behind a record.
type fileSource struct {
	log     *slog.Logger
	files   files
	scanned time.Time

	mutex   sync.Mutex
	trouble error
}

// Open reads the settings.
func (s *fileSource) Open(_ context.Context, session connector.Session) error {
	settings, err := parseSettings(session.Settings)
	if err != nil {
		return fmt.Errorf("the settings in the sidecar's file: %w", err)
	}
	s.files = files{settings: settings, log: s.log, tails: map[identity]*tail{}}
	return nil
}

// Restore takes what was read and committed before.
func (s *fileSource) Restore(_ context.Context, positions []connector.Position) error {
	for _, position := range positions {
		sequence, ok := restored(position)
		if !ok {
			s.log.Warn("a position is none of this source", "source_partition", position.SourcePartition)
			continue
		}
		s.files.past = append(s.files.past, sequence)
	}
	return nil
}

// Poll reads what was appended. If that is nothing, it looks once more when the poll interval is over.
func (s *fileSource) Poll(ctx context.Context) ([]connector.SourceRecord, error) {
	interval := s.files.settings.pollInterval()
	if time.Since(s.scanned) >= interval {
		s.scan()
	}
	if records := s.files.read(recordsPerPoll); len(records) > 0 {
		return records, nil
	}
	select {
	case <-time.After(time.Until(s.scanned.Add(interval))):
	case <-ctx.Done():
		return nil, nil
	}
	s.scan()
	return s.files.read(recordsPerPoll), nil
}

func (s *fileSource) scan() {
	s.files.scan(time.Now())
	s.scanned = time.Now()
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.trouble = s.files.trouble
}

// HealthCheck tells what keeps files from being read.
func (s *fileSource) HealthCheck(context.Context) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.trouble
}

// Close closes the files.
func (s *fileSource) Close(context.Context) error {
	s.files.close()
	return nil
}
