package connector

import (
	"errors"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	pb "github.com/danube-messaging/danube-sidecar/sdk-go/gen"
)

// entry is a record in the outbox.
type entry struct {
	record SourceRecord
	wire   *pb.SourceRecord
	// Its encoded size, as the sidecar counts it.
	bytes   int
	pending *Pending
}

// newEntry prepares a record. The error says why it could never be sent.
func newEntry(record SourceRecord) (*entry, error) {
	if !isText(record) {
		return nil, Fatal(errors.New("connector: topic, key, attributes and position of a record must be UTF-8")).
			WithCode("INVALID_RECORD")
	}
	wire := wireSourceRecord(record)
	return &entry{record: record, wire: wire, bytes: encodedSize(wire), pending: newPending()}, nil
}

func isText(record SourceRecord) bool {
	valid := utf8.ValidString(record.Topic) && (record.Key == nil || utf8.ValidString(*record.Key))
	for name, value := range record.Attributes {
		valid = valid && utf8.ValidString(name) && utf8.ValidString(value)
	}
	if position := record.Position; position != nil {
		valid = valid && utf8.ValidString(position.SourcePartition) && utf8.ValidString(position.Metadata)
	}
	return valid
}

// isOf tells whether the record stands in this source partition.
func (e *entry) isOf(sourcePartition string) bool {
	return e.record.Position != nil && e.record.Position.SourcePartition == sourcePartition
}

// encodedSize is a record's size in the sidecar's encoding, which leaves empty names and values of attributes out where
// Go's writes them. Were it more, demand and what is sent against it would drift apart.
func encodedSize(record *pb.SourceRecord) int {
	size := proto.Size(record)
	for name, value := range record.GetAttributes() {
		if name != "" && value != "" {
			continue
		}
		whole := fieldSize(name) + fieldSize(value)
		least := whole
		for _, text := range []string{name, value} {
			if text == "" {
				least -= fieldSize(text)
			}
		}
		size -= protowire.SizeBytes(whole) - protowire.SizeBytes(least)
	}
	return size
}

// fieldSize is the size of a text inside a map's entry, with its tag.
func fieldSize(text string) int {
	return 1 + protowire.SizeBytes(len(text))
}
