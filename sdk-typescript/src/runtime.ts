// What runs a connector, be it a sink or a source: from the first try to reach the sidecar to its close.

import { Changes } from "./changes.js";
import { HealthCheck } from "./health.js";
import { SILENT, type Log } from "./log.js";
import type { ConnectorHooks, ConnectorOptions, Settings } from "./options.js";
import { Patience } from "./patience.js";
import { SidecarError, type Kind } from "./sidecar-error.js";
import { Sidecar } from "./sidecar.js";
import { Stop } from "./stop.js";
import { asError } from "./text.js";
import { pause } from "./time.js";
import { Turns } from "./turns.js";

/** What outlives sessions. */
export class Runtime {
  readonly changes = new Changes();
  readonly log: Log;
  readonly stop: Stop;
  /** Calls of the connector that must not overlap. */
  readonly turns = new Turns();
  readonly health: HealthCheck;
  readonly sidecar: Sidecar;
  readonly patience: Patience;
  private beginning: Promise<void> | undefined;
  private began = false;
  private opened: boolean;

  constructor(
    private readonly connector: ConnectorHooks,
    options: ConnectorOptions,
    kind: Kind,
  ) {
    this.log = options.log ?? SILENT;
    this.stop = new Stop(options, this.log, this.changes);
    this.health = new HealthCheck(connector);
    this.sidecar = new Sidecar(options, kind, this.changes);
    this.patience = new Patience(this.sidecar.address, this.log);
    this.opened = connector.open === undefined;
  }

  /**
   * Hands the settings to the connector, and does `then`: at the first call only; every further one waits
   * for the first. What either throws is the run's failure.
   */
  begin(settingsJson: string, then: () => void | Promise<void> = () => undefined): Promise<void> {
    this.beginning ??= this.open(settingsJson)
      .then(then)
      .catch((thrown: unknown) => this.stop.fail(asError(thrown)))
      .finally(() => {
        this.began = true;
        this.changes.notify();
      });
    return this.beginning;
  }

  /**
   * Has one session after the other, until one returns. `busy` tells whether something of the connector
   * still runs that its close has to wait for.
   *
   * Throws what the connector failed with, or the sidecar's refusal.
   */
  async run(session: () => Promise<void>, busy: () => boolean = () => false): Promise<void> {
    const cease = this.stop.listen();
    try {
      await this.serve(session);
      // Whatever ended the sessions, nothing new begins, and what runs has its time.
      this.stop.request();
      const began = (): boolean => this.beginning === undefined || this.began;
      await this.changes.until(() => this.stop.overdue || (began() && this.turns.idle && !busy()));
      await this.close();
    } finally {
      cease();
    }
    if (this.stop.failure !== undefined) throw this.stop.failure;
  }

  private async serve(session: () => Promise<void>): Promise<void> {
    while (!this.stop.requested) {
      try {
        return await session();
      } catch (thrown) {
        const error = asError(thrown);
        if (!(error instanceof SidecarError) || error.permanent) return this.stop.fail(error);
        if (this.stop.requested) return;
        await pause(this.patience.failed(error), this.stop.signal);
      }
    }
  }

  private async open(settingsJson: string): Promise<void> {
    const settings = JSON.parse(settingsJson === "" ? "{}" : settingsJson) as Settings;
    await this.connector.open?.(settings);
    this.opened = true;
  }

  private async close(): Promise<void> {
    if (!this.opened) return;
    try {
      await this.connector.close?.();
    } catch (thrown) {
      this.stop.fail(asError(thrown));
    }
  }
}
