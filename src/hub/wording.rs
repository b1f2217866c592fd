//! PURE. What the program itself writes to people.

use agent_bridge::turn::Progress;

use super::wishes::When;

pub const PASSED_ON: &str = "Thank you. Your message has been passed on.";
pub const NOT_PASSED_ON: &str =
    "Your message could not be passed on just now. Please try again later.";
pub const CLOSED: &str = "This assistant is not for you.";
pub const NOTHING_HEARD: &str = "I could not hear any words in that voice note.";
pub const NOT_HEARD: &str = "I could not listen to that voice note: ";
pub const DONE: &str = "Done.";
pub const ALLOWED: &str = "Allowed.";
pub const REFUSED: &str = "Refused.";
pub const NOT_WAITING: &str = "This does not wait for an answer any more.";
/// Of a question that an earlier run has asked.
pub const EARLIER: &str =
    "Offhook was started anew: this question is over, and nothing was allowed by it.";
/// A question that was asked by text is asked in a call now.
pub const ON_THE_PHONE: &str = "You are asked on the telephone now.";
pub const NOT_YOURS: &str = "This is not for you to decide.";
pub const FROZEN: &str = "Approvals are stopped; `offhook approvals lift` allows them again.";
pub const BROKEN: &str = "Something went wrong here while I was answering. Please ask again.";
pub const CALLED: &str = "You asked me to call. What can I do for you?";

/// A name of a channel as people write it.
pub fn channel(name: &str) -> &str {
    match name {
        "telegram" => "Telegram",
        "matrix" => "Matrix",
        "signal" => "Signal",
        "sip" => "a text message from their phone",
        "web" => "the web page",
        other => other,
    }
}

/// Told to the agent with every question that comes in writing.
pub fn note(name: &str, is_voice: bool, was_spoken: bool) -> String {
    let how = match is_voice {
        true => "This message is a voice note, heard by speech recognition, that came by",
        false => "This message was typed and came by",
    };
    let before = match was_spoken {
        true => " Parts of the conversation before it were spoken on the telephone.",
        false => "",
    };
    format!(
        "{how} {}.{before} Your answer is read on a screen, not read aloud: what was said above about speaking does not \
         hold for it. Write as one writes in a chat: short, the answer first; simple Markdown, lists and links are fine.",
        channel(name)
    )
}

/// Told to the agent in a call where parts of the conversation were written.
pub const WRITTEN_BEFORE: &str = "Parts of the conversation before this call were written in a chat; this now is the telephone again.";

pub fn correction(text: &str) -> String {
    format!("(This corrects an earlier message of mine.) {text}")
}

/// What of an answer is said aloud: without the marks of Markdown, links as their words, code as such.
pub fn spoken(text: &str, chars_max: usize) -> String {
    let mut out = String::new();
    let mut in_code = false;
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with("```") {
            if !in_code {
                out.push_str("There is some code, which I have written to you. ");
            }
            in_code = !in_code;
            continue;
        }
        if in_code || line.is_empty() {
            continue;
        }
        let line = line.trim_start_matches(['#', '>', '-', '*', '+', ' ']);
        out.push_str(&without_links(line).replace(['*', '`', '_'], ""));
        if !out.ends_with(['.', '!', '?', ':', ',', ';']) {
            out.push('.');
        }
        out.push(' ');
    }
    let out = out.trim();
    match out.char_indices().nth(chars_max) {
        None => out.to_owned(),
        Some((at, _)) => {
            let head = &out[..at];
            let end = head.rfind(['.', '!', '?']).map_or(at, |end| end + 1);
            format!("{} The rest I have written to you.", &head[..end])
        }
    }
}

