//! Texts at the switchboard: whom a MESSAGE is for, whether its sender may write there, and the phones that a text goes
//! to. RFC 3428; receipts of RFC 5438. Owns the rules; what waits is on the shelves (`shelf`, PURE) of a task (`office`), bodies are read by
//! the `sip` crate, and what the assistant answers is the hub's affair.
//!
//! The rules are those of calls: a number leads where it leads when it is dialled, an agent is for the levels it is for,
//! and who is sent to the message box there writes into it here, as often as they may. Trunks carry no texts out.

pub mod channel;
pub mod files;
pub mod office;
mod receipts;
mod sending;
pub mod shelf;

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use agent_bridge::channels::{Address, Body, Inbound};
use agent_bridge::levels::{Verdict, Wish, may};
use sha2::{Digest as _, Sha256};
use sip::instant::{self, Content, Disposition, Receipt};
use sip::{Caller, Event as SipEvent, HeaderName, NameAddr, TextKey};
use tokio::sync::mpsc;
use tracing::{debug, info};

use super::screening::RULES;
use super::{Command, Switchboard};
use crate::audit::{Event, Kind};
use crate::bridge::Shown;
use crate::config::Answerer;
use crate::records::unix_ms;
use crate::routing::Destination;
use office::{Input, Live, Reply};
use receipts::{delivery_named, receipts};
use shelf::{Outcome, Text};

/// The hub's name for texts by SIP.
pub const CHANNEL: &str = "sip";
/// Texts one account may send in a row, and how many of them come back each second.
const BURST: f64 = 60.0;
const PER_SECOND: f64 = 2.0;
/// Accounts and trunks under watch. At the bound all start anew.
const SENDERS_MAX: usize = 4096;
/// Phones of one user that a text goes to.
const PHONES_MAX: usize = 8;
/// Call-IDs that are remembered as passed on.
const PASSED_MAX: usize = 1024;
const CALL_ID_BYTES_MAX: usize = 256;

/// A text as it came.
struct Written {
    text: TextKey,
    caller: Caller,
    target: String,
    from: NameAddr,
    id: String,
    call_id: String,
    content_type: Option<String>,
    body: Vec<u8>,
}

/// Texts under way.
#[derive(Default)]
pub(super) struct Messages {
    inputs: Option<mpsc::Sender<Input>>,
    /// To whom each went, and the text's name.
    sent: HashMap<TextKey, (String, String)>,
    /// By user: one text at a time.
    rounds: HashMap<String, Round>,
    allowances: HashMap<String, Allowance>,
    /// Messages for the box that the office has not answered, by who leaves them. It answers each.
    leaving: HashMap<String, u32>,
    /// Phones that know the sign for "is writing", by user, and the number they wrote to.
    composers: HashMap<String, String>,
    /// Call-IDs that were passed on, by who wrote, and the text they came with: the oldest first.
    passed: VecDeque<(String, String)>,
}

/// One text on its way to all phones of a user.
struct Round {
    id: String,
    open: usize,
    /// The best of what came so far.
    outcome: Option<Outcome>,
}

struct Allowance {
    texts: f64,
    at: Instant,
}

impl Messages {
    /// Takes the price of one text.
    fn allows(&mut self, now: Instant, sender: &str) -> bool {
        if self.allowances.len() >= SENDERS_MAX && !self.allowances.contains_key(sender) {
            self.allowances.clear();
        }
        let full = Allowance {
            texts: BURST,
            at: now,
        };
        let left = self.allowances.entry(sender.to_owned()).or_insert(full);
        let since = now.saturating_duration_since(left.at).as_secs_f64();
        left.texts = (left.texts + since * PER_SECOND).min(BURST);
        left.at = now;
        let is_allowed = left.texts >= 1.0;
        if is_allowed {
            left.texts -= 1.0;
        }
        is_allowed
    }

    /// The Call-ID that a text is passed on with. None: it is too long to be kept, or this sender has used it for another text,
    /// and the second one would look like the first again.
    fn passed_on(&mut self, sender: &str, call_id: &str, text: &str) -> Option<String> {
        if call_id.len() > CALL_ID_BYTES_MAX {
            return None;
        }
        let whose = name_of(&[sender, call_id]);
        if let Some((_, of)) = self.passed.iter().find(|(known, _)| *known == whose) {
            return (of == text).then(|| call_id.to_owned());
        }
        if self.passed.len() >= PASSED_MAX {
            self.passed.pop_front();
        }
        self.passed.push_back((whose, text.to_owned()));
        Some(call_id.to_owned())
    }

