/**
 * The page's icons: outlines on a grid of 24, drawn for this project, one path each. Those that point along the
 * line of text are turned round in languages from right to left.
 *
 * @module
 */
export const ICONS = {
  back: "M15 5l-7 7 7 7",
  close: "M6 6l12 12M18 6L6 18",
  search: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM16 16l5 5",
  plus: "M12 5v14M5 12h14",
  pencil: "M4 20l1-5L16 4l4 4L9 19l-5 1zM14 6l4 4",
  people:
    "M9 4a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7zM2.5 20c0-4 2.5-6 6.5-6s6.5 2 6.5 6M16 4.500a3.5 3.5 0 0 1 0 6.500M18 14.500c2.5.7 3.5 2.7 3.5 5.5",
  person: "M12 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM4.5 20.500c0-4 3-6 7.5-6s7.5 2 7.5 6",
  settings:
    "M12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM10 3h4l.6 2.7 2.2 1.3 2.7-.9 2 3.5-2.1 1.900v2.500l2.1 1.9-2 3.5-2.7-.9-2.2 1.300L14 21h-4l-.6-2.7-2.2-1.3-2.7.9-2-3.500L4.6 13v-2L2.5 9.100l2-3.5 2.7.9 2.2-1.300z",
  muted:
    "M18 8a6 6 0 0 0-9.5-4.900M6.2 6.500C6 7 6 7.5 6 8c0 6-2.5 7-2.5 8.500H16M3 3l18 18M10 20a2 2 0 0 0 4 0",
  bell: "M6 8a6 6 0 0 1 12 0c0 6 2.5 7 2.5 8.500h-17C3.5 15 6 14 6 8zM10 20a2 2 0 0 0 4 0",
  check: "M5 12.500l4.5 4.500L19 7",
  checks: "M2.5 12.500L7 17l9.5-10M11.5 16l1 1L22 7",
  clock: "M12 3.500a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17zM12 7.500V12l3 2",
  warning: "M12 4L2.5 20.500h19zM12 10v5M12 17.500v.5",
  more: "M12 4.8a.7.7 0 1 0 0 1.4.7.7 0 0 0 0-1.4zM12 11.3a.7.7 0 1 0 0 1.4.7.7 0 0 0 0-1.4zM12 17.8a.7.7 0 1 0 0 1.4.7.7 0 0 0 0-1.4z",
  down: "M5 9l7 7 7-7",
  reply: "M10 6l-6 5.500L10 17M4.5 11.500H13c4 0 7 2 7 6.5",
  trash: "M4 7h16M9 7V4h6v3M6.5 7l1 13h9l1-13",
  copy: "M8 8h12v12H8zM16 8V4H4v12h4",
  calendar: "M4 6h16v14H4zM4 10.500h16M8 3.500V6M16 3.500V6",
  send: "M4 4l17 8-17 8 3-8zM7 12h14",
  leave: "M14 4H5v16h9M10 12h11M17 8l4 4-4 4",
  device: "M3 5h18v11H3zM8 20h8M12 16v4",
  info: "M12 3.500a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17zM12 11v5.500M12 7.500v.5",
  link: "M9.5 14.500l5-5M11 6.500l2-2a4.5 4.5 0 0 1 6.4 6.400l-2 2M13 17.500l-2 2a4.5 4.5 0 0 1-6.4-6.400l2-2",
} as const;

/** The name of an icon. */
export type IconName = keyof typeof ICONS;

/** Those that point along the line of text. */
export const DIRECTED: ReadonlySet<IconName> = new Set<IconName>(["back", "reply", "send", "leave"]);