fn without_links(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(open) = rest.find('[') {
        let behind = &rest[open + 1..];
        let parts = behind.find("](").and_then(|middle| {
            let end = behind[middle..].find(')')?;
            Some((&behind[..middle], &behind[middle + end + 1..]))
        });
        let Some((words, after)) = parts else { break };
        out.push_str(&rest[..open]);
        out.push_str(words);
        rest = after;
    }
    out.push_str(rest);
    let words = out.split(' ').map(|word| match word.contains("://") {
        true => "a link",
        false => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

/// What is going on, for whoever waits.
pub fn working(progress: &Progress) -> String {
    match progress {
        Progress::Tool { name } => format!("using {name}"),
        Progress::Trying { gateway } => format!("asking {gateway}"),
        Progress::Cloud { model } => format!("asking {model} in the cloud"),
        Progress::Spent(_) => "a limit is reached: staying at home".to_owned(),
        Progress::Waiting => "waiting".to_owned(),
    }
}

/// After "call me". `due_in_min`: until the phone rings.
pub fn will_call(when: When, due_in_min: u64) -> String {
    match when {
        When::Now if due_in_min == 0 => "I am calling you now.".to_owned(),
        When::Now | When::In(_) => match due_in_min {
            0 | 1 => "I will call you in a minute.".to_owned(),
            count => format!("I will call you in {count} minutes."),
        },
        When::At(hour, minute) => format!("I will call you at {hour}:{minute:02}."),
    }
}

pub fn cannot_call(why: &str) -> String {
    format!("I cannot call you: {why}.")
}

pub fn too_long(chars_max: usize) -> String {
    format!("That message is longer than {chars_max} characters. Please send less of it.")
}

pub fn voice_too_large(bytes_max: usize) -> String {
    format!(
        "That voice note is larger than {} MB. Please send a shorter one.",
        bytes_max / 1_000_000
    )
}

pub fn left_by_guest(name: &str, channel_name: &str, text: &str) -> String {
    format!("{name} wrote by {}: {text}", channel(channel_name))
}

pub fn linked(person: &str) -> String {
    format!(
        "You are known here as {person} from now on. Write to me whenever you like; \"call me\" makes your phone ring."
    )
}

pub fn timer(label: &str) -> String {
    match label.trim() {
        "" => "Your timer is over.".to_owned(),
        label => format!("Your timer is over: {label}"),
    }
}

/// A question about a risky action. `what` and `place` as they may be shown.
pub fn approval(what: &str, place: &str, code: &str) -> String {
    let place = match place.is_empty() {
        true => String::new(),
        false => format!("\nWhere: {place}"),
    };
    format!(
        "The assistant wants to do something that needs your yes:\n{what}{place}\nAllow it once? Write \"yes {code}\" or \"no {code}\"."
    )
}

/// What became of a question, for those who were asked and did not answer it there.
pub fn decided(is_allowed: bool, channel_name: &str) -> String {
    let word = if is_allowed { "Allowed" } else { "Refused" };
    match channel_name {
        "phone" => format!("{word} on the telephone."),
        "web" => format!("{word} on the web page."),
        "sip" => format!("{word} by a text message."),
        "telegram" | "matrix" | "signal" => format!("{word} by {}.", channel(channel_name)),
        _ => format!("{word} elsewhere."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_says_where_it_was_made() {
        for (is_allowed, channel, expected) in [
            (true, "phone", "Allowed on the telephone."),
            (false, "web", "Refused on the web page."),
            (true, "telegram", "Allowed by Telegram."),
            (false, "command line", "Refused elsewhere."),
        ] {
            assert_eq!(decided(is_allowed, channel), expected);
        }
    }

    #[test]
    fn what_is_said_has_no_marks() {
        for (text, most, expected) in [
            ("**Yes.** It is `on`.", 100, "Yes. It is on."),
            (
                "# Trains\n- 10:05 to [Bonn](https://x.example/a)\n- 11:05",
                100,
                "Trains. 10:05 to Bonn. 11:05.",
            ),
            (
                "Run:\n```sh\nls\n```\nDone",
                100,
                "Run: There is some code, which I have written to you. Done.",
            ),
            ("See https://x.example/abc now", 100, "See a link now."),
            (
                "First one. Second one. Third one.",
                22,
                "First one. Second one. The rest I have written to you.",
            ),
            ("", 10, ""),
            ("[a](", 10, "[a](."),
        ] {
            assert_eq!(spoken(text, most), expected, "{text:?}");
        }
    }
}