    /// False: the office has more than it can take.
    fn tell(&self, input: Input) -> bool {
        self.inputs
            .as_ref()
            .is_some_and(|inputs| inputs.try_send(input).is_ok())
    }

    /// What one phone said. The outcome, once it is known.
    fn note(&mut self, user: &str, id: &str, one: Outcome) -> Option<Outcome> {
        let round = self.rounds.get_mut(user).filter(|round| round.id == id)?;
        round.open = round.open.saturating_sub(1);
        let is_told = round.outcome == Some(Outcome::Delivered);
        round.outcome = Some(match (round.outcome, one) {
            (Some(Outcome::Delivered), _) | (_, Outcome::Delivered) => Outcome::Delivered,
            (Some(Outcome::PutOff), _) | (_, Outcome::PutOff) => Outcome::PutOff,
            (Some(Outcome::Away), _) | (_, Outcome::Away) => Outcome::Away,
            (_, refused) => refused,
        });
        let (outcome, is_over) = (round.outcome, round.open == 0);
        if is_over {
            self.rounds.remove(user);
        }
        // The first phone that has it decides; the others go on by themselves.
        let is_news = !is_told && (is_over || outcome == Some(Outcome::Delivered));
        outcome.filter(|_| is_news)
    }
}

impl Switchboard {
    /// From now on texts are taken.
    pub fn set_texts(&mut self, inputs: mpsc::Sender<Input>) {
        self.messages.inputs = Some(inputs);
    }

