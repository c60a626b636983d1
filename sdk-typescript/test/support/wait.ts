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
    await this.begins(line);
    assert.ok(this.lines.includes(line), `"${line}" in ${this.lines.join(", ")}`);
  }

  /** Waits until a line was written that begins so, and returns its rest. */
  async begins(start: string): Promise<string> {
    const found = (): string | undefined => this.lines.find((line) => line.startsWith(start));
    assert.ok(await this.changes.until(() => found() !== undefined, 8_000), `"${start}" in ${this.lines.join(", ")}`);
    return (found() ?? "").slice(start.length);
  }
}
