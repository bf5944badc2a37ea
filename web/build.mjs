/**
 * Bundle src/ and the parts of three.js that it uses into one file, which Python embeds in pages.
 *
 *     node build.mjs [FILE]     FILE is ../pipeline/export/viewer/viewer.js
 */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { argv } from "node:process";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const three = join(here, "node_modules/three");
const { version } = JSON.parse(readFileSync(join(three, "package.json"), "utf8"));
const licence = readFileSync(join(three, "LICENSE"), "utf8").trim();

await build({
  absWorkingDir: here,
  entryPoints: ["src/main.js"],
  outfile: argv[2] ?? join(here, "../pipeline/export/viewer/viewer.js"),
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2022",
  charset: "ascii", // independent of the encoding of an embedding page
  legalComments: "none", // in the banner
  banner: {
    js: `/*! Made by web/build.mjs from web/src. Do not edit.\n\nThe viewer is under the licence of this project; it holds three.js ${version} under this one:\n\n${licence}\n*/`,
  },
});
