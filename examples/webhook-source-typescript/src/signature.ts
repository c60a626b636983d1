// Proof that the sender of a body knows the secret.

import { createHmac, timingSafeEqual } from "node:crypto";

/**
 * Whether `signature` is the body's HMAC-SHA256 with this secret: 64 hexadecimal digits, alone or behind
 * `sha256=`. Comparing takes the same time wherever they differ.
 */
export function isSignedBy(secret: string, body: Buffer, signature: string | undefined): boolean {
  const digits = /^(?:sha256=)?([0-9a-f]{64})$/i.exec(signature ?? "")?.[1];
  if (digits === undefined) return false;
  return timingSafeEqual(Buffer.from(digits, "hex"), createHmac("sha256", secret).update(body).digest());
}
