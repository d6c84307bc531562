/**
 * Whether this browser is pushed, and how that is turned on and off. The server and the browser each know a part:
 * the registration of the device, and the subscription.
 */
import type { Api } from "natterjack-sdk";

/** What of the browser is used; passed in, so that each case can be tested. */
export interface Surroundings {
  /** `isSecureContext`. */
  secure: boolean;
  /** Whether there are service workers, pushes and notifications. */
  capable: boolean;
  /** An iPhone or iPad whose page is not on the home screen. */
  needsInstall: boolean;
  permission(): NotificationPermission;
  askPermission(): Promise<NotificationPermission>;
  registration(): Promise<ServiceWorkerRegistration | undefined>;
  /** Who wanted pushes here: kept over restarts. */
  wanted: { get(): string | null; set(user: string | null): void };
}

/** Why there can be no pushes, or whether there are. */
export type PushState =
  /** The page came by plain http: browsers give it no service worker. */
  | "insecure"
  /** iOS has pushes for pages on the home screen only. */
  | "needs-install"
  /** The browser has none, or its person allows no service workers. */
  | "unsupported"
  /** The person said no; only they can take it back, in the browser. */
  | "denied"
  /** The operator of the server set none up. */
  | "not-set-up"
  | "off"
  | "on";

/** The browser has no push service that answers: the message is its own. */
export class PushServiceError extends Error {
  override readonly name = "PushServiceError";
}

type PushApi = Pick<Api, "pushChannels" | "registerWebPush" | "unregisterPush">;

/** Pushes of one user in this browser. */
export class Push {
  constructor(
    private readonly api: PushApi,
    private readonly user: string,
    private readonly around: Surroundings,
  ) {}

  /** How it stands. Asks the server only where everything else allows pushes, and takes no answer for "set up". */
  async state(): Promise<PushState> {
    const { around } = this;
    if (!around.secure) return "insecure";
    if (around.needsInstall) return "needs-install";
    const registration = around.capable ? await around.registration() : undefined;
    if (!registration) return "unsupported";
    if (around.permission() === "denied") return "denied";
    if (this.isWanted && (await registration.pushManager.getSubscription())) return "on";
    const channels = await this.api.pushChannels().catch(() => undefined);
    return channels && channels.webpush_key === undefined ? "not-set-up" : "off";
  }

  /** Whether it makes sense to propose pushes: they would work and nobody was asked. */
  async isWorthProposing(): Promise<boolean> {
    return this.around.permission() === "default" && (await this.state()) === "off";
  }

  /**
   * Turns pushes on. Call it from a click: browsers ask the person only then.
   *
   * @throws {PushServiceError} The browser could not subscribe.
   */
  async enable(): Promise<PushState> {
    const { around } = this;
    // First of all, while the click still counts.
    if ((await around.askPermission()) !== "granted") return this.state();
    const registration = await around.registration();
    if (!registration) return "unsupported";
    // Before it is so: a page that is closed on the way goes on with it at its next start.
    around.wanted.set(this.user);
    try {
      if (await this.register(registration)) return "on";
    } catch (error) {
      around.wanted.set(null);
      throw error;
    }
    around.wanted.set(null);
    return "not-set-up";
  }

  /**
   * Turns them off. The browser comes first: it needs no network and is enough to be left alone. The server hears of
   * it if it can; else it removes the registration when the push service says that nobody is there.
   */
  async disable(): Promise<void> {
    await this.forget();
    await this.api.unregisterPush().catch(() => undefined);
  }

  /** Lets go of the subscription in this browser: for signing out, which tells the server by itself. */
  async forget(): Promise<void> {
    this.around.wanted.set(null);
    const registration = this.around.capable ? await this.around.registration() : undefined;
    await (await registration?.pushManager.getSubscription())?.unsubscribe();
  }

  /** At each start and when the subscription changed: tells the server of it again, if pushes are on. */
  async refresh(): Promise<void> {
    const { around } = this;
    if (!this.isWanted || !around.capable || around.permission() !== "granted") return;
    const registration = await around.registration();
    if (registration) await this.register(registration);
  }

  private get isWanted(): boolean {
    return this.around.wanted.get() === this.user;
  }

  private async register(registration: ServiceWorkerRegistration): Promise<boolean> {
    const { webpush_key: key } = await this.api.pushChannels();
    if (key === undefined) return false;
    await this.api.registerWebPush((await subscribe(registration.pushManager, key)).toJSON());
    return true;
  }
}

/** The subscription with this key of the server; one with another key is given up, since no push of ours fits it. */
export async function subscribe(manager: PushManager, key: string): Promise<PushSubscription> {
  const old = await manager.getSubscription();
  if (old && sameKey(old.options.applicationServerKey, key)) return old;
  await old?.unsubscribe();
  try {
    return await manager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
  } catch (error) {
    throw new PushServiceError(error instanceof Error ? error.message : String(error));
  }
}

/** Whether the bytes are those of the key in base64url. */
export function sameKey(bytes: ArrayBuffer | null, key: string): boolean {
  if (!bytes) return false;
  const text = btoa(String.fromCharCode(...new Uint8Array(bytes)));
  return text.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "") === key.replace(/=+$/, "");
}
