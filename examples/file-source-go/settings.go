package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"
	"unicode/utf8"
)

// mostLineBytes keeps a message, with its key and attributes, well below the 4 MiB that Danube can store.
const mostLineBytes = 1 << 20

// settings are the connector's own, from [connectors.files.settings] of the sidecar's file.
type settings struct {
	// Paths are patterns of filepath.Match. Required.
	Paths []string `json:"paths"`
	// Exclude are patterns of file names that are not read.
	Exclude []string `json:"exclude"`
	// Format is "lines" or "csv".
	Format string `json:"format"`
	// KeyField is the field of a JSON line that holds the routing key; lines only.
	KeyField string `json:"key_field"`
	// KeyColumn is the column that holds the routing key; CSV only.
	KeyColumn string `json:"key_column"`
	// Delimiter stands between the fields of a CSV record: one character of one byte.
	Delimiter string `json:"delimiter"`
	// PollIntervalMS is how often is looked for new files and new lines, in milliseconds.
	PollIntervalMS int `json:"poll_interval_ms"`
	// RotateWaitMS is how long a file that no pattern finds any more is still read, since its last new line.
	RotateWaitMS int `json:"rotate_wait_ms"`
	// MaxLineBytes is the longest line, CSV record and message.
	MaxLineBytes int `json:"max_line_bytes"`
}

// parseSettings reads the settings. The error names what is wrong and what is expected.
func parseSettings(text []byte) (settings, error) {
	s := settings{
		Exclude:        []string{"*.gz", "*.bz2", "*.xz", "*.zst"},
		Format:         "lines",
		Delimiter:      ",",
		PollIntervalMS: 200,
		RotateWaitMS:   5000,
		MaxLineBytes:   mostLineBytes,
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&s); err != nil {
		return settings{}, err
	}
	return s, s.check()
}

func (s settings) check() error {
	if len(s.Paths) == 0 {
		return errors.New(`paths is empty: name at least one pattern, such as "/var/log/app/*.log"`)
	}
	for _, pattern := range slices.Concat(s.Paths, s.Exclude) {
		if _, err := filepath.Match(pattern, ""); err != nil {
			return fmt.Errorf("paths or exclude has %q, which is no pattern: %w", pattern, err)
		}
	}
	switch {
	case s.Format != "lines" && s.Format != "csv":
		return fmt.Errorf(`format is %q: expected "lines" or "csv"`, s.Format)
	case s.KeyField != "" && s.Format != "lines":
		return errors.New(`key_field is for the format "lines"; a CSV file's key is its key_column`)
	case s.KeyColumn != "" && s.Format != "csv":
		return errors.New(`key_column is for the format "csv"; the key of JSON lines is their key_field`)
	case len(s.Delimiter) != 1 || s.Delimiter[0] >= utf8.RuneSelf || bytes.ContainsAny([]byte(s.Delimiter), "\"\r\n"):
		return fmt.Errorf("delimiter is %q: expected one ASCII character that is no quote and no line end", s.Delimiter)
	case s.PollIntervalMS < 1:
		return fmt.Errorf("poll_interval_ms is %d: expected at least 1", s.PollIntervalMS)
	case s.RotateWaitMS < 0:
		return fmt.Errorf("rotate_wait_ms is %d: expected 0 or more", s.RotateWaitMS)
	case s.MaxLineBytes < 1 || s.MaxLineBytes > mostLineBytes:
		return fmt.Errorf("max_line_bytes is %d: expected 1 to %d", s.MaxLineBytes, mostLineBytes)
	}
	return nil
}

func (s settings) pollInterval() time.Duration {
	return time.Duration(s.PollIntervalMS) * time.Millisecond
}

func (s settings) rotateWait() time.Duration {
	return time.Duration(s.RotateWaitMS) * time.Millisecond
}