    /// What the endpoint tells of texts.
    pub(super) fn text_event(&mut self, event: SipEvent) -> Vec<Command> {
        match event {
            SipEvent::Text {
                text,
                caller,
                target,
                from,
                id,
                call_id,
                content_type,
                body,
                ..
            } => self.texted(Written {
                text,
                caller,
                target,
                from,
                id,
                call_id,
                content_type,
                body,
            }),
            SipEvent::TextAnswered { text, result } => {
                self.text_answered(text, result);
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn texted(&mut self, written: Written) -> Vec<Command> {
        let (text, sender) = (written.text, written.caller.name().to_owned());
        let status = match self.place(written) {
            Ok(commands) => return commands,
            Err(status) => status,
        };
        if status >= 300 {
            info!(user = %sender, status, "text refused");
        }
        let headers = match status {
            480 | 503 => vec![(HeaderName::RetryAfter, "10".to_owned())],
            _ => Vec::new(),
        };
        vec![Command::AnswerText {
            text,
            status,
            headers,
        }]
    }

    /// Puts a text where it belongs; the office answers it. Else the status that answers it now.
    fn place(&mut self, written: Written) -> Result<Vec<Command>, u16> {
        if self.draining || self.messages.inputs.is_none() {
            return Err(503);
        }
        let sender = written.caller.name().to_owned();
        if !self.messages.allows(Instant::now(), &sender) {
            return Err(480);
        }
        let from = &written.from.uri;
        let port = from.port.map(|port| format!(":{port}")).unwrap_or_default();
        let domain = format!("{}{port}", from.host);
        // Not that of somebody who does not want to be shown.
        if matches!(written.caller, Caller::User(_)) && !is_hidden(&written.from) {
            let user = sender.clone();
            self.messages.tell(Input::Domain { user, domain });
        }
        let destination = self.bridging.find(&written.caller, &written.target);
        let destination = destination.map_err(|why| why.status())?;
        match destination {
            Destination::Service(Answerer::Agent) => self.for_agent(written),
            // They give back what they get.
            Destination::Service(Answerer::Echo | Answerer::Readback) => match &written.caller {
                Caller::User(user) => {
                    let (user, number) = (user.clone(), written.target.clone());
                    let name = String::new();
                    self.pass_on(written, &[user], Shown { name, number }, false)
                }
                Caller::Trunk(_) => Err(403),
            },
            Destination::Service(Answerer::Message) => self.for_box(written),
            Destination::User(user) => {
                let (_, shown) = self.bridging.shown(&written.caller, &written.from);
                self.pass_on(written, &[user], shown, false)
            }
            Destination::Group(at) => {
                let plan = self.bridging.plan();
                let members = plan.group(at).map(|group| plan.members(group));
                let mut members = members.unwrap_or_default();
                members.retain(|member| *member != sender);
                let (_, shown) = self.bridging.shown(&written.caller, &written.from);
                self.pass_on(written, &members, shown, false)
            }
            Destination::Trunk(_) => Err(403),
        }
    }

    /// To people's phones, as it came: their phones understand each other. `is_left`: it counts as a message once it is
    /// kept.
    fn pass_on(
        &mut self,
        written: Written,
        users: &[String],
        Shown { name, number }: Shown,
        is_left: bool,
    ) -> Result<Vec<Command>, u16> {
        let kind = written.content_type.clone().unwrap_or_default();
        // What is in an envelope is between the two phones.
        let is_wrapped = instant::media_type(&kind) == instant::CPIM;
        let content = match instant::read(Some(&kind), &written.body) {
            Ok(read) => Some(read.content),
            Err(_) if is_wrapped => None,
            Err(error) => {
                debug!(%error, "text not understood");
                return Err(415);
            }
        };
        if users.is_empty() {
            return Err(404);
        }
        let body = String::from_utf8(written.body);
        let sender = match &written.caller {
            Caller::User(name) => Some(name.clone()),
            Caller::Trunk(_) => None,
        };
        let one = |body: String, content_type: &str| {
            vec![Text {
                id: unguessable(),
                number: number.clone(),
                name: name.clone(),
                content_type: content_type.to_owned(),
                body,
                at_unix_ms: unix_ms(),
                attempt: 0,
                sender: None,
                delivery: None,
                call_id: None,
                whole: None,
            }]
        };
        let texts = match (content, body) {
            (Some(Content::Empty), _) => return Err(200),
            (Some(Content::Composing(_)), Ok(body)) => {
                for user in users {
                    // Not worth a word where the office is full.
                    self.messages.tell(Input::Live(Live {
                        user: user.clone(),
                        number: number.clone(),
                        content_type: instant::COMPOSING,
                        body: body.clone(),
                        domain: None,
                    }));
                }
                return Err(200);
            }
            (Some(Content::Text(words)), _) if !is_wrapped => {
                let mut parts = office::parts(&number, &words);
                for part in &mut parts {
                    part.name.clone_from(&name);
                    part.sender.clone_from(&sender);
                }
                // What a phone says of a text without an envelope names its Call-ID; the end of it counts. To the sender
                // itself its own would look like what it has; of one who hides it may name the machine.
                if let (Some(sender), Some(last)) = (&sender, parts.last_mut())
                    && !users.contains(sender)
                    && !is_hidden(&written.from)
                {
                    let (call_id, text) = (&written.call_id, &written.id);
                    last.call_id = self.messages.passed_on(sender, call_id, text);
                }
                parts
            }
            // A receipt that does not arrive is no loss that anybody must hear of.
            (Some(Content::Notification(_)), Ok(body)) => one(body, &kind),
            (_, Ok(body)) => {
                let mut texts = one(body, &kind);
                texts[0].sender = sender;
                texts
            }
            (_, Err(_)) => return Err(415),
        };
        let copy = |texts: &[Text]| -> Vec<Text> {
            let fresh = |text: &Text| Text {
                id: unguessable(),
                ..text.clone()
            };
            texts.iter().map(fresh).collect()
        };
        let caller = written.caller.name().to_owned();
        let name = name_of(&[&caller, &written.id]);
        let for_users = users
            .iter()
            .map(|user| (user.clone(), copy(&texts)))
            .collect();
        let text = written.text;
        let reply = match is_left {
            true => Reply::Box {
                text,
                caller: caller.clone(),
            },
            false => Reply::Phone(text),
        };
        let is_told = self.messages.tell(Input::Put {
            name,
            for_users,
            reply,
        });
        if !is_told {
            return Err(503);
        }
        if is_left {
            *self.messages.leaving.entry(caller).or_default() += 1;
        }
        Ok(Vec::new())
    }

    /// For whoever reads the message box, by the rules for callers who leave a message.
    fn for_box(&mut self, written: Written) -> Result<Vec<Command>, u16> {
        let owner = self.config.agents.messages_for.clone().ok_or(403u16)?;
        if !self.bridging.plan().voicemail().enabled {
            return Err(403);
        }
        let read = instant::read(written.content_type.as_deref(), &written.body);
        let is_left = match read.map(|read| read.content) {
            // A box wants to know of no message what became of it.
            Ok(Content::Notification(_)) => return Err(200),
            // What is no message is not counted as one.
            Ok(Content::Composing(_) | Content::Empty) => false,
            _ => true,
        };
        let caller = written.caller.name();
        let under_way = self.messages.leaving.get(caller).copied().unwrap_or(0);
        // Not today any more: there is no use in trying again.
        if is_left && self.messages_left(caller) <= under_way {
            return Err(403);
        }
        let (_, shown) = self.bridging.shown(&written.caller, &written.from);
        self.pass_on(written, &[owner], shown, is_left)
    }

    /// What the office says of a message for the box: one that is not kept, or came before, counts for nothing.
    pub fn message_left(&mut self, caller: &str, is_kept: bool) {
        if let Some(under_way) = self.messages.leaving.get_mut(caller) {
            *under_way = under_way.saturating_sub(1);
        }
        self.messages.leaving.retain(|_, under_way| *under_way > 0);
        if is_kept {
            self.count_message(caller);
        }
    }

    /// For the assistant, by the level of who writes.
    fn for_agent(&mut self, written: Written) -> Result<Vec<Command>, u16> {
        let sender = written.caller.name().to_owned();
        let profile = self.config.agents.at(&written.target);
        let caller = match &written.caller {
            Caller::User(user) => self.caller(user),
            Caller::Trunk(_) => agent_bridge::levels::Caller::trunk(),
        };
        let verdict = may(&caller, &RULES, Wish::Agent(&profile.levels));
        let is_let_in = matches!(verdict, Verdict::Yes | Verdict::AfterPin);
        let user = match &written.caller {
            Caller::User(user) if is_let_in => user.clone(),
            // There is no way back over a trunk: the owner reads what came.
            Caller::Trunk(_) if is_let_in => return self.for_box(written),
            _ => {
                let result = match verdict {
                    Verdict::Message => "message box",
                    _ => "refused",
                };
                let entry = Event {
                    call: None,
                    user: sender,
                    level: Some(caller.level()),
                    channel: CHANNEL.to_owned(),
                    kind: Kind::CallRefused,
                    what: profile.name.clone(),
                    result: result.to_owned(),
                };
                self.recorder.audit(entry.row(unix_ms()));
                return match verdict {
                    Verdict::Message => self.for_box(written),
                    _ => Err(403),
                };
            }
        };
        let read = instant::read(written.content_type.as_deref(), &written.body);
        let read = read.map_err(|error| {
            debug!(%error, "text not understood");
            415u16
        })?;
        let body = match read.content {
            Content::Text(words) => Body::Text(words),
            Content::File => Body::Unusable {
                why: "files cannot be read here yet: write it, or say it".to_owned(),
            },
            Content::Composing(_) => {
                if self.messages.composers.len() < SENDERS_MAX {
                    self.messages.composers.insert(user, written.target);
                }
                return Err(200);
            }
            Content::Notification(receipt) => {
                if let Some(receipt) = receipt {
                    self.text_seen(user, &receipt);
                }
                return Err(200);
            }
            Content::Empty => return Err(200),
        };
        let receipts = match (&read.envelope, &read.message_id) {
            (Some(envelope), Some(id)) => receipts(&user, &written.target, envelope, id),
            _ => Vec::new(),
        };
        let (name, _) = self.bridging.plan().shown(&user);
        let message = Inbound {
            id: format!("{}@{}", name_of(&[&user, &written.id]), written.target),
            from: Address {
                channel: CHANNEL,
                id: user.clone(),
            },
            place: user,
            shown_name: name,
            to: written.target,
            at_unix_ms: unix_ms(),
            body,
            edits: None,
        };
        let ask = Input::Ask {
            text: written.text,
            message: Box::new(message),
            receipts,
        };
        match self.messages.tell(ask) {
            true => Ok(Vec::new()),
            false => Err(503),
        }
    }

    /// What a phone of this user says has become of a text of the assistant's.
    fn text_seen(&self, user: String, receipt: &Receipt) {
        let Some(delivery) = delivery_named(receipt).map(str::to_owned) else {
            return;
        };
        let is_displayed = receipt.what == Disposition::Displayed;
        self.recorder.queue("receipt", move |store| {
            let noted = store.note_receipt(&delivery, Some(&user), is_displayed);
            noted.map(|_| ())
        });
    }

    /// A phone of this user is there; `is_new`: it was not before.
    pub(super) fn texts_may_go(&self, user: &str, is_new: bool) {
        let user = user.to_owned();
        // When the office is full it tries again by itself.
        self.messages.tell(Input::Phone { user, is_new });
    }
}

/// 128 bits of chance.
fn unguessable() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// The same for the same words.
fn name_of(words: &[&str]) -> String {
    let mut sum = Sha256::new();
    for word in words {
        sum.update(word.as_bytes());
        sum.update([0]);
    }
    let sum = sum.finalize();
    sum[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// RFC 3323 §4.1.1.3: the host of somebody who does not want to be shown.
fn is_hidden(from: &NameAddr) -> bool {
    from.uri.host.to_string().contains(".invalid")
}

#[cfg(test)]
#[path = "messages/tests.rs"]
mod tests;
