//! Callers who leave the assistant: it puts them through, or their phone sends it on. Owns who may go where and how a call
//! of the assistant ends then; not the new call (`bridge`). RFC 3515, RFC 3891, RFC 5589.

use tokio::sync::oneshot;

use super::*;
use crate::bridge::{Adopted, Errand, LegId};

/// Why a caller stays with the assistant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    #[error("there is no such call")]
    NoCall,
    /// The call is over, was not answered yet, or is being transferred already.
    #[error("this call cannot be put through now")]
    NotNow,
    /// The dial plan does not let this caller reach that number, or it is the assistant's own.
    #[error("this caller cannot be put through to that number ({status})")]
    NotAllowed { status: u16 },
    /// Nobody took the call, as this SIP status tells; the caller is still on the line.
    #[error("nobody took the call ({status})")]
    Failed { status: u16 },
}

/// Told once: they talk, or why not. Dropped without a word when the caller hangs up first.
pub type TransferReply = oneshot::Sender<Result<(), TransferError>>;

impl Switchboard {
    /// Puts a caller of the assistant through to a number that the caller could dial, too. Until somebody answers there,
    /// the caller goes on talking with the assistant.
    pub(super) fn transfer(
        &mut self,
        call: CallKey,
        target: &str,
        reply: TransferReply,
        endpoint: &Endpoint,
    ) -> Vec<Command> {
        match self.send_on(call, target, false, endpoint) {
            Ok(commands) => {
                self.replies.insert(call, reply);
                commands
            }
            Err(error) => {
                info!(number = target, "not put through: {error}");
                // Whoever asked may have gone.
                let _ = reply.send(Err(error));
                Vec::new()
            }
        }
    }

    /// A phone that talks with the assistant wants it to talk with somebody else.
    pub(super) fn referred(
        &mut self,
        call: CallKey,
        target: &str,
        replaces: Option<CallKey>,
        endpoint: &Endpoint,
    ) -> Vec<Command> {
        let answer = |answer| vec![Command::AnswerTransfer { call, answer }];
        let Some(line) = self.calls.get(&call) else {
            return answer(Err(481));
        };
        // Who leaves a message has nobody to hand on.
        if line.service == Answerer::Message {
            return answer(Err(403));
        }
        let Some(other) = replaces else {
            return match self.send_on(call, target, true, endpoint) {
                Ok(commands) => commands,
                Err(TransferError::NotAllowed { status }) => answer(Err(status)),
                Err(_) => answer(Err(491)),
            };
        };
        let Some(leg) = self.bridging.talking_leg(other) else {
            return answer(Err(491));
        };
        // The assistant takes the place of the phone in its other call.
        let service = Service {
            answerer: line.service,
            message_for: None,
        };
        let mut commands = answer(Ok(()));
        let dismiss = BridgeInput::Dismiss { leg, service };
        commands.extend(self.bridging.input(dismiss, endpoint));
        commands.push(Command::TransferProgress { call, status: 200 });
        commands.push(Command::Hangup {
            call,
            reason: Some(cause(200, "Transferred")),
        });
        commands
    }

    fn send_on(
        &mut self,
        call: CallKey,
        target: &str,
        by_phone: bool,
        endpoint: &Endpoint,
    ) -> Result<Vec<Command>, TransferError> {
        let line = self.calls.get(&call).ok_or(TransferError::NotNow)?;
        let LineState::Up {
            local,
            said,
            heard: Some(heard),
            is_unanswered: false,
            ..
        } = &line.state
        else {
            return Err(TransferError::NotNow);
        };
        if self.bridging.has(call) {
            return Err(TransferError::NotNow);
        }
        let found = self.bridging.plan().find(target, line.party.payer());
        let destination = found.map_err(|refused| TransferError::NotAllowed {
            status: refused.status(),
        })?;
        let is_inside = matches!(destination, Destination::User(_) | Destination::Group(_));
        let is_outside = matches!(destination, Destination::Trunk(_));
        // Nobody pays for what the assistant says outside once the one who called it is gone.
        if !is_inside && (by_phone || !is_outside) {
            return Err(TransferError::NotAllowed { status: 403 });
        }
        let adopted = Adopted {
            leg: LegId(0),
            caller: line.party.clone(),
            shown: line.shown.clone(),
            dialled: target.to_owned(),
            destination,
            theirs: heard.clone(),
            ours: said.clone(),
            session_id: local.session_id,
            session_version: local.session_version,
            anchor: self.bridging.anchor(line.flow),
            remote: line.flow.remote,
            errand: match by_phone {
                true => Errand::HandOver(line.service),
                false => Errand::Move,
            },
        };
        info!(user = %line.user, number = target, by_phone, "a caller leaves the assistant");
        Ok(self.bridging.adopt(call, adopted, line.flow, endpoint))
    }

    /// The caller talks with somebody else.
    pub(super) fn moved(&mut self, leg: LegId) {
        let Some(call) = self.bridging.call_of(leg) else {
            return;
        };
        self.told(call, Ok(()));
        let Some(line) = self.calls.get_mut(&call) else {
            return;
        };
        if let LineState::Up { control, .. } = std::mem::replace(&mut line.state, LineState::Over) {
            let ended = Control::Ended(Termination {
                result: CallResult::Completed,
                reason: "put through to somebody else".to_owned(),
                blame: Blame::Nobody,
            });
            // A full channel means a stuck task: dropping the sender ends it as well.
            let _ = control.try_send(ended);
        }
    }

    /// Nobody took the call: the caller is the assistant's again.
    pub(super) fn given_back(&mut self, leg: LegId, status: u16) {
        if let Some(call) = self.bridging.release(leg) {
            info!(status, "the caller stays with the assistant");
            self.told(call, Err(TransferError::Failed { status }));
        }
    }

    fn told(&mut self, call: CallKey, result: Result<(), TransferError>) {
        if let Some(reply) = self.replies.remove(&call) {
            // Whoever asked may have gone.
            let _ = reply.send(result);
        }
    }

    /// What a caller does who is on the way from the assistant to somebody else concerns both.
    pub(super) fn overhear(&mut self, event: &Event) {
        match event {
            Event::CallEnded { call, cause } => {
                self.replies.remove(call);
                self.ended(*call, cause);
            }
            Event::Digits { call, digit, .. } => self.pressed(*call, *digit),
            _ => {}
        }
    }
}
