package connector

import (
	"context"
	"encoding/json"
	"fmt"
)

// Opener is implemented by connectors that prepare something. Open is called once, at the first
// session, before any record; its error ends the run. A stop does not interrupt it before the stop
// timeout is over.
type Opener interface {
	Open(ctx context.Context, session Session) error
}

// HealthChecker is implemented by connectors that know how their external system is doing. Nil
// means well. It is called at the sidecar's probes, also while another method runs, but not before
// Open has returned, and is given 4 s. Without it a connector counts as healthy.
type HealthChecker interface {
	HealthCheck(ctx context.Context) error
}

// Closer is implemented by connectors that hold something open. Close is called once, as the last
// method, however the run ends, also where Open failed or was never called; it is given the stop
// timeout. It runs beside another method only where that did not return though its context was
// cancelled.
type Closer interface {
	Close(ctx context.Context) error
}

// Restorer is implemented by sources that go on where they were. Restore is called once, at the
// first session, after Open and before the first record, with the last committed position of each
// source partition. Its error ends the run.
type Restorer interface {
	Restore(ctx context.Context, positions []Position) error
}

// Committer is implemented by sources that want to know what is safe: published, and its positions
// durable. Commit gets the positions of committed records, in order, never at the same time as
// Poll. An error that is not [Fatal] is logged.
type Committer interface {
	Commit(ctx context.Context, positions []Position) error
}

// Rejecter is implemented by sources that want to know of records that can never be published.
// Their positions are committed all the same. Reject is never called at the same time as Poll. An
// error that is not [Fatal] is logged.
type Rejecter interface {
	Reject(ctx context.Context, rejection *Rejection) error
}

// Session is what a connector learns from the sidecar when the first session opens.
type Session struct {
	// ID names the session in the sidecar's logs, metrics and errors.
	ID string
	// Epoch grows with every session of the connector.
	Epoch uint64
	// WorkerID is the one in force.
	WorkerID string
	// Settings are the connector's own, from the operator's file.
	Settings Settings
}

// Settings are a connector's own settings from the operator's file: one JSON object.
type Settings json.RawMessage

// Decode reads the settings into the struct or map that target points to, as [json.Unmarshal] does.
func (s Settings) Decode(target any) error {
	if err := json.Unmarshal(s, target); err != nil {
		return fmt.Errorf("connector: the settings in the sidecar's file do not fit: %w", err)
	}
	return nil
}

// parseSettings checks that the settings are a JSON object. None are an empty one.
func parseSettings(text string) (Settings, error) {
	if text == "" {
		text = "{}"
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &object); err != nil || object == nil {
		return nil, lost("it broke the protocol: `opened.settings_json` is not a JSON object")
	}
	return Settings(text), nil
}
