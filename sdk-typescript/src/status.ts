// What a gRPC status says besides its code and message: google.rpc.Status in a trailer.

import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import type { Metadata } from "@grpc/grpc-js";
import { Duration } from "./gen/google/protobuf/duration.js";
import { milliseconds } from "./time.js";

const TRAILER = "grpc-status-details-bin";
const ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo";
const RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo";

/** The details that the sidecar gives. */
export interface Details {
  /** ErrorInfo: the constant that names what was wrong. */
  reason?: string;
  /** RetryInfo: how many milliseconds to wait before the next try. */
  retryAfter?: number;
}

/** The details in these trailers; none where they are not there or make no sense. */
export function detailsOf(metadata: Metadata | undefined): Details {
  const trailer = metadata?.get(TRAILER)[0];
  if (!(trailer instanceof Uint8Array)) return {};
  try {
    return read(trailer);
  } catch {
    return {}; // Details are for people: a status without them still counts.
  }
}

function read(status: Uint8Array): Details {
  const details: Details = {};
  for (const any of chunks(status, 3)) {
    const [type] = chunks(any, 1);
    const [value = new Uint8Array()] = chunks(any, 2);
    const [first] = chunks(value, 1);
    if (type === undefined || first === undefined) continue;
    const name = new TextDecoder().decode(type);
    if (name === ERROR_INFO) details.reason = new TextDecoder().decode(first);
    if (name === RETRY_INFO) details.retryAfter = milliseconds(Duration.decode(first));
  }
  return details;
}

/** The values of one field of a message: strings, bytes and messages look alike. */
function chunks(message: Uint8Array, field: number): Uint8Array[] {
  const reader = new BinaryReader(message);
  const found: Uint8Array[] = [];
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    if (number === field && type === WireType.LengthDelimited) found.push(reader.bytes());
    else reader.skip(type, number);
  }
  return found;
}
