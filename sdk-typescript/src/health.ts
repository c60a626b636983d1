// What the sidecar hears about the connector's health.

import { Health_Status, type Fault, type Health, type Probe } from "./gen/danube/connector/v1/common.js";
import type { ConnectorHooks } from "./options.js";
import { asError, codeOf, shortened } from "./text.js";

/** How long a check may take. */
const LIMIT = 4_000;

/** Answers probes. Checks never overlap: probes that come while one runs share its answer. */
export class HealthCheck {
  private running: Promise<string | undefined> | undefined;

  constructor(
    private readonly connector: ConnectorHooks,
    private readonly limit = LIMIT,
  ) {}

  /** The answer to a probe. */
  async answer({ probeId }: Probe): Promise<Health> {
    const checked = this.connector.health !== undefined;
    const trouble = await this.trouble();
    if (trouble === undefined) return { probeId, status: Health_Status.STATUS_HEALTHY, message: "", checked };
    return { probeId, status: Health_Status.STATUS_UNHEALTHY, message: shortened(trouble), checked };
  }

  private async trouble(): Promise<string | undefined> {
    if (this.connector.health === undefined) return undefined;
    this.running ??= this.check().finally(() => (this.running = undefined));
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<string>((resolve) => {
      timer = setTimeout(() => resolve(`the health check did not end within ${this.limit / 1000} s`), this.limit);
    });
    try {
      return await Promise.race([this.running, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  private async check(): Promise<string | undefined> {
    try {
      await this.connector.health?.();
      return undefined;
    } catch (thrown) {
      return asError(thrown).message;
    }
  }
}

/** The farewell of a connector that cannot go on. */
export function fault(error: Error): Fault {
  return { code: codeOf(error), message: shortened(error.message) };
}
