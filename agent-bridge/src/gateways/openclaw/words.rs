//! What is said to OpenClaw and what of its words is for the ear: a message with the notes that its transcript lacks, the
//! key of a conversation, and the line for machines that a reply may begin with. Owns texts only.
//! PURE.

use crate::conversation::{Message, Role};
use crate::phone_text::Tidy;

/// Letters of what was heard in a note, its end.
const HEARD_CHARS_MAX: usize = 1_000;
/// Letters of a message; the end of a longer one counts.
const MESSAGE_CHARS_MAX: usize = 16_000;
/// Letters of a late result that are said.
const NEWS_CHARS_MAX: usize = 1_000;
const NEWS_GOES_ON: &str = "There is more of it in the conversation.";
/// A reply's first line for machines is no longer than this.
const DIRECTIVE_BYTES_MAX: usize = 1_024;
/// Letters of a key's last part.
const USER_CHARS_MAX: usize = 64;

/// Tells an agent that is otherwise written to how it is read now.
pub const PHONE_NOTE: &str = "(This is a phone call: your words are read aloud. Answer in one to three short spoken \
                              sentences, without Markdown, lists or links.)";

/// The reply before, as the gateway knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reply {
    /// Its text as far as it came.
    pub text: String,
    /// It was called off: the model will not see it.
    pub is_aborted: bool,
}

/// `agent:<agent>:voice:<who>`, which is where OpenClaw keeps voice conversations. `session` is `AskRequest::session`, an
/// authenticated account before a slash; letters that a key cannot hold become `_`. A session that is a key of OpenClaw's
/// (`agent:main:main`) is itself: only the owner's config has such names, for no account stands without a slash.
pub fn session_key(agent: &str, session: &str) -> String {
    if is_key(session) {
        return session.to_owned();
    }
    let who = session.split('/').next().unwrap_or_default();
    format!("agent:{}:voice:{}", key_part(agent), key_part(who))
}

/// Where nobody's words ever are.
pub fn warmup_key(agent: &str) -> String {
    format!("agent:{}:voice:warmup", key_part(agent))
}

/// `agent:<agent>:<rest>`, of letters that a key can hold.
fn is_key(session: &str) -> bool {
    let fits =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+' | '@' | ':');
    let mut parts = session.splitn(3, ':');
    let is_agents = parts.next() == Some("agent") && parts.next().is_some_and(|id| !id.is_empty());
    is_agents && parts.next().is_some_and(|rest| !rest.is_empty()) && session.chars().all(fits)
}

fn key_part(text: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+');
    let part: String = text
        .chars()
        .take(USER_CHARS_MAX)
        .map(|c| if fits(c) { c.to_ascii_lowercase() } else { '_' })
        .collect();
    match part.is_empty() {
        true => "_".to_owned(),
        false => part,
    }
}

/// What is sent for the last question of `messages`. `earlier` is the reply to the one before; `is_first`: the agent is
/// to be told how it is heard.
pub fn message(messages: &[Message], earlier: Option<&Reply>, is_first: bool) -> String {
    let question = messages
        .iter()
        .rposition(|message| message.role == Role::User);
    let text = question.map_or("", |at| messages[at].text.trim());
    let mut notes = Vec::new();
    if is_first {
        notes.push(PHONE_NOTE.to_owned());
    }
    let before = &messages[..question.unwrap_or(0)];
    let from = before
        .iter()
        .rposition(|message| message.role == Role::User)
        .map_or(0, |at| at + 1);
    let heard: Vec<&str> = before[from..]
        .iter()
        .map(|message| message.text.trim())
        .collect();
    if let Some(note) = earlier.and_then(|reply| interrupted(reply, &heard.join(" "))) {
        notes.push(note);
    }
    let skipped = text.chars().count().saturating_sub(MESSAGE_CHARS_MAX);
    notes.push(
        text.chars()
            .skip(skipped)
            .filter(|c| *c == '\n' || !c.is_control())
            .collect(),
    );
    notes.join("\n")
}

/// What was heard, against what OpenClaw's model will see of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// The same.
    All,
    /// Its beginning; or all that had come of one that was called off.
    Part,
    Nothing,
    /// Words that are none of it.
    Other,
}

