/**
 * Who may do what in a group, so that nothing is offered that the server refuses. Pure; the server has the last word.
 *
 * @module
 */
import type { Member, Role } from "natterjack-sdk";

/** Whether this role may rename the group and add members. */
export function mayManage(role: Role | undefined): boolean {
  return role === "admin" || role === "owner";
}

/** Whether somebody of a role may remove a member of another: owners anybody, admins plain members. */
export function mayRemove(own: Role | undefined, other: Role | undefined): boolean {
  return own === "owner" || (own === "admin" && (other ?? "member") === "member");
}

/** The roles that somebody of a role may give a member instead of the one that is held. */
export function givable(own: Role | undefined, other: Role | undefined): Role[] {
  if (own !== "owner") return [];
  return (["owner", "admin", "member"] as const).filter((role) => role !== (other ?? "member"));
}

const RANK: Record<Role, number> = { owner: 0, admin: 1, member: 2 };

/** Owners, admins, members; within each by name. */
export function sorted(
  members: readonly Member[],
  nameOf: (member: Member) => string,
  locale: string,
): Member[] {
  const { compare } = new Intl.Collator(locale);
  return [...members].sort(
    (a, b) => RANK[a.role ?? "member"] - RANK[b.role ?? "member"] || compare(nameOf(a), nameOf(b)),
  );
}
