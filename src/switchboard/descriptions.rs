//! Descriptions within a call with the assistant: the answer that comes with an ACK, and offers anew (RFC 3264 section 8).

use super::session::keep;
use super::*;

impl Switchboard {
    pub(super) fn confirmed(&mut self, call: CallKey, answer: Option<String>) -> Vec<Command> {
        let Some(Line {
            state:
                LineState::Up {
                    control,
                    local,
                    said,
                    heard,
                    is_unanswered,
                },
            ..
        }) = self.calls.get_mut(&call)
        else {
            return Vec::new();
        };
        // Late offer: the answer comes in the ACK (RFC 3261 section 13.2.2.4).
        if std::mem::take(is_unanswered) {
            let negotiated = match &answer {
                Some(answer) => offer_answer::accept_answer(said, answer, local)
                    .map_err(|error| error.to_string()),
                // RFC 3261 section 13.2.1: an offer in the 2xx is answered in its ACK.
                None => Err("there is none".to_owned()),
            };
            match negotiated {
                Ok(negotiated) => {
                    keep(&mut local.security, &negotiated.security);
                    heard.clone_from(&answer);
                    let config = session_config(
                        Some(&negotiated),
                        &self.config.host_name,
                        &self.config.security,
                    );
                    let _ = control.try_send(Control::Media(Box::new(config)));
                }
                Err(why) => {
                    warn!("answer in ACK not usable: {why}");
                    let _ = control.try_send(Control::Ended(Termination {
                        result: CallResult::Failed,
                        reason: "the phone's answer to our offer was not usable".to_owned(),
                        blame: Blame::Peer,
                    }));
                    return vec![Command::Hangup {
                        call,
                        reason: Some(cause(488, "unusable answer")),
                    }];
                }
            }
        }
        match control.try_send(Control::Confirmed) {
            Ok(()) => Vec::new(),
            Err(_) => vec![Command::Hangup {
                call,
                reason: Some(cause(500, "call task stopped")),
            }],
        }
    }

    pub(super) fn reinvite(&mut self, call: CallKey, offer: Option<String>) -> Vec<Command> {
        let Some(Line {
            state:
                LineState::Up {
                    control,
                    local,
                    said,
                    heard,
                    is_unanswered,
                },
            ..
        }) = self.calls.get_mut(&call)
        else {
            return vec![Command::AnswerReinvite {
                call,
                answer: Err(481),
            }];
        };
        let is_late = offer.is_none();
        let theirs = offer.clone();
        // RFC 3264 section 8: each new description has the version counted up by one.
        let mut next = LocalMedia {
            session_version: local.session_version + 1,
            ..local.clone()
        };
        let answer = match offer {
            Some(offer) => match offer_answer::answer(&offer, &next) {
                Ok((sdp, negotiated)) => {
                    keep(&mut next.security, &negotiated.security);
                    let config = session_config(
                        Some(&negotiated),
                        &self.config.host_name,
                        &self.config.security,
                    );
                    match control.try_send(Control::Media(Box::new(config))) {
                        Ok(()) => Ok(sdp),
                        // Agreed on is what the call does, so what it cannot be told is not agreed on.
                        Err(_) => Err(500),
                    }
                }
                Err(error) => Err(error.to_status()),
            },
            // Without an offer: ours, in which sections and numbers stay what they are.
            None => offer_answer::reoffer(said, &next, Direction::SendRecv)
                .map_err(|error| error.to_status()),
        };
        if let Ok(sdp) = &answer {
            *is_unanswered = is_late;
            said.clone_from(sdp);
            if theirs.is_some() {
                *heard = theirs;
            }
            *local = next;
        }
        vec![Command::AnswerReinvite { call, answer }]
    }
}
