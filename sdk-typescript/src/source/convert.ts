// Between the wire's frames and what sources see.

import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { Capability, type Limits, type Position as WirePosition } from "../gen/danube/connector/v1/common.js";
import {
  SourceRecord as WireRecord,
  SourceServiceRunRequest,
  SourceServiceService,
  type SourceServiceRunResponse,
} from "../gen/danube/connector/v1/source.js";
import { connectorName } from "../options.js";
import type { Method } from "../sidecar.js";
import { SDK } from "../version.js";
import type { Position, SourceOptions, SourceRecord } from "./source.js";

/** What gRPC libraries accept by default, less the protocol's reserve: for a sidecar that names no limit. */
const DEFAULT_LIMIT = (4 << 20) - (64 << 10);

/** Sources send frames that are encoded already: records are encoded once, however often they are sent. */
export const METHOD: Method<Uint8Array, SourceServiceRunResponse> = {
  path: SourceServiceService.run.path,
  requestSerialize: bufferOf,
  responseDeserialize: SourceServiceService.run.responseDeserialize,
};

/** A frame. */
export function frame(request: SourceServiceRunRequest): Uint8Array {
  return SourceServiceRunRequest.encode(request).finish();
}

/** The first frame of a source. Throws where an option makes no sense. */
export function openFrame(options: SourceOptions): Uint8Array {
  return frame(
    SourceServiceRunRequest.fromPartial({
      open: {
        connector: connectorName(options),
        workerId: options.workerId,
        minProtocolVersion: 1,
        maxProtocolVersion: 1,
        capabilities: [
          Capability.CAPABILITY_PROBE,
          Capability.CAPABILITY_DRAIN,
          Capability.CAPABILITY_POSITION_PAGES,
        ],
        sdk: SDK,
        producers: options.producers,
      },
    }),
  );
}

/** The `records` frame of these encoded records: what the generated encoder makes of them, without encoding them again. */
export function recordsFrame(firstNumber: number, records: readonly Uint8Array[]): Uint8Array {
  const writer = new BinaryWriter();
  writer.tag(2, WireType.LengthDelimited).fork(); // SourceServiceRunRequest.records
  writer.tag(1, WireType.Varint).uint64(firstNumber); // SourceRecords.first_number
  for (const record of records) writer.tag(2, WireType.LengthDelimited).bytes(record); // SourceRecords.records
  return writer.join().finish();
}

/** A record, encoded. Throws where it cannot be, such as for a negative offset. */
export function encoded({ topic, payload, key, attributes, position }: SourceRecord): Uint8Array {
  return WireRecord.encode({
    topic: topic ?? "",
    payload: bufferOf(payload),
    key,
    attributes: { ...attributes },
    position: position && { ...position, metadata: position.metadata },
  }).finish();
}

/** An encoded record for the source. */
export function decoded(bytes: Uint8Array): SourceRecord {
  return WireRecord.decode(bytes);
}

function bufferOf(payload: Uint8Array | string): Buffer {
  if (typeof payload === "string") return Buffer.from(payload);
  return Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
}

/** A position for the source. */
export function position({ sourcePartition, offset, metadata }: WirePosition): Position {
  return { sourcePartition, offset, metadata };
}

/** The largest frame that the sidecar accepts, in bytes. */
export function frameLimit(limits: Limits | undefined): number {
  return Number(limits?.maxInboundFrameBytes ?? 0) || DEFAULT_LIMIT;
}
