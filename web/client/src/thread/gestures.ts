/**
 * Fingers on the message list: a long press opens a message's menu, a swipe to the side answers it.
 *
 * @module
 */

/** What gestures do. */
export interface Gestures {
  press(row: HTMLElement, x: number, y: number): void;
  swipe(row: HTMLElement): void;
}

const PRESS_MS = 450;
/** A finger that rests moves as much. */
const SLACK_PX = 10;
/** So far a swipe must go, and so far the bubble follows it. */
const SWIPE_PX = 56;
const FOLLOW_PX = 80;

interface Touch {
  readonly pointer: number;
  readonly row: HTMLElement;
  readonly x: number;
  readonly y: number;
  swiping: boolean;
  by: number;
}

/** Listens on the list. Answers how to stop. */
export function gestures(list: HTMLElement, act: Gestures): () => void {
  let touch: Touch | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const end = (): void => {
    clearTimeout(timer);
    if (touch) line(touch.row)?.style.removeProperty("translate");
    touch = undefined;
  };
  const down = (event: PointerEvent): void => {
    end();
    const target = event.target instanceof Element ? event.target : null;
    const row = target?.closest<HTMLElement>("[data-key]");
    if (event.pointerType !== "touch" || !event.isPrimary || !row || !target?.closest(".bubble")) return;
    if (target.closest("button")) return;
    touch = { pointer: event.pointerId, row, x: event.clientX, y: event.clientY, swiping: false, by: 0 };
    timer = setTimeout(() => {
      end();
      act.press(row, event.clientX, event.clientY);
    }, PRESS_MS);
  };
  const move = (event: PointerEvent): void => {
    if (event.pointerId !== touch?.pointer) return;
    const x = event.clientX - touch.x;
    const y = event.clientY - touch.y;
    if (!touch.swiping) {
      if (Math.hypot(x, y) < SLACK_PX) return;
      clearTimeout(timer);
      touch.swiping = Math.abs(x) > 2 * Math.abs(y);
      if (!touch.swiping) return end();
    }
    // Towards the middle of the screen from either side.
    touch.by = Math.sign(x) * Math.min(FOLLOW_PX, Math.abs(x));
    line(touch.row)?.style.setProperty("translate", `${touch.by}px`);
  };
  const up = (event: PointerEvent): void => {
    if (event.pointerId !== touch?.pointer) return;
    const { row, swiping, by } = touch;
    end();
    if (swiping && Math.abs(by) >= SWIPE_PX) act.swipe(row);
  };

  list.addEventListener("pointerdown", down);
  list.addEventListener("pointermove", move);
  list.addEventListener("pointerup", up);
  list.addEventListener("pointercancel", end);
  return () => {
    end();
    list.removeEventListener("pointerdown", down);
    list.removeEventListener("pointermove", move);
    list.removeEventListener("pointerup", up);
    list.removeEventListener("pointercancel", end);
  };
}

function line(row: HTMLElement): HTMLElement | null {
  return row.querySelector<HTMLElement>(".line");
}
