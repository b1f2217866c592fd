//! One turn by text: a voice note is heard, "call me" rings, a guest leaves a message, and everything else is asked of the
//! agent that a call would reach, with the same history and rights. Its outcome is an answer that the core writes down.
//! Runs in a task of its own, any number of times for one message: what it does besides is keyed by the message.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent_bridge::channels::Channel;
use agent_bridge::conversation::{Message, Role as SpokenBy};
use agent_bridge::gateways::{AskRequest, Asker, GatewayEvent, ToolCall};
use agent_bridge::turn::{ReplyError, ReplyErrorKind, ReplyId};
use jiff::tz::TimeZone;
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::boundary::*;
use super::core::Answer;
use super::sounds::{Folder, Sounds};
use super::wishes::{self, When};
use super::{Hub, Letter, LiveDoor, wording};
use crate::agents::Agents;
use crate::approvals::Approvals;
use crate::callbacks::desk::NewRequest;
use crate::callbacks::{Channel as Means, Desk, State};
use crate::config::{Text, VoiceAnswers};
use crate::records::{Recorder, unix_ms};
use crate::redact::Private;
use crate::store::{MessageRow, NewMessage, Role, TextChange};

/// Text of an answer that is kept; what comes behind it is cut.
const ANSWER_BYTES_MAX: usize = 60 * 1024;
/// Pieces of an answer on their way from the gateway.
const EVENTS_MAX: usize = 64;
/// No answer takes longer, whatever its gateway allows.
const TURN_MAX: Duration = Duration::from_secs(15 * 60);
/// Timers that one answer may set, and the longest.
const TIMERS_MAX: usize = 8;
const TIMER_S_MAX: u64 = 7 * 24 * 3600;
/// A voice answer is for the ear: of a longer one only this much is spoken, in characters.
const SPOKEN_CHARS_MAX: usize = 1_500;

/// What turns share.
pub(super) struct Context {
    pub hub: Hub,
    pub recorder: Recorder,
    pub agents: Agents,
    pub approvals: Approvals,
    /// None: nobody can be called.
    pub desk: Option<Desk>,
    pub sounds: Arc<dyn Sounds>,
    pub folder: Folder,
    pub channels: Mutex<HashMap<String, Arc<dyn Channel>>>,
    pub live: Arc<LiveDoor>,
    /// As they are now.
    pub accounts: Mutex<Vec<String>>,
    pub text: Text,
    pub history_messages_max: usize,
    pub history_chars_max: usize,
    pub zone: TimeZone,
}

/// Names the deliveries of one turn: the same after a crash, and never another's.
pub(super) fn name(turn: i64, item: &Item) -> String {
    format!("{turn}-{:x}", item.taken_at)
}

impl Context {
    pub(super) fn channel(&self, name: &str) -> Option<Arc<dyn Channel>> {
        super::lock(&self.channels).get(name).cloned()
    }

    /// Whose conversation it is: an account, or all owners where it is shared.
    pub(super) fn persons_of(&self, conversation: &str) -> Vec<String> {
        let is_shared = self
            .agents
            .all()
            .any(|one| one.session.as_deref() == Some(conversation));
        let person = conversation
            .split_once('/')
            .map_or(conversation, |(person, _)| person);
        let is_theirs = |account: &&String| match is_shared {
            true => self.approvals.level(account) == agent_bridge::levels::Level::Owner,
            false => *account == person,
        };
        let accounts = super::lock(&self.accounts);
        accounts.iter().filter(is_theirs).cloned().collect()
    }

    /// Shows what happens in a conversation to everybody whose conversation it is.
    pub(super) fn tell(&self, conversation: &str, event: &Live) {
        self.live.tell(&self.persons_of(conversation), event);
    }

    /// Shows a message. `id`: its row, 0 where words are not kept. The number it is shown under.
    pub(super) fn say(&self, id: i64, message: NewMessage) -> i64 {
        let id = match id {
            0 => self.live.unkept_id(unix_ms()),
            id => id,
        };
        let conversation = message.message.conversation.clone();
        self.tell(&conversation, &Live::Said(shown(id, message)));
        id
    }

