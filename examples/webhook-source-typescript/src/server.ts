// The HTTP side: who is answered what, and when.

import { once } from "node:events";
import { createServer, type IncomingMessage, type OutgoingHttpHeaders, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { RecordRejected, RecordTooLarge, SourceStopped, type Emitter, type SourceRecord } from "@danube-messaging/connector";
import { BadRequest, headerOf, recordOf } from "./record.js";
import { HEALTH, type WebhookSettings } from "./settings.js";
import { isSignedBy } from "./signature.js";

/** How often connections are looked at that may have timed out, in milliseconds. */
const CHECKING = 1_000;
/** How long clients may take to read the last answers, in milliseconds. */
const FAREWELL = 1_000;

/** What the sender of a request is told. */
interface Answer {
  status: number;
  text: string;
  headers?: OutgoingHttpHeaders;
}

/** Takes POSTs, emits them, and answers each when its record is committed. */
export class WebhookServer {
  private readonly server: Server;
  private closed: Promise<void> | undefined;

  constructor(
    private readonly settings: WebhookSettings,
    private readonly emitter: Pick<Emitter, "connected" | "tryEmit">,
  ) {
    const { requestTimeout, keepAliveTimeout, maxConnections } = settings;
    const timeouts = { requestTimeout, headersTimeout: requestTimeout, keepAliveTimeout };
    this.server = createServer({ ...timeouts, connectionsCheckingInterval: CHECKING }, (request, response) => {
      void this.serve(request, response);
    });
    this.server.maxConnections = maxConnections;
  }

  /** Listens, and returns its URL. Fails where the address cannot be had. */
  async listen(): Promise<string> {
    const { host, port } = this.settings;
    this.server.listen(port, host);
    await once(this.server, "listening");
    const { address, port: actual, family } = this.server.address() as AddressInfo;
    return `http://${family === "IPv6" ? `[${address}]` : address}:${actual}`;
  }

  /** Whether it listens. */
  get listening(): boolean {
    return this.server.listening;
  }

  /** Takes no new connection, and ends the idle ones. Requests that it has are answered. */
  close(): void {
    this.closed ??= new Promise((resolve) => this.server.close(() => resolve()));
  }

  /** Ends: what is answered by now may still be read for a moment. */
  async end(): Promise<void> {
    this.close();
    await within(FAREWELL, this.closed);
    this.server.closeAllConnections();
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let answer: Answer;
    try {
      answer = await this.answer(request);
    } catch (thrown) {
      if (request.errored) return; // The client has gone, or was too slow.
      answer = this.failure(thrown);
    }
    response.writeHead(answer.status, {
      "content-type": "text/plain; charset=utf-8",
      ...answer.headers,
      ...(this.listening ? {} : { connection: "close" }),
    });
    response.end(`${answer.text}\n`);
  }

  private async answer(request: IncomingMessage): Promise<Answer> {
    const { routes, maxBodyBytes } = this.settings;
    const [path = ""] = (request.url ?? "").split("?", 1);
    if (path === HEALTH) return this.emitter.connected ? { status: 200, text: "ok" } : this.away();
    const route = routes.get(path);
    if (route === undefined) return { status: 404, text: "no such webhook" };
    if (request.method !== "POST") return { status: 405, text: "expected POST", headers: { allow: "POST" } };
    if (!this.emitter.connected) return this.away();
    const body = await bodyOf(request, maxBodyBytes);
    if (body === undefined) return tooLarge(maxBodyBytes);
    const { signed } = route;
    if (signed && !isSignedBy(signed.secret, body, headerOf(request.headers, signed.header))) {
      return { status: 401, text: `the signature in ${signed.header} is missing or wrong` };
    }
    return this.publish(recordOf(route, request.headers, body));
  }

  private async publish(record: SourceRecord): Promise<Answer> {
    const emitted = this.emitter.tryEmit(record);
    if (emitted === undefined) return this.emitter.connected ? this.busy() : this.away();
    if (await within(this.settings.commitTimeout, emitted.committed)) return { status: 202, text: "published" };
    return { status: 504, text: "not known to be published: it still may be" };
  }

  private failure(thrown: unknown): Answer {
    if (thrown instanceof BadRequest) return { status: 400, text: thrown.message };
    if (thrown instanceof SourceStopped) return this.away();
    if (thrown instanceof RecordTooLarge) return { status: 413, text: "larger than any record may be" };
    if (thrown instanceof RecordRejected) return rejected(thrown);
    console.error(thrown);
    return { status: 500, text: "it failed" };
  }

  private busy(): Answer {
    return { status: 429, text: "no room: try again later", headers: this.later() };
  }

  private away(): Answer {
    return { status: 503, text: "not connected: try again later", headers: this.later() };
  }

  private later(): OutgoingHttpHeaders {
    return { "retry-after": String(this.settings.retryAfter) };
  }
}

function tooLarge(limit: number): Answer {
  return { status: 413, text: `expected a body of at most ${limit} bytes` };
}

/** A record that can never be published: it is the sender's fault unless the operator's file lacks the topic. */
function rejected({ code }: RecordRejected): Answer {
  if (code === "TOO_LARGE") return { status: 413, text: "larger than Danube accepts" };
  return { status: code === "UNDECLARED_TOPIC" ? 500 : 422, text: `can never be published: ${code}` };
}

/** The body; undefined where it is larger than `limit`. It is read to its end all the same: only then is an answer read. */
async function bodyOf(request: IncomingMessage, limit: number): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size <= limit) chunks.push(chunk);
    else chunks.length = 0;
  }
  return size <= limit ? Buffer.concat(chunks) : undefined;
}

/** Whether the promise resolves within so many milliseconds; rejects as it does. */
async function within(limit: number, promise: Promise<void> | undefined): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, limit, false);
  });
  try {
    return await Promise.race([late, promise?.then(() => true) ?? true]);
  } finally {
    clearTimeout(timer);
  }
}
