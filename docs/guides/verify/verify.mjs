#!/usr/bin/env node
// Is a request one that lockstep signed?
//
// Usage: WEBHOOK_SECRET=whsec_... node verify.mjs ID TIMESTAMP SIGNATURES < body
// Exit code 0: it is. 1: it is not, and stderr says why.

import { createHmac, timingSafeEqual } from "node:crypto";
import { existsSync, readFileSync, realpathSync } from "node:fs";
import { pathToFileURL } from "node:url";

const TOLERANCE_S = 300;

// Null for a genuine request, else the reason. `body` is a Buffer with the bytes as they came. In Express that is
// `express.raw({ type: "application/json" })` for this route: JSON that was parsed and written again is another text.
export function verify(secret, id, timestamp, signatures, body, now = Date.now() / 1000) {
  if (!secret.startsWith("whsec_")) return "the secret does not begin with whsec_";
  if (!/^[0-9]+$/.test(timestamp)) return "the timestamp is no number";
  // Without this a request that somebody recorded could be played back for ever.
  if (Math.abs(now - Number(timestamp)) > TOLERANCE_S) return "the request is too old, or a clock is wrong";
  const key = Buffer.from(secret.slice("whsec_".length), "base64");
  const expected = createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body).digest();
  // Several signatures while a secret is being changed: one that fits is enough.
  for (const one of signatures.split(" ")) {
    const [version, code = ""] = one.split(",", 2);
    const given = Buffer.from(code, "base64");
    if (version === "v1" && given.length === expected.length && timingSafeEqual(given, expected)) return null;
  }
  return "no signature fits";
}

// Run as a command, not imported.
const program = process.argv[1] ?? "";
const paths = existsSync(program) ? [program, realpathSync(program)] : [];
if (paths.some((path) => pathToFileURL(path).href === import.meta.url)) {
  if (process.argv.length !== 5) {
    // Also for a signature that the shell took for two words: what was not looked at is not genuine.
    console.error("usage: WEBHOOK_SECRET=whsec_... node verify.mjs ID TIMESTAMP SIGNATURES < body");
    process.exit(1);
  }
  const [id, timestamp, signatures] = process.argv.slice(2);
  const reason = verify(process.env.WEBHOOK_SECRET ?? "", id, timestamp, signatures, readFileSync(0));
  if (reason !== null) {
    console.error(reason);
    process.exit(1);
  }
}
