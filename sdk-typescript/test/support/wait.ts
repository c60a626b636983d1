// Waiting for what tests do.

import assert from "node:assert/strict";
import { Changes } from "../../src/changes.js";

/** Something that happens once. */
export class Gate<T = void> {
  readonly opened: Promise<T>;
  open!: (value: T) => void;

  constructor() {
    this.opened = new Promise((resolve) => (this.open = resolve));
  }
}

/** What happened, in order; tests wait until it did. */
export class Journal {
  readonly lines: string[] = [];
  private readonly changes = new Changes();

  readonly write = (line: string): void => {
    this.lines.push(line);
    this.changes.notify();
  };

  /** Waits until this line was written. */
  async has(line: string): Promise<void> {
    assert.ok(await this.changes.until(() => this.lines.includes(line), 8_000), `"${line}" in ${this.lines.join(", ")}`);
  }
}
