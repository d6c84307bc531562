/**
 * A transcript of `nats/golden/transcripts/` as data: its steps, and the names in them.
 *
 * @module
 */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const DIR = fileURLToPath(new URL("../../../../nats/golden/transcripts/", import.meta.url));

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

/** One line: an object with one key. See the README beside the files. */
export interface Step {
  app?: JsonObject & { do: string };
  token?: string;
  connect?: string;
  client?: JsonObject;
  server?: JsonObject;
  close?: number;
  close_unless_left?: number;
  cut?: true;
  silence?: true;
  leave?: true;
  told?: JsonObject;
  peer?: JsonObject;
}

/** A file. */
export interface Script {
  name: string;
  title: string;
  vars: JsonObject;
  steps: Step[];
}

/** All of them. */
export function scripts(): Script[] {
  const files = readdirSync(DIR).filter((file) => file.endsWith(".json"));
  return files.map((file) => ({
    name: file.replace(".json", ""),
    ...(JSON.parse(readFileSync(DIR + file, "utf8")) as Omit<Script, "name">),
  }));
}

/** Values by name; a name that has none gets the one that it meets first. */
export class Vars {
  private values: Map<string, Json>;

  constructor(values: JsonObject) {
    this.values = new Map(Object.entries(values));
  }

  get(name: string): Json | undefined {
    return this.values.get(name);
  }

  set(name: string, value: Json): void {
    this.values.set(name, value);
  }

  /** `template` with values for its names. */
  fill(template: Json): Json {
    if (typeof template === "string" && template.startsWith("$")) {
      const value = this.values.get(template.slice(1));
      if (value === undefined) throw new Error(`${template} has no value`);
      return value;
    }
    if (Array.isArray(template)) return template.map((item) => this.fill(item));
    if (typeof template !== "object" || template === null) return template;
    const fields = Object.entries(template).map(([key, field]) => [this.key(key), this.fill(field)]);
    return Object.fromEntries(fields) as JsonObject;
  }

  /**
   * Compares, and gives names without a value the one that stands in their place; says what is different.
   * Fields that the template does not name are not looked at.
   */
  meet(template: Json, actual: Json | undefined): string | undefined {
    const before = new Map(this.values);
    const difference = this.compare(template, actual);
    if (difference !== undefined) this.values = before;
    return difference;
  }

  private compare(template: Json, actual: Json | undefined): string | undefined {
    const different = () => `${JSON.stringify(template)} is not ${JSON.stringify(actual)}`;
    if (template === "$any") return undefined;
    if (template === "$absent") return actual === undefined ? undefined : different();
    if (actual === undefined) return `${JSON.stringify(template)} is missing`;
    if (typeof template === "string" && template.startsWith("$")) {
      const value = this.values.get(template.slice(1));
      if (value !== undefined) return this.compare(value, actual) && different();
      this.values.set(template.slice(1), actual);
      return undefined;
    }
    if (Array.isArray(template)) {
      if (!Array.isArray(actual) || actual.length !== template.length) return different();
      return template.map((item, n) => this.compare(item, actual[n])).find(Boolean);
    }
    if (typeof template !== "object" || template === null) {
      return template === actual ? undefined : different();
    }
    if (typeof actual !== "object" || actual === null || Array.isArray(actual)) return different();
    for (const [key, field] of Object.entries(template)) {
      const difference = this.compare(field, actual[this.key(key)]);
      if (difference !== undefined) return `${key}: ${difference}`;
    }
    return undefined;
  }

  private key(key: string): string {
    return key.startsWith("$") ? String(this.fill(key)) : key;
  }
}
