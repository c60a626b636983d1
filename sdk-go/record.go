package connector

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

// Record is one Danube message, offered to a sink.
type Record struct {
	// DedupID is the same at every offer of a message, and different for different ones: 32
	// hexadecimal characters. Make writes idempotent with it.
	DedupID string
	// Attempt is 1 for the first offer, and counted up at each further one.
	Attempt uint32
	// Topic is the topic as subscribed: "/default/orders".
	Topic string
	// PartitionTopic is the partition's own topic ("/default/orders-part-2"); the same as
	// Topic where the topic has no partitions.
	PartitionTopic string
	// Offset is consecutive within the partition. It can repeat after a broker restart: use
	// DedupID for idempotence.
	Offset uint64
	// Payload is the message.
	Payload []byte
	// Key is the routing key; nil where the producer set none.
	Key *string
	// Attributes are the producer's.
	Attributes map[string]string
	// PublishTime is when the producer published the message, to the millisecond.
	PublishTime time.Time
	// Producer is who published it.
	Producer string
	// Subscription is the one that it came from.
	Subscription string
	// Schema is the payload's; nil where it has none. Only ID and Version are set where the
	// sidecar could not read it from the registry.
	Schema *Schema
	// Epoch grows with every session of the connector: a fencing token for external systems
	// that can refuse the writes of an older one.
	Epoch uint64

	deliveryID uint64
}

// Schema is a schema of Danube's registry.
type Schema struct {
	// ID is the registry's id of the subject.
	ID uint64
	// Version counts within the subject.
	Version uint32
	// Subject is what the schema is registered under.
	Subject string
	// Type is "bytes", "string", "number", "avro", "json_schema" or "protobuf".
	Type string
	// Definition is the schema itself, in the language of its type.
	Definition []byte
}

// Text is the payload as text. The error, where it is no UTF-8, rejects the record with the
// code "NOT_UTF8" when a sink returns it.
func (r *Record) Text() (string, error) {
	if !utf8.Valid(r.Payload) {
		return "", Reject(errors.New("the payload is not UTF-8")).WithCode("NOT_UTF8")
	}
	return string(r.Payload), nil
}

// JSON reads the payload into the value that target points to, as [json.Unmarshal] does. The
// error rejects the record with the code "NOT_JSON" when a sink returns it, and says where the
// payload does not fit, not what is there.
func (r *Record) JSON(target any) error {
	err := json.Unmarshal(r.Payload, target)
	if err == nil {
		return nil
	}
	return Reject(withoutContent(err, target)).WithCode("NOT_JSON")
}

// withoutContent describes an error of encoding/json, whose own texts quote the payload.
func withoutContent(err error, target any) error {
	var syntax *json.SyntaxError
	var mismatch *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("the payload is not JSON (byte %d)", syntax.Offset)
	case errors.As(err, &mismatch):
		return fmt.Errorf("the payload does not fit %T: %q wants %v (byte %d)",
			target, mismatch.Field, mismatch.Type, mismatch.Offset)
	default:
		return fmt.Errorf("the payload does not fit %T", target)
	}
}

// SourceRecord is one message to publish.
type SourceRecord struct {
	// Topic is one of the declared producers' topics; may be empty where there is only one.
	Topic string
	// Payload is the message. It must not be changed after it was handed over.
	Payload []byte
	// Key is the routing key, which chooses the partition and the order; nil for none (see [Key]).
	Key *string
	// Attributes are for the consumers. Names that begin with "x-source-" are the sidecar's.
	// The map must not be changed after it was handed over.
	Attributes map[string]string
	// Position is where the record stands in the external system; nil for none. It is stored
	// once everything up to it is published, and comes back in [Restorer].
	Position *Position
}

// Key is a routing key for a [SourceRecord].
func Key(key string) *string {
	return &key
}

// Position is a place in the external system, up to which a source has been read.
type Position struct {
	// SourcePartition is the independent sequence that Offset counts in: a file, a table, a
	// partition. Any name that is stable across restarts.
	SourcePartition string
	// Offset is where in that sequence. The sidecar stores it, and never computes with it.
	Offset uint64
	// Metadata is whatever else the connector needs to resume there; may be empty.
	Metadata string
}

// Rejection is a record that can never be published.
type Rejection struct {
	// Record is the record as it was handed over.
	Record SourceRecord
	// Code is "TOO_LARGE", "UNDECLARED_TOPIC" or "SCHEMA_MISMATCH".
	Code string
	// Message says what was wrong and what was expected.
	Message string
}

// Error describes the rejection. A [Pending] gives a *Rejection as its error.
func (r *Rejection) Error() string {
	return fmt.Sprintf("connector: the record can never be published (%s): %s", r.Code, r.Message)
}
