//! PINs on their way to their hash and back, what a wrong one costs, and who is told of too many.

use agent_bridge::approvals::desk::PinVerdict;
use agent_bridge::levels::Level;
use tracing::warn;

use super::{Message, Office, PIN_COUNTER};
use crate::audit::Kind;
use crate::call::driver::Control;
use crate::records::unix_ms;
use crate::redact::Secret;
use crate::store::{Lasting, MessageRow, Role};
use crate::switchboard::today;

impl Office {
    pub(super) fn check_pin(&mut self, call: u64, digits: Secret) {
        let Some(caller) = self.calls.get(&call) else {
            return;
        };
        let user = caller.user.clone();
        let Some(pin) = self.pins.get(&user).cloned() else {
            return self.tell(call, Control::PinChecked(PinVerdict::Failed));
        };
        if !self.tries.take(call, &user, today()) {
            let tries_left = 0;
            return self.tell(call, Control::PinChecked(PinVerdict::Wrong { tries_left }));
        }
        let inbox = self.inbox.clone();
        tokio::spawn(async move {
            // The hash is slow on purpose.
            let level = pin.level;
            let fits = tokio::task::spawn_blocking(move || pin.fits(&digits)).await;
            let raised = fits.unwrap_or(false).then_some(level);
            let _ = inbox.send(Message::PinChecked { call, raised }).await;
        });
    }

    pub(super) fn pin_checked(&mut self, call: u64, raised: Option<Level>) {
        let Some(user) = self.calls.get(&call).map(|caller| caller.user.clone()) else {
            return;
        };
        let verdict = match raised {
            Some(level) => {
                self.tries.give_back(call, &user);
                PinVerdict::Right(level)
            }
            None => {
                self.recorder.keep(Lasting::Count {
                    name: format!("{PIN_COUNTER}{user}"),
                    day: i64::from(today()),
                    by: 1,
                });
                PinVerdict::Wrong {
                    tries_left: self.tries.left(call, &user),
                }
            }
        };
        let result = if raised.is_some() { "right" } else { "wrong" };
        self.audit(Some(call), "phone", Kind::PinTried, "", result);
        self.tell(call, Control::PinChecked(verdict));
        if raised.is_none() && self.tries.is_locked(&user) {
            warn!(%user, "too many wrong PINs: none is taken until tomorrow");
            self.audit(Some(call), "phone", Kind::PinLocked, "", "until tomorrow");
            self.tell_owner(format!(
                "Too many wrong PINs were given from the phone of {user}. No PIN is taken from there until tomorrow."
            ));
        }
        self.publish();
    }

    /// Into the message box of the owner.
    pub(super) fn tell_owner(&self, text: String) {
        let Some(owner) = &self.ruling.owner else {
            return;
        };
        let message = MessageRow {
            conversation: format!("{owner}/messages"),
            role: Role::Program,
            text,
            heard: None,
            at_unix_ms: unix_ms(),
            call: None,
            channel: "phone".to_owned(),
        };
        self.recorder.queue("message to the owner", move |store| {
            store.add_message(&message).map(|_| ())
        });
    }
}