    fn answer(&self, turn: i64, item: &Item, role: Role, text: String, with_voice: bool) -> Answer {
        let at = unix_ms();
        let until = at + u64::from(self.text.deliver_h_max) * 3_600_000;
        let name = name(turn, item);
        let parcel = |id: String, matter: OutMatter| Parcel {
            id,
            channel: item.channel.clone(),
            place: item.place.clone(),
            person: item.person.clone(),
            at,
            due: at,
            until,
            attempts: 0,
            matter,
            reply_to: Some(item.theirs.clone()),
            message: None,
        };
        let mut out = Vec::new();
        // What came by the page is answered there: it shows the conversation.
        if item.channel != "web" {
            out.push(parcel(format!("a-{name}"), OutMatter::Text(text.clone())));
        }
        if with_voice && self.text.voice_answers == VoiceAnswers::ToVoice {
            let words = wording::spoken(&text, SPOKEN_CHARS_MAX);
            let matter = OutMatter::Voice {
                words,
                caption: false,
                agent: self.agents.named(&item.agent).name.clone(),
            };
            out.push(parcel(format!("v-{name}"), matter));
        }
        let message = NewMessage {
            message: MessageRow {
                conversation: item.conversation.clone(),
                role,
                text,
                heard: None,
                at_unix_ms: at,
                call: None,
                channel: item.channel.clone(),
            },
            voice: None,
        };
        Answer {
            message: Some(message),
            out,
        }
    }

    fn failed(&self, turn: i64, item: &Item, words: String) -> Answer {
        let event = Live::Failed {
            turn: turn.unsigned_abs(),
            conversation: item.conversation.clone(),
            words: words.clone(),
        };
        self.tell(&item.conversation, &event);
        self.answer(turn, item, Role::Program, words, false)
    }
}

/// What a turn came to.
pub(super) struct Ended {
    pub answer: Answer,
    /// A sound that nothing names any more once the answer is on disk.
    pub unnamed: Option<String>,
}

/// Answers one message.
pub(super) async fn run(cx: Arc<Context>, turn: i64, item: Item) -> Ended {
    let channel = cx.channel(&item.channel);
    if let Some(channel) = &channel {
        channel.typing(&item.place, true).await;
    }
    let ended = match &item.matter {
        Matter::Voice { file, .. } => match hear(&cx, turn, &item, file).await {
            Ok(text) => Ended {
                answer: answer(&cx, turn, &item, text, true).await,
                unnamed: (!cx.recorder.keeps_words()).then(|| file.clone()),
            },
            Err(words) => Ended {
                answer: cx.failed(turn, &item, words),
                unnamed: Some(file.clone()),
            },
        },
        Matter::Text(text) => Ended {
            answer: answer(&cx, turn, &item, text.clone(), false).await,
            unnamed: None,
        },
        Matter::Unusable(why) => Ended {
            answer: cx.answer(turn, &item, Role::Program, why.clone(), false),
            unnamed: None,
        },
    };
    if let Some(channel) = &channel {
        channel.typing(&item.place, false).await;
    }
    ended
}

/// Where a turn ended in a panic.
pub(super) fn broken(cx: &Context, turn: i64, item: &Item) -> Ended {
    Ended {
        answer: cx.failed(turn, item, wording::BROKEN.to_owned()),
        unnamed: None,
    }
}

async fn answer(cx: &Context, turn: i64, item: &Item, text: String, is_voice: bool) -> Answer {
    match item.door {
        Door::Closed => {
            return cx.answer(turn, item, Role::Program, wording::CLOSED.to_owned(), false);
        }
        Door::Message => {
            let words = pass_on(cx, turn, item, &text).await;
            return cx.answer(turn, item, Role::Program, words.to_owned(), false);
        }
        Door::Agent => {}
    }
    if let Some(when) = wishes::call_me(&text) {
        let words = call(cx, turn, item, when).await;
        return cx.answer(turn, item, Role::Assistant, words, false);
    }
    let text = match item.is_correction {
        true => wording::correction(&text),
        false => text,
    };
    match ask(cx, turn, item, text, is_voice).await {
        Ok(text) => cx.answer(turn, item, Role::Assistant, text, is_voice),
        Err(error) => {
            warn!(channel = %item.channel, %error, "a message was not answered");
            cx.failed(turn, item, error.sayable().to_owned())
        }
    }
}

