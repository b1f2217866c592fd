//! Who gets through to which agent: the level of a caller against what the agent allows, before anything is answered.
//! Owns the refusal and the way to the message box; the levels themselves are `agent_bridge::levels`' affair.

use agent_bridge::levels::{Caller, Level, Origin, Rules, Verdict, Wish, may};
use sip::CallKey;
use tracing::info;

use super::{Command, Line, LineState, Switchboard};
use crate::agents::Profile;
use crate::audit::{Event, Kind};
use crate::config::Answerer;
use crate::records::unix_ms;
use crate::secrets::SELFTEST_USER;

/// Rights do not depend on these here.
pub(super) const RULES: Rules = Rules {
    approvals: Level::Owner,
    is_frozen: false,
};

impl Switchboard {
    /// How a caller of this name comes to us. A trunk may carry the name of an account: then it is a trunk.
    pub(super) fn origin(&self, user: &str) -> Origin {
        let is_trunk = self.bridging.plan().trunk_named(user).is_some();
        match is_trunk || user == "trunk" {
            true => Origin::Trunk,
            false => Origin::Account,
        }
    }

    /// The level of a caller before any PIN. The program's own account may log in from this machine only, with a
    /// password that only its owner can read.
    pub(super) fn caller(&self, user: &str) -> Caller {
        match self.origin(user) {
            Origin::Trunk => Caller::trunk(),
            Origin::Account if user == SELFTEST_USER => Caller::account(Level::Owner),
            Origin::Account => Caller::account(self.config.approvals.level(user)),
        }
    }

    /// Lets a call for an agent through, sends it to the message box, or refuses it.
    pub(super) fn screen(&mut self, call: CallKey, mut line: Line) -> Result<Line, Vec<Command>> {
        let LineState::Waiting(waiting) = &mut line.state else {
            return Ok(line);
        };
        if line.service != Answerer::Agent {
            return Ok(line);
        }
        let caller = self.caller(&line.user);
        let profile = self.config.agents.at(&line.target);
        let verdict = may(&caller, &RULES, Wish::Agent(&profile.levels));
        let result = match verdict {
            Verdict::Yes | Verdict::AfterPin => return Ok(line),
            Verdict::Message => "message box",
            Verdict::No(_) => "refused",
        };
        let entry = Event {
            call: None,
            user: line.user.clone(),
            level: Some(caller.level()),
            channel: "phone".to_owned(),
            kind: Kind::CallRefused,
            what: profile.name.clone(),
            result: result.to_owned(),
        };
        self.recorder.audit(entry.row(unix_ms()));
        let owner = self.config.agents.messages_for.clone();
        let has_box = self.bridging.plan().voicemail().enabled;
        let takes = verdict == Verdict::Message && has_box;
        if let Some(owner) = owner.filter(|_| takes)
            && self.may_leave_message(&line.user)
        {
            line.service = Answerer::Message;
            waiting.message_for = Some(owner);
            return Ok(line);
        }
        info!(user = %line.user, number = %line.target, level = %caller.level(), "call refused: this agent is not for this caller");
        Err(match waiting.standing {
            true => vec![Command::Hangup { call, reason: None }],
            false => vec![Command::Reject {
                call,
                status: 403,
                headers: Vec::new(),
            }],
        })
    }

    /// The conversation that a call belongs to. Only an account has one that lasts: whatever number a trunk shows,
    /// anybody could have sent it.
    pub(super) fn session(&self, user: &str, profile: &Profile, call_id: &str) -> String {
        let caller = self.caller(user);
        match (&profile.session, caller.origin) {
            (_, Origin::Trunk) => format!("guest-{call_id}/{}", profile.name),
            (Some(shared), _) if caller.level() == Level::Owner => shared.clone(),
            _ => format!("{user}/{}", profile.name),
        }
    }
}
