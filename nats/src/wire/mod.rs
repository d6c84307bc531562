//! What travels: frames between client and edge, stored messages, receipts, errors.
//!
//! Plain serde types. Database rows and internal state are not serialisable and live elsewhere.
//! Examples of every frame stand in `nats/golden/` and are read by the tests of every language.

mod client;
mod error;
mod message;
mod people;
mod presence;
mod push;
mod receipt;
mod server;
mod sync;
mod token;
mod void;

pub use client::{ClientFrame, Hello, HelloDevice, HistoryQuery};
pub use error::{CloseCode, Code, WireError};
pub use message::{Content, Event, Fingerprint, Kind, Message, Stored, splice};
pub use people::{ConversationSummary, Device, Me, Member, Preview, Profile, Role};
pub use presence::{
    DeviceSession, EdgeInfo, Lease, PresenceRecord, PresenceState, Privacy, ShownState, UserPresence,
};
pub use push::{
    Channel, DeadPush, FcmOs, Mute, Notice, PushChannels, PushJob, PushOutcome, PushPreview, PushReason,
    PushRegistration, PushRequest, PushTarget, PushTrace, VapidKey, Verdict, WebPushKeys,
};
pub use receipt::{Cursor, ReceiptBatch, ReceiptOf};
pub use server::{Limits, Page, Ready, ServerFrame, UserCursor};
pub use sync::SyncPage;
pub use token::{AccessClaims, Revocation, TOKEN_AUDIENCE, TOKEN_ISSUER};
pub use void::Void;
