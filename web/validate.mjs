// Check GLB files with the Khronos validator: node web/validate.mjs FILE...
// Prints {file: {errors: [...], warnings: [...]}} as JSON; every message has its place in the file.

import { readFile } from "node:fs/promises";
import validator from "gltf-validator";

const SEVERITY = { errors: 0, warnings: 1 };

async function check(file) {
  const report = await validator.validateBytes(new Uint8Array(await readFile(file)), { uri: file });
  const of = (severity) =>
    report.issues.messages
      .filter((issue) => issue.severity === severity)
      .map((issue) => `${issue.code} at ${issue.pointer ?? issue.offset}: ${issue.message}`);
  return Object.fromEntries(Object.entries(SEVERITY).map(([name, severity]) => [name, of(severity)]));
}

const reports = {};
for (const file of process.argv.slice(2)) {
  reports[file] = await check(file);
}
process.stdout.write(`${JSON.stringify(reports, null, 2)}\n`);