pub fn heard_of(reply: &Reply, heard: &str) -> Heard {
    let mut tidy = Tidy::default();
    let spoken = tidy.push(&reply.text) + &tidy.finish();
    let (whole, part) = (letters(&spoken), letters(heard));
    match () {
        () if whole.is_empty() && part.is_empty() => Heard::All,
        () if whole.is_empty() || !whole.starts_with(&part) => Heard::Other,
        () if part.is_empty() => Heard::Nothing,
        () if part.len() == whole.len() && !reply.is_aborted => Heard::All,
        () => Heard::Part,
    }
}

/// The note on a reply that was not heard to its end. None: it was, or nothing is known.
fn interrupted(reply: &Reply, heard: &str) -> Option<String> {
    match heard_of(reply, heard) {
        Heard::All | Heard::Other => return None,
        Heard::Nothing => {
            return Some(
                "(You were interrupted; the caller heard nothing of your last answer.)".to_owned(),
            );
        }
        Heard::Part => {}
    }
    let heard = heard.trim();
    let skipped = heard.chars().count().saturating_sub(HEARD_CHARS_MAX);
    let mark = if skipped > 0 { "…" } else { "" };
    let heard: String = heard
        .chars()
        .skip(skipped)
        .filter(|c| !c.is_control())
        .map(|c| if c == '"' { '\'' } else { c })
        .collect();
    Some(format!(
        "(You were interrupted; the caller heard: \"{mark}{heard}\")"
    ))
}

fn letters(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

/// Takes the line away that tells voices how to sound, `{"voice":…}`, where a reply begins with one. Everything else
/// passes as it comes.
#[derive(Debug, Clone, Default)]
pub struct FirstLine {
    held: String,
    is_over: bool,
    /// The line was there: the white space after it goes with it.
    skips_space: bool,
}

impl FirstLine {
    pub fn push(&mut self, text: &str) -> String {
        if self.is_over {
            return self.rest(text).to_owned();
        }
        self.held.push_str(text);
        let begun = self.held.trim_start();
        let line = begun.find('\n').map(|at| &begun[..at]);
        match line {
            _ if begun.is_empty() => String::new(),
            _ if !begun.starts_with('{') || begun.len() > DIRECTIVE_BYTES_MAX => self.pass(),
            None => String::new(),
            Some(line) if is_directive(line) => {
                let rest = begun[line.len()..].to_owned();
                self.held.clear();
                (self.is_over, self.skips_space) = (true, true);
                self.rest(&rest).to_owned()
            }
            Some(_) => self.pass(),
        }
    }

    /// What was held back when the reply ended.
    pub fn finish(&mut self) -> String {
        if is_directive(self.held.trim()) {
            self.held.clear();
        }
        self.pass()
    }

    fn rest<'a>(&mut self, text: &'a str) -> &'a str {
        let text = if self.skips_space {
            text.trim_start()
        } else {
            text
        };
        self.skips_space &= text.is_empty();
        text
    }

    fn pass(&mut self) -> String {
        self.is_over = true;
        std::mem::take(&mut self.held)
    }
}

fn is_directive(line: &str) -> bool {
    const KEYS: [&str; 4] = ["voice", "voiceId", "speed", "once"];
    let parsed: Option<serde_json::Value> = serde_json::from_str(line.trim()).ok();
    let fields = parsed.as_ref().and_then(|value| value.as_object());
    fields.is_some_and(|fields| KEYS.iter().any(|key| fields.contains_key(*key)))
}

