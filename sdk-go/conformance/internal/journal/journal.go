// Package journal is what the two conformance connectors have in common: what they tell the conformance kit.
package journal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
)

// Topic is what the connectors consume from or publish to.
const Topic = "/default/conformance"

// Name is the connector's name.
func Name() string {
	return cmp.Or(os.Getenv("CONNECTOR_NAME"), "conformance")
}

// Journal is the file that CONFORMANCE_FILE names. A connector that embeds it has its health check and its close hook.
type Journal struct{}

// Append adds a line with one write.
func (Journal) Append(format string, arguments ...any) error {
	file, err := os.OpenFile(os.Getenv("CONFORMANCE_FILE"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(file, format+"\n", arguments...)
	return errors.Join(err, file.Close())
}

// HealthCheck fails while a file beside the journal says so.
func (Journal) HealthCheck(context.Context) error {
	if _, err := os.Stat(os.Getenv("CONFORMANCE_FILE") + ".sick"); err == nil {
		return errors.New("told to be")
	}
	return nil
}

// Close notes that it was called.
func (j Journal) Close(context.Context) error {
	return j.Append("closed")
}

// Exit ends the process as the run ended.
func Exit(err error) {
	if err != nil {
		slog.Error("the connector failed", "error", err)
		os.Exit(1)
	}
}
