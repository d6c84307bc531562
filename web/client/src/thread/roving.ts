/**
 * The keyboard in the message list, as the feed pattern has it: the list is one stop of the Tab key, and within it
 * PageUp and PageDown (and the arrows) go from message to message.
 *
 * The stops are set on the elements themselves: one changes with each move, and the rows need not know.
 *
 * @module
 */

/** What keys lead out of the list or act on a message. */
export interface Ways {
  /** Ctrl+Home: what comes before the list. */
  before(): void;
  /** Ctrl+End: what comes after it. */
  after(): void;
  menu(row: HTMLElement): void;
  /** Somebody begins to write. */
  write(): void;
}

/** Which row is the stop of the Tab key. */
export class Roving {
  readonly #rows: HTMLElement;
  readonly #ways: Ways;
  #stop: HTMLElement | undefined;

  constructor(rows: HTMLElement, ways: Ways) {
    this.#rows = rows;
    this.#ways = ways;
  }

  /** After rows came or went: there is a stop, the last row unless the reader chose another one. */
  settle(): void {
    if (this.#stop?.isConnected && this.#stop.contains(document.activeElement)) return;
    const last = this.#rows.lastElementChild;
    if (last instanceof HTMLElement && last !== this.#stop) this.#stopAt(last);
  }

  /** The focus has come to something in the list. */
  focused(target: EventTarget | null): void {
    const row = target instanceof Element ? target.closest<HTMLElement>("[data-key]") : null;
    if (row && row !== this.#stop) this.#stopAt(row);
  }

  /** Moves the focus to a row. */
  focus(row: HTMLElement, preventScroll = false): void {
    this.#stopAt(row);
    row.focus({ preventScroll });
  }

  key(event: KeyboardEvent): void {
    const target = event.target as HTMLElement;
    const row = target.closest<HTMLElement>("[data-key]");
    if (!row || event.defaultPrevented) return;
    const inside = target !== row;
    const control = event.ctrlKey || event.metaKey;
    switch (event.key) {
      case "PageUp":
      case "PageDown":
        this.#go(event, event.key === "PageUp" ? row.previousElementSibling : row.nextElementSibling);
        return;
      case "ArrowUp":
      case "ArrowDown":
        if (inside || control || event.altKey || event.shiftKey) return;
        this.#go(event, event.key === "ArrowUp" ? row.previousElementSibling : row.nextElementSibling);
        return;
      case "Home":
      case "End":
        if (!control) return;
        event.preventDefault();
        if (event.key === "Home") this.#ways.before();
        else this.#ways.after();
        return;
      case "Enter":
      case "ContextMenu":
      case "F10":
        if (inside && event.key === "Enter") return;
        if (event.key === "F10" && !event.shiftKey) return;
        event.preventDefault();
        this.#ways.menu(row);
        return;
      default:
        // A letter: the text that it begins belongs into the composer.
        if (!control && !event.altKey && event.key.length === 1 && event.key !== " ") this.#ways.write();
    }
  }

  #go(event: KeyboardEvent, to: Element | null): void {
    event.preventDefault();
    if (!(to instanceof HTMLElement)) return;
    this.focus(to, true);
    to.scrollIntoView({ block: "nearest" });
  }

  #stopAt(row: HTMLElement): void {
    if (this.#stop) tabIndex(this.#stop, -1);
    tabIndex(row, 0);
    this.#stop = row;
  }
}

/** The row's own, and that of its button. */
function tabIndex(row: HTMLElement, value: number): void {
  row.tabIndex = value;
  const button = row.querySelector<HTMLElement>("[data-act=menu]");
  if (button) button.tabIndex = value;
}
