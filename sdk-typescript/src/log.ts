/** Where the SDK writes what it has to say; `console` is one. Payloads and secrets are never written. */
export interface Log {
  /** A session was opened or lost. */
  info(message: string): void;
  /** Something is wrong. */
  warn(message: string): void;
}

/** The default: says nothing. */
export const SILENT: Log = { info: () => undefined, warn: () => undefined };
