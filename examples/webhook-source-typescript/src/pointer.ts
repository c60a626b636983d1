// JSON pointers (RFC 6901).

/** The steps of a pointer such as `/customer/id`. Throws a RangeError where the text is none. */
export function pointerOf(text: string): string[] {
  if (!/^(\/([^~/]|~[01])*)*$/.test(text)) throw new RangeError(`"${text}" is no JSON pointer, such as /customer/id`);
  return text.split("/").slice(1).map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));
}

/** The value that the pointer leads to; undefined where it leads nowhere. */
export function valueAt(document: unknown, pointer: readonly string[]): unknown {
  let value = document;
  for (const step of pointer) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, step)) return undefined;
    value = (value as Record<string, unknown>)[step];
  }
  return value;
}
