/**
 * Compresses the built page: `X.br` and `X.gz` beside each `X` that gains by it, so that a server sends what is
 * there instead of compressing the same file for each visitor.
 */
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";
import type { Plugin } from "vite";

/** Kinds of text; pictures and fonts are compressed by themselves. */
const COMPRESSIBLE = /\.(?:html|js|css|svg|json|webmanifest|txt)$/;
/** Below this a file fits into one packet as it is. */
const BYTES_MIN = 1024;

const encoders = {
  br: (data: Buffer) =>
    promisify(brotliCompress)(data, {
      params: {
        [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
        [constants.BROTLI_PARAM_SIZE_HINT]: data.length,
      },
    }),
  gz: (data: Buffer) => promisify(gzip)(data, { level: constants.Z_BEST_COMPRESSION }),
};

/** Writes the compressed forms of everything in the output directory, after all of it is there. */
export function precompress(): Plugin {
  let directory = "";
  return {
    name: "natterjack:precompress",
    apply: "build",
    enforce: "post",
    configResolved(config) {
      directory = join(config.root, config.build.outDir);
    },
    closeBundle: {
      order: "post",
      sequential: true,
      async handler(error) {
        if (!error) await compressAll(directory);
      },
    },
  };
}

async function compressAll(directory: string): Promise<void> {
  const files = await readdir(directory, { recursive: true });
  await Promise.all(
    files.filter((name) => COMPRESSIBLE.test(name)).map((name) => compress(join(directory, name))),
  );
}

async function compress(path: string): Promise<void> {
  const data = await readFile(path);
  for (const [suffix, encode] of Object.entries(encoders)) {
    const target = `${path}.${suffix}`;
    const encoded = data.length < BYTES_MIN ? data : await encode(data);
    // One of a former build must not stay beside a file that has none now.
    if (encoded.length < data.length) await writeFile(target, encoded);
    else await rm(target, { force: true });
  }
}
