// File source publishes what is appended to files, as a log shipper does: lines, or CSV records as JSON objects. It follows
// files through rotation and truncation, and keeps no state of its own: the sidecar has its positions.
package main

import (
	"context"
	"log/slog"
	"os"
	"time"

	connector "github.com/danube-messaging/danube-sidecar/sdk-go"
)

func main() {
	err := connector.RunSource(context.Background(), &fileSource{log: slog.Default()}, connector.SourceOptions{
		Name: "files",
		// The operator's file usually names another.
		Producers: []connector.Producer{{Topic: "/default/lines"}},
		// Poll itself waits for what is appended, for as long as the settings say.
		PollInterval: time.Millisecond,
	})
	if err != nil {
		slog.Error("the file source ends", "reason", err)
		os.Exit(1)
	}
}
