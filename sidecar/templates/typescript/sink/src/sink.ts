// Appends each record to a file, as a line of JSON.

import { open, type FileHandle } from "node:fs/promises";
import { Reject, type BatchSink, type Outcome, type Settings, type SinkRecord } from "@danube-messaging/connector";

export class FileSink implements BatchSink {
  private file: FileHandle | undefined;

  /** Called once, first, with the settings in the sidecar's file. What it throws ends the program. */
  async open(settings: Settings): Promise<void> {
    this.file = await open(String(settings["path"] ?? "{{name}}.jsonl"), "a");
  }

  /**
   * Writes a batch, and returns an outcome for each of its records: "written", or an error that says what follows.
   * What it throws (the disk is full) counts for all of them, and they are offered again. Throw a `Busy` where the
   * system takes nothing at present (HTTP 429, 503): that is no attempt of a record.
   *
   * A record may come twice, when the program dies between the write and the answer. It has the same `dedupId`
   * then: in a database, make that the primary key, and writing it again changes nothing.
   */
  async processBatch(records: SinkRecord[]): Promise<Outcome[]> {
    const lines: string[] = [];
    const outcomes = records.map((record): Outcome => {
      try {
        lines.push(line(record));
        return "written";
      } catch {
        return new Reject("the payload is no text", { code: "NOT_TEXT" }); // It becomes a dead letter.
      }
    });
    await this.file?.appendFile(lines.join(""));
    await this.file?.datasync(); // What was answered "written" never comes again: it has to be on the disk.
    return outcomes;
  }

  /** Called once, last. */
  async close(): Promise<void> {
    await this.file?.close();
  }
}

/** Throws where the payload is no UTF-8. */
function line(record: SinkRecord): string {
  const { dedupId, key, topic } = record;
  return `${JSON.stringify({ dedup_id: dedupId, key, payload: record.text(), topic })}\n`;
}