/// The words of a voice note, kept in the conversation. The error is for its sender.
async fn hear(cx: &Context, turn: i64, item: &Item, file: &str) -> Result<String, String> {
    let not_heard = |why: &str| format!("{}{why}.", wording::NOT_HEARD);
    let bytes = cx
        .folder
        .read(file)
        .await
        .map_err(|_| not_heard("its sound is gone"))?;
    let text = cx
        .sounds
        .hear(&cx.agents.named(&item.agent).name, bytes)
        .await;
    let text = text.map_err(|why| not_heard(&why))?;
    let text = text.trim().to_owned();
    if text.is_empty() {
        return Err(wording::NOTHING_HEARD.to_owned());
    }
    info!(channel = %item.channel, said = %Private(&text), "voice note");
    let keeps_words = cx.recorder.keeps_words();
    let message = NewMessage {
        message: MessageRow {
            conversation: item.conversation.clone(),
            role: Role::Caller,
            text: text.clone(),
            heard: None,
            at_unix_ms: item.taken_at,
            call: None,
            channel: item.channel.clone(),
        },
        voice: keeps_words.then(|| file.to_owned()),
    };
    if !keeps_words {
        cx.say(0, message);
        return Ok(text);
    }
    let change = TextChange::Heard {
        inbox: turn,
        message: message.clone(),
    };
    let kept = cx.recorder.ask(move |store| store.keep_text(&change)).await;
    if let Ok(kept) = kept
        && kept.is_new
    {
        cx.say(kept.message, message);
    }
    Ok(text)
}

fn shown(id: i64, new: NewMessage) -> Shown {
    Shown::from(crate::store::ShownRow {
        id,
        message: new.message,
        voice: new.voice,
        answers: None,
        delivery: None,
    })
}

async fn pass_on(cx: &Context, turn: i64, item: &Item, text: &str) -> &'static str {
    let Some(owner) = cx.agents.messages_for.clone() else {
        return wording::NOT_PASSED_ON;
    };
    let letter = Letter {
        conversation: Some(format!("{owner}/messages")),
        record_as: Some(Role::Program),
        key: Some(format!("guest-{}", name(turn, item))),
        ..Letter::text(
            &owner,
            &wording::left_by_guest(&item.person, &item.channel, text),
            "left by a guest",
        )
    };
    match cx.hub.post(letter).await {
        Ok(_) => wording::PASSED_ON,
        Err(error) => {
            warn!(%error, "a guest's message was not passed on");
            wording::NOT_PASSED_ON
        }
    }
}

async fn call(cx: &Context, turn: i64, item: &Item, when: When) -> String {
    let Some(desk) = &cx.desk else {
        return wording::cannot_call("nobody can be called here");
    };
    let now = unix_ms();
    let not_before = match when {
        When::Now => None,
        When::In(minutes) => Some(item.taken_at + u64::from(minutes) * 60_000),
        When::At(hour, minute) => Some(next_time(&cx.zone, item.taken_at, hour, minute)),
    };
    let request = NewRequest {
        why: format!("asked for by {}", wording::channel(&item.channel)),
        number: item.agent.clone(),
        is_invited: true,
        not_before,
        key: Some(format!("text-{}", name(turn, item))),
        ..NewRequest::new(Means::Call, &item.person, wording::CALLED)
    };
    match desk.request(request).await {
        Ok(record) => match record.state {
            State::Left { why, .. } => wording::cannot_call(&why),
            State::Waiting { due } => {
                wording::will_call(when, due.saturating_sub(now).div_ceil(60_000))
            }
            _ => wording::will_call(when, 0),
        },
        Err(error) => wording::cannot_call(&error.to_string()),
    }
}

/// The next moment after `now` at which a clock of this zone shows that.
fn next_time(zone: &TimeZone, now: UnixMs, hour: u8, minute: u8) -> UnixMs {
    let find = || {
        let ms = i64::try_from(now).ok()?;
        let here = jiff::Timestamp::from_millisecond(ms)
            .ok()?
            .to_zoned(zone.clone());
        let today = here.date();
        let at = |date: jiff::civil::Date| {
            let at = date.at(i8::try_from(hour).ok()?, i8::try_from(minute).ok()?, 0, 0);
            at.to_zoned(zone.clone()).ok()
        };
        let found = match at(today)? {
            later if later > here => later,
            _ => at(today.tomorrow().ok()?)?,
        };
        u64::try_from(found.timestamp().as_millisecond()).ok()
    };
    find().unwrap_or(now)
}

