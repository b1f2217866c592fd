//! PINs on their way to their hash and back, what a wrong one costs, and who is told of too many.

use agent_bridge::approvals::desk::PinVerdict;
use agent_bridge::levels::Level;
use tracing::warn;

use super::{Message, Office, PIN_COUNTER, PinFrom};
use crate::audit::Kind;
use crate::call::driver::Control;
use crate::records::unix_ms;
use crate::redact::Secret;
use crate::store::{Lasting, MessageRow, Role};
use crate::switchboard::today;

impl Office {
    pub(super) fn check_pin(&mut self, from: PinFrom, digits: Secret) {
        let Some((call, user, _)) = self.giver(&from) else {
            return;
        };
        let Some(pin) = self.pins.get(&user).cloned() else {
            return self.say_verdict(from, PinVerdict::Failed);
        };
        if !self.tries.take(call, &user, today()) {
            return self.say_verdict(from, PinVerdict::Wrong { tries_left: 0 });
        }
        let inbox = self.inbox.clone();
        tokio::spawn(async move {
            // The hash is slow on purpose.
            let level = pin.level;
            let fits = tokio::task::spawn_blocking(move || pin.fits(&digits)).await;
            let raised = fits.unwrap_or(false).then_some(level);
            let _ = inbox.send(Message::PinChecked { from, raised }).await;
        });
    }

    /// The call, if it is one; the account; the channel. None: the call is over.
    fn giver(&self, from: &PinFrom) -> Option<(Option<u64>, String, &'static str)> {
        match from {
            PinFrom::Call(call) => {
                let caller = self.calls.get(call)?;
                Some((Some(*call), caller.user.clone(), "phone"))
            }
            PinFrom::Channel { channel, user, .. } => Some((None, user.clone(), channel)),
        }
    }

    fn say_verdict(&mut self, from: PinFrom, verdict: PinVerdict) {
        match from {
            PinFrom::Call(call) => self.tell(call, Control::PinChecked(verdict)),
            // Whoever asked may have gone.
            PinFrom::Channel { answer, .. } => drop(answer.send(verdict)),
        }
    }

    pub(super) fn pin_checked(&mut self, from: PinFrom, raised: Option<Level>) {
        let Some((call, user, channel)) = self.giver(&from) else {
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
        // In a call the record names the caller itself.
        let whose = if call.is_some() { "" } else { user.as_str() };
        let result = if raised.is_some() { "right" } else { "wrong" };
        self.audit(call, channel, Kind::PinTried, whose, result);
        if raised.is_none() && self.tries.is_locked(&user) {
            warn!(%user, "too many wrong PINs: none is taken until tomorrow");
            self.audit(call, channel, Kind::PinLocked, whose, "until tomorrow");
            let place = match call {
                Some(_) => "from the phone of",
                None => "on the page by",
            };
            self.tell_owner(format!(
                "Too many wrong PINs were given {place} {user}. No PIN of theirs is taken until tomorrow."
            ));
        }
        self.publish();
        self.say_verdict(from, verdict);
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
