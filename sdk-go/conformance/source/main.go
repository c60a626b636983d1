// Source publishes numbered records, and writes down what became of them, for the conformance kit.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	connector "github.com/danube-messaging/danube-sidecar/sdk-go"
	"github.com/danube-messaging/danube-sidecar/sdk-go/conformance/internal/journal"
)

const (
	partition = "numbers"
	perPoll   = 10
)

type settings struct {
	Conformance struct {
		Records uint64
		Size    int
		// Where all records stand, if not each at a place of its own.
		Offset *uint64
	}
}

// numbers is a source of records 1 to settings.conformance.records.
type numbers struct {
	journal.Journal
	settings settings
	next     uint64
	ends     bool
}

func (n *numbers) Open(_ context.Context, session connector.Session) error {
	n.settings.Conformance.Records = 1000
	return session.Settings.Decode(&n.settings)
}

func (n *numbers) Restore(_ context.Context, positions []connector.Position) error {
	restored := uint64(0)
	for _, position := range positions {
		if position.SourcePartition == partition {
			restored = position.Offset
		}
	}
	n.next = restored + 1
	return n.Append("restored %d", restored)
}

func (n *numbers) Commit(_ context.Context, positions []connector.Position) error {
	for _, position := range positions {
		if err := n.Append("committed %d", position.Offset); err != nil {
			return err
		}
	}
	return nil
}

func (n *numbers) Reject(_ context.Context, rejection *connector.Rejection) error {
	return n.Append("rejected %d %s", rejection.Record.Position.Offset, rejection.Code)
}

// take makes the next record; false when there is none.
func (n *numbers) take() (connector.SourceRecord, bool) {
	if n.next > n.settings.Conformance.Records {
		return connector.SourceRecord{}, false
	}
	number := n.next
	n.next++
	offset := number
	if place := n.settings.Conformance.Offset; place != nil {
		offset = *place
	}
	payload := fmt.Sprintf("record %d", number)
	payload += strings.Repeat("x", max(0, n.settings.Conformance.Size-len(payload)))
	return connector.SourceRecord{
		Topic:      journal.Topic,
		Payload:    []byte(payload),
		Key:        connector.Key(fmt.Sprintf("k%d", number%4)),
		Attributes: map[string]string{"n": strconv.FormatUint(number, 10)},
		Position: &connector.Position{
			SourcePartition: partition,
			Offset:          offset,
			Metadata:        fmt.Sprintf("m%d", number),
		},
	}, true
}

// polled hands its records over when it is asked.
type polled struct {
	*numbers
}

func (p polled) Poll(context.Context) ([]connector.SourceRecord, error) {
	var records []connector.SourceRecord
	for len(records) < perPoll {
		record, ok := p.take()
		if !ok {
			break
		}
		records = append(records, record)
	}
	if p.ends && len(records) == 0 {
		return nil, io.EOF
	}
	return records, nil
}

// pushed hands its records over when it likes.
type pushed struct {
	*numbers
}

func (p pushed) Stream(ctx context.Context, emitter *connector.Emitter) error {
	for {
		record, ok := p.take()
		if !ok {
			break
		}
		if _, err := emitter.Emit(ctx, record); err != nil {
			return err
		}
	}
	if !p.ends {
		<-ctx.Done()
	}
	return nil
}

func main() {
	source := &numbers{ends: os.Getenv("CONFORMANCE_END") == "1"}
	options := connector.SourceOptions{
		Name:      journal.Name(),
		Producers: []connector.Producer{{Topic: journal.Topic}},
	}
	if os.Getenv("CONFORMANCE_MODE") == "push" {
		journal.Exit(connector.RunStreamer(context.Background(), pushed{source}, options))
		return
	}
	journal.Exit(connector.RunSource(context.Background(), polled{source}, options))
}
