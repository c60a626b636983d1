// What sinks and sources have in common.

import type { Log } from "./log.js";

/** A connector's own settings, as the operator wrote them at the sidecar. */
export type Settings = Readonly<Record<string, unknown>>;

/** Hooks that every connector may have. */
export interface ConnectorHooks {
  /**
   * Called once, before any record, with the settings from the operator's file at the sidecar (`{}` where
   * there are none). What it throws ends the run.
   */
  open?(settings: Settings): void | Promise<void>;

  /**
   * Whether the external system is well: throws where it is not, and the operator is shown the message.
   * The sidecar asks now and then, also while records are being written; it has 4 seconds.
   */
  health?(): void | Promise<void>;

  /** Flushes and closes. Called once, last, unless `open` was not called or failed. */
  close?(): void | Promise<void>;
}

/** Options of every connector. */
export interface ConnectorOptions {
  /**
   * The connector's name: the sidecar's key for its settings, positions and metrics.
   * Default: `CONNECTOR_NAME` of the environment; without either the run fails.
   */
  connector?: string;

  /**
   * Where the sidecar listens: `http://HOST:PORT` or `unix:///PATH`.
   * Default: `DANUBE_SIDECAR_ADDRESS` of the environment, else `http://127.0.0.1:6670`.
   */
  address?: string;

  /** The sidecar's token, where it asks for one. Default: `DANUBE_SIDECAR_TOKEN` of the environment. */
  token?: string;

  /** Tells processes of this connector apart in the sidecar's log. Default: given by the sidecar. */
  workerId?: string;

  /** Stops the connector, as SIGTERM does. */
  signal?: AbortSignal;

  /** Whether SIGTERM and SIGINT stop the connector; a second one ends the process. Default: true. */
  handleSignals?: boolean;

  /** How many milliseconds it may work on what is in hand after it was asked to stop. Default: 10 000. */
  stopTimeout?: number;

  /** Where to write what happens; `console` is one. Default: nowhere. */
  log?: Log;
}

/** The connector's name. Throws where there is none. */
export function connectorName(options: ConnectorOptions): string {
  const name = options.connector ?? process.env["CONNECTOR_NAME"] ?? "";
  if (name === "") throw new Error("the connector has no name: give the option `connector`, or set CONNECTOR_NAME");
  return name;
}