/// A late result as it is said: what is left of it may be nothing.
pub fn late(text: &str) -> String {
    let mut line = FirstLine::default();
    let text = line.push(text) + &line.finish();
    let mut tidy = Tidy::default();
    let spoken = tidy.push(&text) + &tidy.finish();
    let spoken = spoken.trim();
    let Some((cut, _)) = spoken.char_indices().nth(NEWS_CHARS_MAX) else {
        return spoken.to_owned();
    };
    let end = spoken[..cut]
        .rfind(['.', '!', '?'])
        .map_or(cut, |at| at + 1);
    format!("{} {NEWS_GOES_ON}", &spoken[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_of_accounts() {
        for (agent, session, key) in [
            ("main", "phone1/agent", "agent:main:voice:phone1"),
            ("Finance", "anna", "agent:finance:voice:anna"),
            ("main", "+15550001/agent", "agent:main:voice:+15550001"),
            ("main", "a:b c/agent", "agent:main:voice:a_b_c"),
            ("", "", "agent:_:voice:_"),
            // The owner's own, shared with a text channel.
            ("main", "agent:main:main", "agent:main:main"),
            ("main", "agent:main:telegram:7", "agent:main:telegram:7"),
            // No account comes to it.
            (
                "main",
                "agent:main:main/agent",
                "agent:main:voice:agent_main_main",
            ),
            ("main", "agent:main", "agent:main:voice:agent_main"),
            ("main", "agent::main", "agent:main:voice:agent__main"),
            ("main", "shared", "agent:main:voice:shared"),
        ] {
            assert_eq!(session_key(agent, session), key);
        }
    }

    fn conversation(lines: &[(&str, &str)]) -> Vec<Message> {
        let message = |(who, text): &(&str, &str)| Message {
            role: if *who == "c" {
                Role::User
            } else {
                Role::Assistant
            },
            text: (*text).to_owned(),
        };
        lines.iter().map(message).collect()
    }

    #[test]
    fn a_message_says_what_the_transcript_cannot_know() {
        let check =
            |lines: &[(&str, &str)], reply: Option<(&str, bool)>, is_first, expected: &str| {
                let reply = reply.map(|(text, is_aborted)| Reply {
                    text: text.to_owned(),
                    is_aborted,
                });
                assert_eq!(
                    message(&conversation(lines), reply.as_ref(), is_first),
                    expected
                );
            };
        let tea = "I would take the **tea**. It is cheaper, too.";
        check(&[("c", "hello")], None, false, "hello");
        check(
            &[("c", "hello")],
            None,
            true,
            &format!("{PHONE_NOTE}\nhello"),
        );
        check(
            &[
                ("c", "tea?"),
                ("a", "I would take the tea. It is cheaper, too."),
                ("c", "why?"),
            ],
            Some((tea, false)),
            false,
            "why?",
        );
        check(
            &[
                ("c", "tea?"),
                ("a", "I would take the \"tea\"."),
                ("c", "why?"),
            ],
            Some((tea, false)),
            false,
            "(You were interrupted; the caller heard: \"I would take the 'tea'.\")\nwhy?",
        );
        // All that had come was heard, but the model will not see it.
        check(
            &[
                ("c", "tea?"),
                ("a", "I would take the tea. It is cheaper, too."),
                ("c", "why?"),
            ],
            Some((tea, true)),
            false,
            "(You were interrupted; the caller heard: \"I would take the tea. It is cheaper, too.\")\nwhy?",
        );
        check(
            &[("c", "tea?"), ("c", "why?")],
            Some((tea, true)),
            false,
            "(You were interrupted; the caller heard nothing of your last answer.)\nwhy?",
        );
        // Another gateway answered: what it said is no part of this reply.
        check(
            &[
                ("c", "tea?"),
                ("a", "I cannot reach your assistant."),
                ("c", "why?"),
            ],
            Some((tea, true)),
            false,
            "why?",
        );
        check(
            &[("c", "tea?"), ("c", "why?")],
            Some(("", true)),
            false,
            "why?",
        );
        check(&[], None, false, "");
    }

    #[test]
    fn the_line_for_machines_is_not_read_out() {
        let check = |pieces: &[&str], expected: &str| {
            let whole: String = pieces.concat();
            let mut line = FirstLine::default();
            let mut out: String = pieces.iter().map(|piece| line.push(piece)).collect();
            out += &line.finish();
            assert_eq!(out, expected, "{pieces:?}");
            // The same letter by letter.
            let mut line = FirstLine::default();
            let mut out: String = whole.chars().map(|c| line.push(&c.to_string())).collect();
            out += &line.finish();
            assert_eq!(out, expected, "{pieces:?} by letters");
        };
        check(&["Hello"], "Hello");
        check(&["{\"voice\":\"alloy\"}\nHel", "lo"], "Hello");
        check(&["\n{\"voi", "ce\":\"x\",\"once\":true}\n\nHi"], "Hi");
        check(&["{\"voice\":\"x\"}"], "");
        check(&["{\"answer\":1}\nmore"], "{\"answer\":1}\nmore");
        check(&["{not json}\nmore"], "{not json}\nmore");
        check(&["{", "never closed"], "{never closed");
        assert_eq!(
            late("{\"voice\":\"x\"}\n**Done**: [[reply_to_current]] it is built."),
            "Done: it is built."
        );
        assert_eq!(late("NO_REPLY"), "");
        let long = late(&"One sentence more. ".repeat(100));
        assert!(
            long.ends_with("more. There is more of it in the conversation.") && long.len() < 1_100,
            "{long}"
        );
    }
}
