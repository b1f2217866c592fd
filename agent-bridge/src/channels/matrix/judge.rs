//! PURE. What counts as said to us: where our part of a timeline begins, whether a message in a room is meant for us,
//! and its words without the quote and the mention. Owns no state of rooms and no look-up; where the answer hangs on
//! another event, it says on which.

use super::wire::{Content, Event, Membership, Message, What};

/// Who we are in rooms.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Own {
    pub user_id: String,
    pub shown_name: String,
}

impl Own {
    /// `offhook` of `@offhook:example.org`.
    pub fn localpart(&self) -> &str {
        let rest = self.user_id.strip_prefix('@').unwrap_or_default();
        rest.split(':').next().unwrap_or_default()
    }
}

/// Whether a message in a room with several people is meant for us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meant {
    Yes,
    No,
    /// If this event is ours, to which it is a reply.
    IfOurs(String),
}

/// Where our part of a timeline begins: after the last invitation to us, or else after the moment we came in. What was
/// said before was not said to us. What was said between invitation and our coming was.
pub fn begins(timeline: &[Event], own: &Own) -> usize {
    let ours = |is_it: fn(Membership, Membership) -> bool| {
        timeline.iter().rposition(|event| match &event.what {
            What::Member(member) => {
                member.who == own.user_id && is_it(member.before, member.membership)
            }
            _ => false,
        })
    };
    let invited = ours(|_, now| now == Membership::Invite);
    let came = ours(|before, now| now == Membership::Join && before != Membership::Join);
    // Kicked out and back without an invitation: the later of the two, unless coming was the answer to it.
    let came = came.filter(|came| match &timeline[*came].what {
        What::Member(member) => member.before != Membership::Invite || invited.is_none(),
        _ => false,
    });
    invited.max(came).map_or(0, |at| at + 1)
}

/// Whether nothing before this event was said to us: we were invited, or came in unasked.
pub fn is_beginning(event: &Event, own: &Own) -> bool {
    match &event.what {
        What::Member(member) if member.who == own.user_id => match member.membership {
            Membership::Invite => true,
            Membership::Join => member.before == Membership::Other,
            Membership::Other => false,
        },
        _ => false,
    }
}

pub fn meant(message: &Message, own: &Own) -> Meant {
    if message.mentions.contains(&own.user_id) {
        return Meant::Yes;
    }
    let is_linked = |html: &String| links_to(html, &own.user_id);
    if message.formatted.as_ref().is_some_and(is_linked) {
        return Meant::Yes;
    }
    if let Content::Text(body) | Content::Emote(body) = &message.content {
        let body = match message.reply_to.is_some() {
            true => without_quote(body),
            false => body,
        };
        if body.contains(&own.user_id) || without_call(body, own) != body {
            return Meant::Yes;
        }
    }
    match &message.reply_to {
        Some(event) => Meant::IfOurs(event.clone()),
        None => Meant::No,
    }
}

/// The words of a message as the agent gets them.
pub fn words(message: &Message, body: &str, own: &Own) -> String {
    let body = match message.reply_to.is_some() {
        true => without_quote(body),
        false => body,
    };
    match without_call(body, own).trim() {
        // Nothing but our name: that is what was said.
        "" => body.trim().to_owned(),
        words => words.to_owned(),
    }
}

/// Without the quoted message that older clients put before a reply (§11.6.1 of earlier versions: lines with `> `, then
/// an empty one).
fn without_quote(body: &str) -> &str {
    if !body.starts_with("> <") && !body.starts_with("> * <") {
        return body;
    }
    let mut rest = body;
    while rest.starts_with('>') {
        rest = rest.split_once('\n').map_or("", |(_, behind)| behind);
    }
    rest.trim_start_matches(['\n', '\r'])
}

/// Without our name at its beginning: `Offhook: …`, `@offhook …`, `@offhook:example.org, …`. The body as it was if it
/// does not begin with it.
fn without_call<'a>(body: &'a str, own: &Own) -> &'a str {
    let text = body.trim_start();
    let bare = text.strip_prefix('@').unwrap_or(text);
    let has_at = bare.len() != text.len();
    let full = own.user_id.strip_prefix('@').unwrap_or_default();
    for name in [full, own.shown_name.as_str(), own.localpart()] {
        let Some(rest) = strip_name(bare, name) else {
            continue;
        };
        let called = rest.trim_start_matches([':', ',']);
        let is_called = called.len() != rest.len();
        let is_end =
            rest.is_empty() || rest.starts_with(|c: char| !c.is_alphanumeric() && c != '_');
        // A name without any mark may be the subject of a sentence: "Offhook is slow".
        if is_end && (is_called || has_at || rest.trim().is_empty() || name == full) {
            return called.trim_start();
        }
    }
    body
}

/// What follows `name` at the beginning of `text`, whatever the case of its letters.
fn strip_name<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    if name.is_empty() {
        return None;
    }
    let mut rest = text.chars();
    for expected in name.chars() {
        let found = rest.next()?;
        let is_same = found == expected || found.to_lowercase().eq(expected.to_lowercase());
        is_same.then_some(())?;
    }
    Some(rest.as_str())
}

/// Whether the HTML links to this user, as clients write it for a mention.
fn links_to(html: &str, user_id: &str) -> bool {
    let encoded = user_id.replace('@', "%40").replace(':', "%3A");
    [user_id, &encoded].iter().any(|id| {
        html.match_indices("https://matrix.to/#/")
            .any(|(at, prefix)| {
                let behind = &html[at + prefix.len()..];
                let rest = behind.strip_prefix(*id);
                rest.is_some_and(|rest| rest.starts_with(['"', '\'', '?', '/']))
            })
    })
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
