/**
 * What the leader does for the other tabs: answers their questions, each once, and notices when one is gone.
 *
 * @module
 */
import type { Engine } from "../engine/engine.js";
import type { UserId, UserPresence } from "../wire.js";
import { faultOf, type Question, type Said, type TabId } from "./messages.js";

/** Answers are remembered for a question that is said again, so many of each tab. */
const REMEMBERED_MAX = 64;

interface Tab {
  /** By number; `undefined` while the engine works on it. */
  answers: Map<number, Said | undefined>;
}

/** Serves the other tabs while this one leads. */
export class Desk {
  readonly #engine: Engine;
  readonly #say: (said: Said) => void;
  readonly #gone: (tab: TabId) => Promise<void>;
  readonly #tabs = new Map<TabId, Tab>();
  readonly #presence = new Map<UserId, UserPresence>();

  /** @param gone - Resolves when a tab is no longer there. */
  constructor(engine: Engine, say: (said: Said) => void, gone: (tab: TabId) => Promise<void>) {
    this.#engine = engine;
    this.#say = say;
    this.#gone = gone;
  }

  /** A question of another tab. */
  asked(tab: TabId, n: number, question: Question): void {
    const { answers } = this.#tab(tab);
    this.#say({ say: "taken", tab, n });
    const known = answers.get(n);
    if (known !== undefined) this.#say(known);
    if (answers.has(n)) return;
    answers.set(n, undefined);
    for (const old of answers.keys()) {
      if (answers.size <= REMEMBERED_MAX || answers.get(old) === undefined) break;
      answers.delete(old);
    }
    const asked = question.do === "outbox" ? this.#engine.outbox() : this.#engine.ask(question);
    const answer = (said: Said) => {
      answers.set(n, said);
      this.#say(said);
    };
    asked.then(
      (value) => answer({ say: "answer", tab, n, answer: value }),
      (error: unknown) => answer({ say: "refusal", tab, n, fault: faultOf(error) }),
    );
    // It may be watching people whom another tab watches already: then no server will tell of them again.
    if (question.do === "watch") this.#tellPresence(tab, question.users);
  }

  /** States that were told, for a tab that begins to watch. */
  heard(users: readonly UserPresence[]): void {
    for (const presence of users) this.#presence.set(presence.user, presence);
  }

  #tellPresence(tab: TabId, users: readonly UserId[]): void {
    const known = users.flatMap((user) => this.#presence.get(user) ?? []);
    if (known.length > 0) this.#say({ say: "event", tab, type: "presence", event: { users: known } });
  }

  #tab(id: TabId): Tab {
    let tab = this.#tabs.get(id);
    if (tab === undefined) {
      this.#tabs.set(id, (tab = { answers: new Map() }));
      this.#gone(id)
        .then(
          () => {
            this.#tabs.delete(id);
            return this.#engine.ask({ do: "leave", tab: id });
          },
          // This tab has ceased to lead.
          () => undefined,
        )
        .catch(() => undefined);
    }
    return tab;
  }
}
