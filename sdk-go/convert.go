package connector

import (
	"fmt"
	"os"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/danube-messaging/danube-sidecar/sdk-go/gen"
)

// protocolVersion is the only one so far.
const protocolVersion = 1

// sinkOpen is the first frame of a sink.
func sinkOpen(options SinkOptions) (*pb.SinkOpen, error) {
	name, err := connectorName(options.Name)
	if err != nil {
		return nil, err
	}
	open := &pb.SinkOpen{
		Connector:          name,
		WorkerId:           options.Runtime.WorkerID,
		MinProtocolVersion: protocolVersion,
		MaxProtocolVersion: protocolVersion,
		Capabilities: []pb.Capability{
			pb.Capability_CAPABILITY_PROBE,
			pb.Capability_CAPABILITY_DRAIN,
			pb.Capability_CAPABILITY_SCHEMA,
		},
		Sdk:             sdkName,
		WindowRecords:   options.WindowRecords,
		WindowBytes:     options.WindowBytes,
		MaxBatchRecords: options.MaxBatchRecords,
		MaxBatchBytes:   options.MaxBatchBytes,
		Linger:          durationOrUnset(options.Linger),
		Retry:           retrySettings(options.Retry),
	}
	if options.Ordering != 0 {
		open.Ordering = pb.Ordering(options.Ordering).Enum()
	}
	for _, subscription := range options.Subscriptions {
		open.Subscriptions = append(open.Subscriptions, wireSubscription(subscription))
	}
	return open, sendable(open)
}

// sourceOpen is the first frame of a source.
func sourceOpen(options SourceOptions) (*pb.SourceOpen, error) {
	name, err := connectorName(options.Name)
	if err != nil {
		return nil, err
	}
	open := &pb.SourceOpen{
		Connector:          name,
		WorkerId:           options.Runtime.WorkerID,
		MinProtocolVersion: protocolVersion,
		MaxProtocolVersion: protocolVersion,
		Capabilities: []pb.Capability{
			pb.Capability_CAPABILITY_PROBE,
			pb.Capability_CAPABILITY_DRAIN,
			pb.Capability_CAPABILITY_POSITION_PAGES,
		},
		Sdk: sdkName,
	}
	for _, producer := range options.Producers {
		open.Producers = append(open.Producers, wireProducer(producer))
	}
	return open, sendable(open)
}

func connectorName(given string) (string, error) {
	if given == "" {
		given = os.Getenv(nameVariable)
	}
	if given == "" {
		return "", fmt.Errorf("connector: the connector has no name: set Name in the options, or %s", nameVariable)
	}
	return given, nil
}

// sendable finds what could never be sent, such as a topic that is not UTF-8.
func sendable(open proto.Message) error {
	if _, err := proto.Marshal(open); err != nil {
		return fmt.Errorf("connector: the options cannot be sent: %w", err)
	}
	return nil
}

func wireSubscription(subscription Subscription) *pb.Subscription {
	wire := &pb.Subscription{
		Topic:        subscription.Topic,
		Subscription: subscription.Name,
		ConsumerName: subscription.ConsumerName,
		KeyFilters:   subscription.KeyFilters,
	}
	if subscription.Type != 0 {
		wire.Type = pb.SubscriptionType(subscription.Type).Enum()
	}
	return wire
}

func wireProducer(producer Producer) *pb.Producer {
	wire := &pb.Producer{
		Topic:         producer.Topic,
		Partitions:    producer.Partitions,
		SchemaSubject: producer.SchemaSubject,
	}
	if producer.Unreliable {
		wire.Reliable = proto.Bool(false)
	}
	return wire
}

func retrySettings(settings *RetrySettings) *pb.RetrySettings {
	if settings == nil {
		return nil
	}
	return &pb.RetrySettings{
		MaxRetries:     settings.MaxRetries,
		InitialBackoff: durationOrUnset(settings.InitialBackoff),
		MaxBackoff:     durationOrUnset(settings.MaxBackoff),
	}
}

func durationOrUnset(duration time.Duration) *durationpb.Duration {
	if duration <= 0 {
		return nil
	}
	return durationpb.New(duration)
}

// sinkRecord is what a sink sees of a record.
func sinkRecord(wire *pb.SinkRecord, epoch uint64, schema *Schema) Record {
	return Record{
		DedupID:        wire.GetDedupId(),
		Attempt:        wire.GetAttempt(),
		Topic:          wire.GetTopic(),
		PartitionTopic: wire.GetPartitionTopic(),
		Offset:         wire.GetOffset(),
		Payload:        wire.GetPayload(),
		Key:            wire.Key,
		Attributes:     wire.GetAttributes(),
		PublishTime:    time.UnixMilli(int64(wire.GetPublishTimeMs())),
		Producer:       wire.GetProducerName(),
		Subscription:   wire.GetSubscription(),
		Schema:         schema,
		Epoch:          epoch,
		deliveryID:     wire.GetDeliveryId(),
	}
}

func wireFailure(deliveryID uint64, failed *Error) *pb.SinkFailure {
	outcome := pb.Outcome_OUTCOME_RETRY
	switch failed.Outcome {
	case OutcomeReject:
		outcome = pb.Outcome_OUTCOME_REJECT
	case OutcomeFiltered:
		outcome = pb.Outcome_OUTCOME_FILTERED
	case OutcomeBusy:
		outcome = pb.Outcome_OUTCOME_BUSY
	}
	failure := &pb.SinkFailure{
		DeliveryId: deliveryID,
		Outcome:    outcome,
		Code:       shortened(failed.Code),
		Message:    shortened(failed.Error()),
	}
	if outcome == pb.Outcome_OUTCOME_RETRY || outcome == pb.Outcome_OUTCOME_BUSY {
		failure.RetryAfter = durationOrUnset(failed.RetryAfter)
	}
	return failure
}

// wireFault is the farewell of a connector that cannot go on.
func wireFault(err error) *pb.Fault {
	return &pb.Fault{Code: shortened(outcomeOf(err).Code), Message: shortened(err.Error())}
}

func wireSourceRecord(record SourceRecord) *pb.SourceRecord {
	return &pb.SourceRecord{
		Topic:      record.Topic,
		Payload:    record.Payload,
		Key:        record.Key,
		Attributes: record.Attributes,
		Position:   wirePosition(record.Position),
	}
}

func wirePosition(position *Position) *pb.Position {
	if position == nil {
		return nil
	}
	wire := &pb.Position{SourcePartition: position.SourcePartition, Offset: position.Offset}
	if position.Metadata != "" {
		wire.Metadata = proto.String(position.Metadata)
	}
	return wire
}

func positions(wire []*pb.Position) []Position {
	found := make([]Position, 0, len(wire))
	for _, position := range wire {
		found = append(found, Position{
			SourcePartition: position.GetSourcePartition(),
			Offset:          position.GetOffset(),
			Metadata:        position.GetMetadata(),
		})
	}
	return found
}
