// google.rpc.Status, as sidecars put it into the trailer.

import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { Duration } from "../../src/gen/google/protobuf/duration.js";

function status(type: string, detail: Uint8Array): Uint8Array {
  const writer = new BinaryWriter();
  writer.tag(1, WireType.Varint).int32(14).tag(2, WireType.LengthDelimited).string("what");
  writer.tag(3, WireType.LengthDelimited).fork();
  writer.tag(1, WireType.LengthDelimited).string(`type.googleapis.com/google.rpc.${type}`);
  writer.tag(2, WireType.LengthDelimited).bytes(detail);
  return writer.join().finish();
}

/** A status with an ErrorInfo of this reason. */
export function details(reason: string): Uint8Array {
  const info = new BinaryWriter().tag(1, WireType.LengthDelimited).string(reason);
  return status("ErrorInfo", info.tag(2, WireType.LengthDelimited).string("danube").finish());
}

/** A status with a RetryInfo of so many milliseconds. */
export function retryInfo(ms: number): Uint8Array {
  const delay = Duration.encode({ seconds: 0n, nanos: ms * 1e6 }).finish();
  return status("RetryInfo", new BinaryWriter().tag(1, WireType.LengthDelimited).bytes(delay).finish());
}
