// Sink does what the payloads of its records say, and writes down what it did, for the conformance kit.
package main

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"time"

	connector "github.com/danube-messaging/danube-sidecar/sdk-go"
	"github.com/danube-messaging/danube-sidecar/sdk-go/conformance/internal/journal"
)

var errThrown = errors.New("told to throw")

type sink struct {
	journal.Journal
}

func (s sink) Open(_ context.Context, session connector.Session) error {
	var settings struct {
		Conformance struct{ Word string }
	}
	if err := session.Settings.Decode(&settings); err != nil {
		return err
	}
	return s.Append("opened %s", orDash(settings.Conformance.Word))
}

func (s sink) Process(ctx context.Context, record connector.Record) error {
	text, err := record.Text()
	if err != nil {
		return err
	}
	word, number, _ := strings.Cut(text, " ")
	first := record.Attempt == 1
	switch {
	case word == "reject":
		return connector.Reject(errors.New("told to reject")).WithCode("TOLD_TO")
	case word == "retry" && first:
		return connector.Retry(errors.New("told to retry")).WithCode("TOLD_TO")
	case word == "retry-after" && first:
		return connector.Retry(errors.New("told to retry")).WithCode("TOLD_TO").After(milliseconds(number))
	case word == "busy" && first:
		return connector.Busy(errors.New("told to be busy")).WithCode("TOLD_TO").After(milliseconds(number))
	case word == "filter":
		return connector.Filtered("told to filter").WithCode("TOLD_TO")
	case word == "error" && first:
		return errThrown
	case word == "fatal":
		return connector.Fatal(errors.New("told to be fatal")).WithCode("TOLD_TO")
	case word == "slow":
		if err := sleep(ctx, milliseconds(number)); err != nil {
			return err
		}
	}
	return s.written(record)
}

func (s sink) written(record connector.Record) error {
	subject := ""
	if record.Schema != nil {
		subject = record.Schema.Subject
	}
	return s.Append("written %s %d %s", record.DedupID, record.Attempt, orDash(subject))
}

// batches is the same sink for whole batches.
type batches struct {
	sink
}

func (b batches) ProcessBatch(ctx context.Context, records []connector.Record) []error {
	answers := make([]error, len(records))
	for i, record := range records {
		err := b.Process(ctx, record)
		if errors.Is(err, errThrown) {
			return connector.ForAll(len(records), err)
		}
		answers[i] = err
		if isFatal(err) {
			copy(answers[i:], connector.ForAll(len(records)-i, err))
			break
		}
	}
	return answers
}

func isFatal(err error) bool {
	var found *connector.Error
	return errors.As(err, &found) && found.Outcome == connector.OutcomeFatal
}

func milliseconds(text string) time.Duration {
	count, _ := strconv.Atoi(strings.TrimSpace(text))
	return time.Duration(count) * time.Millisecond
}

func sleep(ctx context.Context, wait time.Duration) error {
	select {
	case <-time.After(wait):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func main() {
	options := connector.SinkOptions{
		Name:          journal.Name(),
		Subscriptions: []connector.Subscription{{Topic: journal.Topic}},
	}
	if os.Getenv("CONFORMANCE_MODE") == "single" {
		journal.Exit(connector.RunSink(context.Background(), sink{}, options))
		return
	}
	journal.Exit(connector.RunBatchSink(context.Background(), batches{}, options))
}
