// A sink that writes batches, and says what became of each record: orders go to an HTTP API.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"strconv"
	"time"

	connector "github.com/danube-messaging/danube-sidecar/sdk-go"
)

type orders struct {
	URL    string `json:"url"`
	client http.Client
}

func (o *orders) Open(_ context.Context, session connector.Session) error {
	o.client.Timeout = 10 * time.Second
	return session.Settings.Decode(o)
}

func (o *orders) ProcessBatch(ctx context.Context, records []connector.Record) []error {
	answers := make([]error, len(records))
	waiting := map[string]bool{} // Keys with a record that comes again: later ones of theirs must not overtake it.
	for i, record := range records {
		if record.Key != nil && waiting[*record.Key] {
			answers[i] = connector.Retry(errors.New("an earlier order of the key comes again")).WithCode("BEHIND")
			continue
		}
		answers[i] = o.post(ctx, record)
		if is(answers[i], connector.OutcomeBusy) { // The API wants to be left alone: the rest comes again, too.
			copy(answers[i:], connector.ForAll(len(records)-i, answers[i]))
			break
		}
		if record.Key != nil && comesAgain(answers[i]) {
			waiting[*record.Key] = true
		}
	}
	return answers
}

func (o *orders) post(ctx context.Context, record connector.Record) error {
	var order struct {
		Test bool `json:"test"`
	}
	if err := record.JSON(&order); err != nil {
		return err // Rejected, code NOT_JSON.
	}
	if order.Test {
		return connector.Filtered("a test order")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, o.URL, bytes.NewReader(record.Payload))
	if err != nil {
		return connector.Fatal(err).WithCode("SETTINGS")
	}
	request.Header.Set("Idempotency-Key", record.DedupID) // Posted twice, it is one order.
	response, err := o.client.Do(request)
	if err != nil {
		return err // A retry, code EXCEPTION.
	}
	_ = response.Body.Close()
	return outcome(response.StatusCode, response.Header.Get("Retry-After"))
}

func outcome(status int, retryAfter string) error {
	switch {
	case status < 300:
		return nil
	case status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable:
		seconds, _ := strconv.Atoi(retryAfter) // 0: a second.
		return connector.Busy(fmt.Errorf("the API answers %d", status)).After(time.Duration(seconds) * time.Second)
	case status >= 500:
		return connector.Retry(fmt.Errorf("the API answers %d", status)).WithCode("API_DOWN")
	default:
		return connector.Reject(fmt.Errorf("the API answers %d", status)).WithCode("REFUSED")
	}
}

// comesAgain tells whether an answer is a retry, as an error is that names no outcome.
func comesAgain(answer error) bool {
	var named *connector.Error
	return answer != nil && (!errors.As(answer, &named) || named.Outcome == connector.OutcomeRetry)
}

func is(answer error, outcome connector.Outcome) bool {
	var named *connector.Error
	return errors.As(answer, &named) && named.Outcome == outcome
}

func (o *orders) HealthCheck(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, o.URL, nil)
	if err != nil {
		return err
	}
	response, err := o.client.Do(request)
	if err != nil {
		return err
	}
	return response.Body.Close()
}

func main() {
	err := connector.RunBatchSink(context.Background(), &orders{URL: "http://127.0.0.1:8080/orders"}, connector.SinkOptions{
		Name:            "orders",
		Subscriptions:   []connector.Subscription{{Topic: "/default/orders"}},
		MaxBatchRecords: 100,
	})
	if err != nil {
		log.Fatal(err)
	}
}
