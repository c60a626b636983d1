/** This package's version; a test compares it with package.json. */
export const VERSION = "0.1.0";

/** What the sidecar's log calls this SDK. */
export const SDK = `danube-connector-typescript/${VERSION}`;
