/**
 * The HTTP API, typed. Every call throws {@link ServerError} or {@link UnreachableError}.
 *
 * @module
 */
import type {
  Anchor,
  Conversation,
  ConversationPage,
  Device,
  DeviceId,
  EdgeInfo,
  GroupId,
  Me,
  Member,
  Mute,
  Page,
  Privacy,
  Profile,
  PushChannels,
  PushPreview,
  Role,
  Summary,
  UserId,
  UserPresence,
} from "../wire.js";

/** What the client's HTTP API offers beyond the socket. */
export interface Api {
  me(): Promise<Me>;
  setMe(change: { name?: string; presence?: Privacy; push_preview?: PushPreview }): Promise<Me>;
  /** Users whose handle or name begins so; 2 characters or more. */
  searchUsers(prefix: string, limit?: number): Promise<Profile[]>;
  users(ids: UserId[]): Promise<Profile[]>;
  presence(users: UserId[]): Promise<UserPresence[]>;
  devices(): Promise<Device[]>;
  revokeDevice(id: DeviceId): Promise<void>;
  revokeOtherDevices(): Promise<void>;
  pushChannels(): Promise<PushChannels>;
  /** Registers this device: `subscription` is what `PushSubscription.toJSON()` gives. */
  registerWebPush(subscription: PushSubscriptionJSON): Promise<Device>;
  unregisterPush(): Promise<void>;
  conversations(page?: string, limit?: number): Promise<ConversationPage>;
  conversation(conversation: Conversation): Promise<Summary>;
  mute(conversation: Conversation, mute: Mute): Promise<Summary>;
  unmute(conversation: Conversation): Promise<Summary>;
  members(conversation: Conversation): Promise<Member[]>;
  /**
   * With a `requestId` that was made before ({@link makeUlid}), the same again makes no second group: keep it for as
   * long as you try. Without one it holds for this call alone. It is not the group's id: that is in the answer.
   */
  createGroup(title: string, members: UserId[], requestId?: string): Promise<Summary>;
  renameGroup(group: GroupId, title: string): Promise<Summary>;
  addMembers(group: GroupId, users: UserId[]): Promise<Summary>;
  removeMember(group: GroupId, user: UserId): Promise<void>;
  setRole(group: GroupId, user: UserId, role: Role): Promise<void>;
  history(conversation: Conversation, anchor: Anchor, limit?: number): Promise<Page>;
  edges(region?: string): Promise<EdgeInfo[]>;
  /** Revokes this device on the server. */
  logOut(): Promise<void>;
}
