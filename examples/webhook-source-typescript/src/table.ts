// Reading a table of settings: every value is checked, and every key has to be known.

/** A table of the operator's file. Its methods throw a RangeError that names the key, the value and what is expected. */
export class Table {
  private readonly unread: Set<string>;

  constructor(
    /** Where it stands, such as `routes."/hooks/orders"`; empty for the settings themselves. */
    readonly name: string,
    private readonly values: Readonly<Record<string, unknown>>,
  ) {
    this.unread = new Set(Object.keys(values));
  }

  /** A text, where there is one. */
  text(key: string): string | undefined {
    const value = this.take(key);
    if (value === undefined || (typeof value === "string" && value !== "")) return value;
    throw this.expected(key, "a text", value);
  }

  /** A whole number. */
  number(key: string, fallback: number, least: number, most: number): number {
    const value = this.take(key) ?? fallback;
    if (typeof value === "number" && Number.isInteger(value) && value >= least && value <= most) return value;
    throw this.expected(key, `a whole number from ${least} to ${most}`, value);
  }

  /** The name of a header, in lower case. */
  header(key: string, fallback: string): string;
  header(key: string): string | undefined;
  header(key: string, fallback?: string): string | undefined {
    const value = this.take(key) ?? fallback;
    return value === undefined ? undefined : this.headerName(key, value);
  }

  /** Names of headers, in lower case. */
  headers(key: string): string[] {
    const values = this.take(key) ?? [];
    if (!Array.isArray(values)) throw this.expected(key, "a list of headers", values);
    return values.map((value) => this.headerName(key, value));
  }

  /** The tables in a table. */
  tables(key: string): [string, Table][] {
    const value = this.take(key) ?? {};
    return Object.entries(this.record(key, value)).map(([inner, table]) => {
      const name = `${this.path(key)}."${inner}"`;
      return [inner, new Table(name, this.record(name, table))];
    });
  }

  /** Throws where there is a key that nobody asked for. */
  finish(): void {
    const [key] = this.unread;
    if (key !== undefined) throw new RangeError(`there is no setting ${this.path(key)}: see the README for those that are`);
  }

  private take(key: string): unknown {
    this.unread.delete(key);
    return this.values[key];
  }

  private headerName(key: string, value: unknown): string {
    if (typeof value === "string" && /^[\w!#$%&'*+.^`|~-]+$/.test(value)) return value.toLowerCase();
    throw this.expected(key, "the name of a header", value);
  }

  private record(name: string, value: unknown): Record<string, unknown> {
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return { ...value };
    throw new RangeError(`${name} is ${JSON.stringify(value)}: expected a table`);
  }

  private expected(key: string, what: string, value: unknown): RangeError {
    return new RangeError(`${this.path(key)} is ${JSON.stringify(value)}: expected ${what}`);
  }

  private path(key: string): string {
    return this.name === "" ? key : `${this.name}.${key}`;
  }
}
