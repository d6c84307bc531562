import { defineConfig } from "vitest/config";

export default defineConfig({
  // The SDK from its source, as the page has it.
  resolve: { conditions: ["source"] },
  ssr: { resolve: { conditions: ["source"] } },
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["src/global.ts"],
    // One stack and one browser serve all files; side by side, they would only wait for each other.
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 180_000,
  },
});
