import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    projects: [
      // Patient: the machine may be busy with other things.
      {
        test: {
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: ["test/live/**"],
          testTimeout: 30_000,
        },
      },
      {
        test: {
          name: "live",
          include: ["test/live/**/*.live.test.ts"],
          globalSetup: ["test/live/server.ts"],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});
