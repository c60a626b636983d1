package connector

import (
	"log/slog"
	"time"
)

// Version is the SDK's version.
const Version = "0.1.0"

const (
	addressVariable = "DANUBE_SIDECAR_ADDRESS"
	tokenVariable   = "DANUBE_SIDECAR_TOKEN"
	nameVariable    = "CONNECTOR_NAME"
	defaultAddress  = "http://127.0.0.1:6670"
	sdkName         = "danube-connector-go/" + Version
)

// RuntimeOptions say how a connector runs. The zero value is right for most.
type RuntimeOptions struct {
	// Address is where the sidecar listens: http://HOST:PORT or unix:///PATH. Default: the
	// environment's DANUBE_SIDECAR_ADDRESS, else http://127.0.0.1:6670.
	Address string
	// Token is sent to a sidecar that asks for one, and never logged. Default: the
	// environment's DANUBE_SIDECAR_TOKEN, else none.
	Token string
	// WorkerID tells the processes of one connector apart in logs and status. Default: given
	// by the sidecar.
	WorkerID string
	// StopTimeout is how long the connector may work on what it has in hand after it was asked
	// to stop. Default 10 s.
	StopTimeout time.Duration
	// NoSignals leaves SIGTERM and SIGINT alone. By default they stop the connector as the end
	// of the context does, and a second one ends the process at once.
	NoSignals bool
	// Logger is where the SDK logs to. Default: slog.Default().
	Logger *slog.Logger
}

// SinkOptions describe a sink. What the operator's file says wins over all that is proposed
// here; what is zero is left to the sidecar.
type SinkOptions struct {
	// Name is the connector's: the sidecar's key for configuration, metrics and dead letters.
	// Default: the environment's CONNECTOR_NAME; one of both is required.
	Name string
	// Subscriptions say what to consume, unless the operator's file names subscriptions.
	Subscriptions []Subscription
	// WindowRecords is how many records may be unanswered at most. Sidecar's default: 1000.
	WindowRecords uint32
	// WindowBytes is how many encoded bytes may be unanswered at most; one record always
	// passes. Sidecar's default: 16 MiB.
	WindowBytes uint64
	// MaxBatchRecords is the most records in one batch. Sidecar's default: half the window,
	// and 1000 at most.
	MaxBatchRecords uint32
	// MaxBatchBytes is the most encoded bytes in one batch. Sidecar's default: 1 MiB.
	MaxBatchBytes uint64
	// Linger is how long a batch that is not full may wait for more. Sidecar's default: 0.
	Linger time.Duration
	// Ordering says which records wait for each other. Sidecar's default: OrderingKey.
	Ordering Ordering
	// Retry proposes how records are offered again; nil for the sidecar's defaults.
	Retry *RetrySettings
	// Runtime says how the sink runs.
	Runtime RuntimeOptions
}

// Subscription is a Danube subscription.
type Subscription struct {
	// Topic, as "/namespace/topic". All its partitions are consumed. Required.
	Topic string
	// Name is the subscription's. Default: the connector's name.
	Name string
	// Type. Default: Exclusive.
	Type SubscriptionType
	// ConsumerName must be unique in the subscription. Default: the connector's name.
	ConsumerName string
	// KeyFilters are glob patterns of routing keys; KeyShared only.
	KeyFilters []string
}

// SubscriptionType is Danube's. The zero value leaves it to the sidecar: Exclusive.
type SubscriptionType int32

const (
	// Exclusive: one consumer, in order.
	Exclusive SubscriptionType = iota + 1
	// Shared: several consumers share the messages.
	Shared
	// Failover: one active consumer.
	Failover
	// KeyShared: keys are spread over consumers. Refused unless the operator allows it.
	KeyShared
)

// Ordering says which records are delivered one after the other. The zero value leaves it to
// the sidecar: OrderingKey.
type Ordering int32

const (
	// OrderingKey: those of one routing key. A record without a key waits for nobody.
	OrderingKey Ordering = iota + 1
	// OrderingPartition: those of one partition of the topic.
	OrderingPartition
	// OrderingNone: none.
	OrderingNone
)

// RetrySettings say how the sidecar offers failed records again.
type RetrySettings struct {
	// MaxRetries is how many attempts may fail after the first one. Nil: the sidecar's default, 3.
	MaxRetries *uint32
	// InitialBackoff comes before the first retry, and doubles. Zero: the sidecar's default, 1 s.
	InitialBackoff time.Duration
	// MaxBackoff bounds the backoff. Zero: the sidecar's default, 30 s.
	MaxBackoff time.Duration
}

// SourceOptions describe a source. What the operator's file says wins over all that is
// proposed here.
type SourceOptions struct {
	// Name is the connector's: the sidecar's key for configuration, positions and metrics.
	// Default: the environment's CONNECTOR_NAME; one of both is required.
	Name string
	// Producers are the topics that the connector publishes to, unless the operator's file
	// names producers. A record for any other topic is rejected.
	Producers []Producer
	// PollInterval is how long the SDK rests after a poll that brought nothing. Default 100 ms.
	PollInterval time.Duration
	// Runtime says how the source runs.
	Runtime RuntimeOptions
}

// Producer is a Danube topic to publish to.
type Producer struct {
	// Topic, as "/namespace/topic". It is created where it does not exist. Required.
	Topic string
	// Partitions is how many partitions the topic has; 0 for a topic without.
	Partitions uint32
	// Unreliable lets Danube forget messages before they are acked: delivery at most once.
	Unreliable bool
	// SchemaSubject is a subject of Danube's registry, whose latest version is attached to each
	// message; empty for none.
	SchemaSubject string
}
