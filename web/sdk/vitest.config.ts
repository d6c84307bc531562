import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    projects: [
      { test: { name: "unit", include: ["test/**/*.test.ts"], exclude: ["test/live/**"] } },
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
