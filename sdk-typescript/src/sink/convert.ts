// Between the wire's frames and what sinks see.

import { Capability } from "../gen/danube/connector/v1/common.js";
import {
  Ordering,
  Outcome as WireOutcome,
  SinkServiceRunRequest,
  SubscriptionType,
  type Schema as WireSchema,
  type SinkFailure,
  type SinkRecord as WireRecord,
} from "../gen/danube/connector/v1/sink.js";
import type { Duration } from "../gen/google/protobuf/duration.js";
import { Busy, Filtered, Reject, Retry } from "../errors.js";
import { connectorName } from "../options.js";
import { codeOf, shortened } from "../text.js";
import { duration } from "../time.js";
import { SDK } from "../version.js";
import { SinkRecord, type Schema } from "./record.js";
import type { RetrySettings, SinkOptions, Subscription } from "./sink.js";

const ORDERINGS = {
  key: Ordering.ORDERING_KEY,
  partition: Ordering.ORDERING_PARTITION,
  none: Ordering.ORDERING_NONE,
};

const TYPES = {
  exclusive: SubscriptionType.SUBSCRIPTION_TYPE_EXCLUSIVE,
  shared: SubscriptionType.SUBSCRIPTION_TYPE_SHARED,
  failover: SubscriptionType.SUBSCRIPTION_TYPE_FAILOVER,
  "key-shared": SubscriptionType.SUBSCRIPTION_TYPE_KEY_SHARED,
};

/** The first frame of a sink. Throws where an option makes no sense. */
export function openFrame(options: SinkOptions): SinkServiceRunRequest {
  const { linger, ordering, retry } = options;
  return SinkServiceRunRequest.fromPartial({
    open: {
      connector: connectorName(options),
      workerId: options.workerId,
      minProtocolVersion: 1,
      maxProtocolVersion: 1,
      capabilities: [Capability.CAPABILITY_PROBE, Capability.CAPABILITY_DRAIN, Capability.CAPABILITY_SCHEMA],
      sdk: SDK,
      subscriptions: options.subscriptions?.map(subscription),
      windowRecords: options.windowRecords,
      windowBytes: options.windowBytes,
      maxBatchRecords: options.maxBatchRecords,
      maxBatchBytes: options.maxBatchBytes,
      linger: linger === undefined ? undefined : duration(linger),
      ordering: ordering === undefined ? undefined : ORDERINGS[ordering],
      retry: retry === undefined ? undefined : retrySettings(retry),
    },
  });
}

function subscription({ type, ...names }: Subscription) {
  return { ...names, type: type === undefined ? undefined : TYPES[type] };
}

function retrySettings({ maxRetries, initialBackoff, maxBackoff }: RetrySettings) {
  return {
    maxRetries,
    initialBackoff: initialBackoff === undefined ? undefined : duration(initialBackoff),
    maxBackoff: maxBackoff === undefined ? undefined : duration(maxBackoff),
  };
}

/** A record for the sink. */
export function record(wire: WireRecord, epoch: bigint, schema: Schema | undefined): SinkRecord {
  return new SinkRecord({
    dedupId: wire.dedupId,
    attempt: wire.attempt,
    topic: wire.topic,
    partitionTopic: wire.partitionTopic,
    offset: wire.offset,
    payload: wire.payload,
    key: wire.key,
    attributes: wire.attributes,
    publishTime: new Date(Number(wire.publishTimeMs)),
    producer: wire.producerName,
    subscription: wire.subscription,
    schema,
    epoch,
  });
}

/** A schema for the sink; none where the frame does not say which. */
export function schema({ ref, subject, type, definition }: WireSchema): Schema | undefined {
  return ref && { id: ref.schemaId, version: ref.version, subject, type, definition };
}

/** Whether what was thrown means that the record is to be offered again. */
export function comesAgain(error: Error): boolean {
  return !(error instanceof Reject || error instanceof Filtered);
}

/** What a record failed with, for the wire. */
export function failure(deliveryId: bigint, error: Error): SinkFailure {
  return {
    deliveryId,
    outcome: outcome(error),
    retryAfter: retryAfter(error),
    code: codeOf(error),
    message: shortened(error.message),
  };
}

function retryAfter(error: Error): Duration | undefined {
  const waits = error instanceof Retry || error instanceof Busy;
  return waits && error.after !== undefined ? duration(error.after) : undefined;
}

function outcome(error: Error): WireOutcome {
  if (error instanceof Busy) return WireOutcome.OUTCOME_BUSY;
  if (error instanceof Reject) return WireOutcome.OUTCOME_REJECT;
  if (error instanceof Filtered) return WireOutcome.OUTCOME_FILTERED;
  return WireOutcome.OUTCOME_RETRY;
}
