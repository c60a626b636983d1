// What can go wrong between a connector and its sidecar.

import { status as codes, type ServiceError } from "@grpc/grpc-js";
import { detailsOf } from "./status.js";

/** Which protocol a connector speaks. */
export type Kind = "sink" | "source";

/** What is known of a {@link SidecarError} besides its message. */
interface Known {
  status?: string;
  reason?: string | undefined;
  permanent?: boolean;
  retryAfter?: number | undefined;
}

/** Statuses that come again until something is changed. */
const REFUSALS: readonly codes[] = [
  codes.INVALID_ARGUMENT,
  codes.FAILED_PRECONDITION,
  codes.PERMISSION_DENIED,
  codes.UNAUTHENTICATED,
];

/**
 * Why there is no session with the sidecar. A run fails only with those that are permanent; it outlasts
 * all others. Printed, it is its message and nothing else: what it was made of (gRPC's error with its metadata)
 * and where it came from (gRPC's event loop) tell an operator nothing.
 */
export class SidecarError extends Error {
  override readonly name = "SidecarError";
  readonly #known: Known;

  constructor(message: string, known: Known = {}) {
    super(message);
    this.#known = known;
    this.stack = `${this.name}: ${message}`;
  }

  /** The gRPC status, such as `PERMISSION_DENIED`; undefined where none came. */
  get status(): string | undefined {
    return this.#known.status;
  }

  /** The constant with which the sidecar says what it objects to (google.rpc.ErrorInfo). */
  get reason(): string | undefined {
    return this.#known.reason;
  }

  /** Whether trying again is in vain. */
  get permanent(): boolean {
    return this.#known.permanent ?? false;
  }

  /** How many milliseconds the sidecar asks to wait (google.rpc.RetryInfo). */
  get retryAfter(): number | undefined {
    return this.#known.retryAfter;
  }

  /** Nobody answers there. */
  static unreachable(address: string, why: string): SidecarError {
    return new SidecarError(`no sidecar answers at ${address}: ${why}`);
  }

  /** What a status means to this kind of connector. */
  static of(error: ServiceError, kind: Kind): SidecarError {
    const { reason, retryAfter } = detailsOf(error.metadata);
    const status = codes[error.code] ?? String(error.code);
    const name = reason === undefined ? status : `${status}, ${reason}`;
    const known: Known = { status, reason };
    if (kind === "source" && error.code === codes.ABORTED) {
      const what = "another process of this source has taken over";
      const remedy = "let only one run, or give each a connector name of its own";
      return new SidecarError(`${what} (${name}): ${error.details}; ${remedy}`, { ...known, permanent: true });
    }
    if (REFUSALS.includes(error.code)) {
      const message = `the sidecar refuses this connector (${name}): ${error.details}`;
      return new SidecarError(message, { ...known, permanent: true });
    }
    return new SidecarError(`the session with the sidecar broke (${name}): ${error.details}`, { ...known, retryAfter });
  }

  /** The sidecar ended the session. */
  static ended(): SidecarError {
    return new SidecarError("the sidecar ended the session");
  }

  /** The sidecar did not do `what` within so many milliseconds. */
  static slow(what: string, limit: number): SidecarError {
    return new SidecarError(`the sidecar did not ${what} within ${limit / 1000} s`);
  }

  /** The sidecar broke the protocol. */
  static protocol(what: string): SidecarError {
    return new SidecarError(`the sidecar broke the protocol: ${what}`);
  }
}
