// Publishes the files of a spool folder (000001.json, 000002.json, …), and removes those that are safe in Danube.

import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { runSource, type SourceRecord } from "@danube-messaging/connector";

const folder = process.env["SPOOL"] ?? "spool";
let last = 0;

/** Names of files with numbers in this range, in order. */
async function files(from: number, to: number): Promise<string[]> {
  const names = await readdir(folder);
  return names.filter((name) => parseInt(name) >= from && parseInt(name) <= to).sort();
}

await runSource(
  {
    async restore(positions) {
      last = Number(positions[0]?.offset ?? 0);
      // The program may have died between a commit and the removal.
      for (const name of await files(0, last)) await rm(join(folder, name));
    },
    async poll() {
      const records: SourceRecord[] = [];
      for (const name of (await files(last + 1, Infinity)).slice(0, 100)) {
        const position = { sourcePartition: "spool", offset: BigInt(parseInt(name)), metadata: name };
        records.push({ payload: await readFile(join(folder, name)), position });
      }
      last = Number(records.at(-1)?.position?.offset ?? last);
      return records;
    },
    async commit(positions) {
      for (const { metadata: name = "" } of positions) await rm(join(folder, name));
    },
  },
  { connector: "spool", producers: [{ topic: "/default/spool" }], log: console },
);
