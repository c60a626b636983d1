// The way to the sidecar.

import {
  Client,
  connectivityState,
  credentials,
  Metadata,
  type ClientOptions,
  type ServiceError,
} from "@grpc/grpc-js";
import { ADDRESS, targetOf } from "./address.js";
import type { Changes } from "./changes.js";
import type { ConnectorOptions } from "./options.js";
import { SidecarError, type Kind } from "./sidecar-error.js";
import { FrameStream } from "./stream.js";

const TOKEN = "DANUBE_SIDECAR_TOKEN";
const DEFAULT_ADDRESS = "http://127.0.0.1:6670";
const CONNECT_LIMIT = 5_000;

const OPTIONS: ClientOptions = {
  // What the sidecar's HTTP/2 library accepts on Unix sockets, too.
  "grpc.default_authority": "localhost",
  // The sidecar is next door, whatever proxy the environment names.
  "grpc.enable_http_proxy": 0,
  "grpc.service_config_disable_resolution": 1,
  // Trying again is this SDK's business: gRPC must neither repeat calls nor remember failures for the next try.
  "grpc.enable_retries": 0,
  "grpc.use_local_subchannel_pool": 1,
  // A batch of records comes in one go; HTTP/2's default of 64 KiB would stop and start it.
  "grpc-node.flow_control_window": 4 << 20,
};

/** A bidirectional method, from this side. */
export interface Method<Up, Down> {
  path: string;
  requestSerialize(frame: Up): Buffer;
  responseDeserialize(bytes: Buffer): Down;
}

/** The sidecar, seen from a connector. */
export class Sidecar {
  /** As it was given. */
  readonly address: string;
  private readonly target: string;
  private readonly metadata = new Metadata();

  /** Throws where the address or the token makes no sense. */
  constructor(
    options: ConnectorOptions,
    private readonly kind: Kind,
    private readonly changes: Changes,
  ) {
    this.address = options.address ?? process.env[ADDRESS] ?? DEFAULT_ADDRESS;
    this.target = targetOf(this.address);
    const token = options.token ?? process.env[TOKEN] ?? "";
    if (token !== "") this.metadata.set("authorization", bearer(token));
  }

  /** Opens a stream with `open`, and returns it with its first frame. Throws a SidecarError. */
  async dial<Up, Down>(
    method: Method<Up, Down>,
    open: Up,
    signal: AbortSignal,
  ): Promise<{ stream: FrameStream<Up, Down>; first: Down }> {
    const client = new Client(this.target, credentials.createInsecure(), OPTIONS);
    let stream: FrameStream<Up, Down> | undefined;
    const giveUp = (): void => {
      client.close();
      stream?.abandon(SidecarError.ended());
    };
    signal.addEventListener("abort", giveUp);
    try {
      const connected = await this.connected(client, signal);
      if (signal.aborted) throw SidecarError.ended();
      stream = this.call(client, method, connected);
      await stream.send(open);
      return { stream, first: await stream.first() };
    } catch (error) {
      giveUp();
      throw error;
    } finally {
      signal.removeEventListener("abort", giveUp);
    }
  }

  private call<Up, Down>(client: Client, method: Method<Up, Down>, connected: boolean): FrameStream<Up, Down> {
    const { path, requestSerialize, responseDeserialize } = method;
    const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, this.metadata);
    return new FrameStream(call, {
      changes: this.changes,
      release: () => client.close(),
      meaning: (error: ServiceError) =>
        connected ? SidecarError.of(error, this.kind) : SidecarError.unreachable(this.address, lastError(error.details)),
    });
  }

  /** Whether the connection stands. Where the attempt has failed, a call tells why. */
  private connected(client: Client, signal: AbortSignal): Promise<boolean> {
    const channel = client.getChannel();
    const deadline = Date.now() + CONNECT_LIMIT;
    return new Promise((resolve, reject) => {
      const look = (late?: Error): void => {
        if (late) return reject(SidecarError.unreachable(this.address, `no connection within ${CONNECT_LIMIT / 1000} s`));
        const state = channel.getConnectivityState(!signal.aborted);
        if (state === connectivityState.IDLE || state === connectivityState.CONNECTING) {
          channel.watchConnectivityState(state, deadline, look);
        } else {
          resolve(state === connectivityState.READY);
        }
      };
      look();
    });
  }
}

/** What gRPC says of an attempt that failed, less its own remarks around it. */
function lastError(details: string): string {
  return /Last error: (?:Error: )?(.*?)(?: \([^()]*Z\))?\. Resolution note/.exec(details)?.[1] ?? details;
}

function bearer(token: string): string {
  // No header can have others; gRPC's own complaint would show the token.
  if (!/^[\x20-\x7e]+$/.test(token)) throw new Error(`${TOKEN} has characters that no header may have`);
  return `Bearer ${token}`;
}
