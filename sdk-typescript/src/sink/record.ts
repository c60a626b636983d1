// What a sink gets.

/** A schema of Danube's registry. */
export interface Schema {
  /** The registry's id of the subject. */
  readonly id: bigint;
  /** The version within the subject. */
  readonly version: number;
  /** The subject that the schema is registered under. */
  readonly subject: string;
  /** `bytes`, `string`, `number`, `avro`, `json_schema` or `protobuf`. */
  readonly type: string;
  /** The schema itself, in the language of its type. */
  readonly definition: Uint8Array;
}

/** What a {@link SinkRecord} is made of. */
export interface SinkRecordFields {
  dedupId: string;
  attempt: number;
  topic: string;
  partitionTopic: string;
  offset: bigint;
  payload: Uint8Array;
  key?: string | undefined;
  attributes: Readonly<Record<string, string>>;
  publishTime: Date;
  producer: string;
  subscription: string;
  schema?: Schema | undefined;
  epoch: bigint;
}

/** One Danube message, offered to a sink. */
export class SinkRecord {
  /**
   * The same at every offer of the same message, different for different ones: 32 hexadecimal characters.
   * Make writes idempotent with it.
   */
  readonly dedupId: string;
  /** 1 at the first offer of this record, counted up at each further one. */
  readonly attempt: number;
  /** The topic as subscribed: `/default/orders`. */
  readonly topic: string;
  /** The partition's own topic: `/default/orders-part-2`; the same as `topic` where there are no partitions. */
  readonly partitionTopic: string;
  /** Consecutive within the partition. It can repeat after a broker restart: see `dedupId`. */
  readonly offset: bigint;
  /** The message. */
  readonly payload: Uint8Array;
  /** The routing key, where the producer set one. */
  readonly key: string | undefined;
  /** The producer's attributes. */
  readonly attributes: Readonly<Record<string, string>>;
  /** When the producer published it. */
  readonly publishTime: Date;
  /** Who published it. */
  readonly producer: string;
  /** The subscription it came from. */
  readonly subscription: string;
  /** The schema of the payload, where it has one. */
  readonly schema: Schema | undefined;
  /** Grows with every session: a fencing token for systems that can refuse writes of an older one. */
  readonly epoch: bigint;

  /** For tests of a sink; what is not given is empty, and it is the first attempt. */
  constructor(fields: Partial<SinkRecordFields> = {}) {
    this.dedupId = fields.dedupId ?? "0".repeat(32);
    this.attempt = fields.attempt ?? 1;
    this.topic = fields.topic ?? "";
    this.partitionTopic = fields.partitionTopic ?? this.topic;
    this.offset = fields.offset ?? 0n;
    this.payload = fields.payload ?? new Uint8Array();
    this.key = fields.key;
    this.attributes = fields.attributes ?? {};
    this.publishTime = fields.publishTime ?? new Date(0);
    this.producer = fields.producer ?? "";
    this.subscription = fields.subscription ?? "";
    this.schema = fields.schema;
    this.epoch = fields.epoch ?? 0n;
  }

  /** The payload as UTF-8 text. Throws a TypeError where it is none. */
  text(): string {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(this.payload);
  }

  /** The payload as JSON; nothing checks that it is a `T`. Throws where it is no JSON. */
  json<T = unknown>(): T {
    return JSON.parse(this.text()) as T;
  }
}