async fn ask(
    cx: &Context,
    turn: i64,
    item: &Item,
    text: String,
    is_voice: bool,
) -> Result<String, ReplyError> {
    let profile = cx.agents.named(&item.agent);
    let level = cx.approvals.level(&item.person);
    let asker = Asker {
        agent: profile.name.clone(),
        call: None,
        user: item.person.clone(),
        level: Some(level),
    };
    let gateway = profile
        .gateway
        .facing(&asker)
        .unwrap_or_else(|| profile.gateway.clone());
    // What it wants to be allowed is asked for by text.
    cx.approvals.know(&item.conversation).await;
    let conversation = cx.recorder.conversation(&item.conversation).await;
    let was_spoken = conversation.messages().any(|said| !said.call.is_empty());
    let mut messages = conversation.history(cx.history_messages_max, cx.history_chars_max);
    messages.push(Message {
        role: SpokenBy::User,
        text,
    });
    let system = format!(
        "{}\n\n{}\n",
        profile.system_prompt,
        wording::note(&item.channel, is_voice, was_spoken)
    );
    let (sender, mut events) = mpsc::channel(EVENTS_MAX);
    let handle = gateway.ask(
        AskRequest {
            reply: ReplyId(u32::try_from(turn % i64::from(u32::MAX)).unwrap_or(1)),
            session: item.conversation.clone(),
            system,
            messages,
            speculative: false,
            tools: Vec::new(),
            rounds: Vec::new(),
        },
        sender,
    );
    handle.commit();
    let mut answer = String::new();
    let mut timers = Vec::new();
    let number = turn.unsigned_abs();
    let persons = cx.persons_of(&item.conversation);
    let tell = |event: Live| cx.live.tell(&persons, &event);
    let read = async {
        while let Some(event) = events.recv().await {
            match event {
                GatewayEvent::Text(text) => {
                    let room = ANSWER_BYTES_MAX.saturating_sub(answer.len());
                    let text = &text[..text.floor_char_boundary(room)];
                    answer.push_str(text);
                    tell(Live::Delta {
                        turn: number,
                        conversation: item.conversation.clone(),
                        text: text.to_owned(),
                    });
                }
                GatewayEvent::Progress(progress) => tell(Live::Working {
                    turn: number,
                    conversation: item.conversation.clone(),
                    words: wording::working(&progress),
                }),
                GatewayEvent::ToolCall(call) => timers.extend(timer(&call)),
                GatewayEvent::Done { .. } => return Ok(()),
                GatewayEvent::Failed(error) => return Err(ReplyError::from(error)),
            }
        }
        Err(ReplyError::vanished())
    };
    let ended = tokio::time::timeout(TURN_MAX, read).await;
    handle.heard(&answer, true);
    let slow = ReplyError {
        kind: ReplyErrorKind::Slow,
        ..ReplyError::vanished()
    };
    let ended = ended.unwrap_or(Err(slow));
    let answer = answer.trim().to_owned();
    match ended {
        // What there is of it is worth more than an apology alone.
        Err(error) if !answer.is_empty() => {
            warn!(channel = %item.channel, %error, "an answer broke off");
            let cut = ReplyError {
                kind: ReplyErrorKind::Cut,
                ..error
            };
            return Ok(format!("{answer}\n\n({})", cut.sayable()));
        }
        Err(error) => return Err(error),
        Ok(()) => {}
    }
    let has_tools = !timers.is_empty();
    set_timers(cx, turn, item, timers).await;
    match (answer.is_empty(), has_tools) {
        (false, _) => Ok(answer),
        (true, true) => Ok(wording::DONE.to_owned()),
        (true, false) => Err(ReplyError {
            kind: ReplyErrorKind::Empty,
            ..ReplyError::vanished()
        }),
    }
}

enum Timer {
    Set { seconds: u64, label: String },
    CancelAll,
}

/// The tools of a call that mean something in writing.
fn timer(call: &ToolCall) -> Option<Timer> {
    match call.name.as_str() {
        "set_timer" => {
            let seconds = call.arguments.get("seconds")?.as_u64()?;
            let label = call.arguments.get("label").and_then(|label| label.as_str());
            let label = label.unwrap_or_default().chars().take(80).collect();
            Some(Timer::Set { seconds, label })
        }
        "cancel_timers" => Some(Timer::CancelAll),
        _ => None,
    }
}

async fn set_timers(cx: &Context, turn: i64, item: &Item, timers: Vec<Timer>) {
    for (n, timer) in timers.into_iter().take(TIMERS_MAX).enumerate() {
        match timer {
            Timer::CancelAll => cx.hub.take_back(&item.person, "timer-").await,
            Timer::Set { seconds, label } => {
                let letter = Letter {
                    conversation: Some(item.conversation.clone()),
                    record_as: Some(Role::Program),
                    key: Some(format!("timer-{}-{n}", name(turn, item))),
                    due_unix_ms: Some(unix_ms() + seconds.min(TIMER_S_MAX) * 1_000),
                    to: Some((item.channel.clone(), item.place.clone())),
                    ..Letter::text(&item.person, &wording::timer(&label), "timer")
                };
                if let Err(error) = cx.hub.post(letter).await {
                    warn!(%error, "a timer was not set");
                }
            }
        }
    }
}
