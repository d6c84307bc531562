//! The effects that take time: each begins a piece of work.

use std::sync::Arc;

use natterjack_nats::wire::{CloseCode, HelloDevice};

use super::{Actor, Effect, Place, work};
use crate::{
    auth::Identity,
    live::{QueueLimits, outlet},
    ops::Caller,
};

impl Actor {
    pub(super) fn begin(&mut self, effect: Effect) {
        let app = Arc::clone(&self.app);
        if let Effect::Authenticate { token, device } = effect {
            return self.work.push(work::authenticate(app, token, device));
        }
        if let Effect::Open { identity, resume } = effect {
            if let Some(place) = self.attach(identity) {
                let (attached, admitted) = (Arc::clone(&place.attached), self.admitted.take());
                self.work.push(work::open(app, attached, admitted, resume));
                self.place = Some(place);
            }
            return;
        }
        let Some(place) = &mut self.place else {
            return;
        };
        let caller = place.caller;
        self.work.push(match effect {
            Effect::Store(draft) => {
                self.drafts.push_back((draft, app.tracer.root("send")));
                return self.hand_over();
            }
            Effect::Renewed(identity) => return place.attached.outlet().renew(identity),
            Effect::Receipt {
                conversation,
                delivered,
                read,
                foreground,
            } => work::receipt(app, caller, conversation, delivered, read, foreground),
            Effect::Typing { conversation, active } => work::typing(app, caller, conversation, active),
            Effect::Page { id, query } => {
                let member = place.attached.hears(&query.conversation);
                work::page(app, caller, member, id, query)
            }
            Effect::List { id, page } => work::list(app, caller, id, page),
            Effect::Watch { id, users } => {
                let attached = Arc::clone(&place.attached);
                work::watch(app, attached, id, users)
            }
            Effect::CatchUp => return place.attached.catch_up(),
            Effect::Renew { id, token } => {
                let device = HelloDevice {
                    id: Some(caller.device),
                    name: String::new(),
                    platform: String::new(),
                };
                work::renew(app, device, id, token)
            }
            Effect::Fetch { conversation, after } => {
                let member = place.attached.hears(&conversation);
                work::fetch(app, caller, member, conversation, after)
            }
            Effect::Pause { conversation, ms } => work::pause(conversation, ms),
            Effect::Live { active } => {
                place.present = Some(app.sessions.enter(caller.user, caller.device, active));
                work::compare_heads(app, caller)
            }
            Effect::Active(active) => {
                if let Some(present) = &mut place.present {
                    present.turn(active);
                }
                return;
            }
            Effect::Write(_)
            | Effect::WriteText(_)
            | Effect::Ping
            | Effect::Close(_)
            | Effect::Authenticate { .. }
            | Effect::Open { .. } => return,
        });
    }

    fn attach(&mut self, identity: Identity) -> Option<Place> {
        let args = &self.app.args.socket;
        let limits = QueueLimits {
            frames: args.socket_queue_frames as usize,
            bytes: usize::try_from(args.socket_queue_bytes).unwrap_or(usize::MAX),
        };
        let (outlet, inlet) = outlet(Some(identity), limits, self.app.metrics.clone());
        let Ok(attached) = self.app.hub.attach(identity.user, outlet) else {
            self.machine.too_many(&mut self.effects);
            return None;
        };
        // It may have been revoked between the check of its token and this moment, from which on
        // the hub tells of it.
        if self.app.auth.is_revoked(&identity) {
            attached.outlet().end(CloseCode::Revoked);
        }
        Some(Place {
            caller: Caller {
                user: identity.user,
                device: identity.device,
            },
            attached: Arc::new(attached),
            inlet,
            present: None,
        })
    }
}
