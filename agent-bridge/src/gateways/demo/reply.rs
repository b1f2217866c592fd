//! What the demo agent answers: one pure function from words to words and actions. Owns the skills and
//! their order; the first one that knows what to do with an utterance answers it.
//! PURE.

use jiff::{Timestamp, Zoned};
use rand::{Rng, RngExt};
use serde_json::json;

use super::heard::Heard;
use super::sums::Sum;
use super::{clock, numbers, spans, sums};
use crate::turn::ToolCall;

/// Letters of an utterance that are repeated or spelled; the rest is left out.
const REPEAT_CHARS_MAX: usize = 300;
const SPELL_LETTERS_MAX: usize = 40;
/// Numbers counted in one go.
const COUNT_MAX: i64 = 50;
const DICE_MAX: u64 = 10;
/// As many as a call keeps.
const TIMERS_MAX: usize = 8;
const TIMER_S_MAX: u64 = 24 * 3_600;

/// What the demo remembers of one caller.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DemoState {
    last_text: String,
    name: Option<String>,
    asked_for: Option<AskedFor>,
    timers: Vec<SetTimer>,
    tool_calls: u64,
    jokes_told: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AskedFor {
    TimerLength,
    WordToSpell,
}

#[derive(Debug, Clone, PartialEq)]
struct SetTimer {
    label: String,
    ends: Timestamp,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct DemoReply {
    pub text: String,
    pub tool_calls: Vec<ToolCall>,
}

struct Question<'a, R> {
    heard: Heard<'a>,
    text: &'a str,
    state: &'a mut DemoState,
    now: &'a Zoned,
    rng: &'a mut R,
    /// What the demo itself asked last.
    asked_for: Option<AskedFor>,
}

/// Answers one utterance. `now` is the caller's local time.
pub fn reply<R: Rng>(state: &mut DemoState, text: &str, now: &Zoned, rng: &mut R) -> DemoReply {
    let asked_for = state.asked_for.take();
    state.timers.retain(|timer| timer.ends > now.timestamp());
    let mut question = Question {
        heard: Heard::new(text),
        text,
        state,
        now,
        rng,
        asked_for,
    };
    let reply = question.answer();
    // What is said again is the last thing that was worth hearing.
    if !reply.text.is_empty() {
        reply.text.clone_into(&mut question.state.last_text);
    }
    reply
}

fn said(text: impl Into<String>) -> DemoReply {
    DemoReply {
        text: text.into(),
        tool_calls: Vec::new(),
    }
}

impl<R: Rng> Question<'_, R> {
    fn answer(&mut self) -> DemoReply {
        if self.heard.len() == 0 {
            return said("I did not catch any words. Please say it again.");
        }
        // From the most particular to the vaguest: "say goodbye" is to be repeated, "goodbye" is not.
        let skills: [fn(&mut Self) -> Option<DemoReply>; 18] = [
            Self::say_again,
            Self::open_question,
            Self::repeat,
            Self::spell,
            Self::cancel_timers,
            Self::set_timer,
            Self::timers_left,
            Self::count,
            Self::goodbye,
            Self::sum,
            Self::chance,
            Self::help,
            Self::date,
            Self::time,
            Self::name,
            Self::who,
            Self::joke,
            Self::small_talk,
        ];
        skills
            .into_iter()
            .find_map(|skill| skill(self))
            .unwrap_or_else(|| self.unknown())
    }

    fn tool(&mut self, name: &str, arguments: serde_json::Value) -> ToolCall {
        self.state.tool_calls += 1;
        ToolCall {
            id: format!("demo-{}", self.state.tool_calls),
            name: name.to_owned(),
            arguments,
        }
    }

    fn say_again(&mut self) -> Option<DemoReply> {
        let asks = self.heard.says(&[
            "say that again",
            "say it again",
            "repeat that",
            "repeat it",
            "what did you say",
            "what did you just say",
            "come again",
            "once more",
        ]) || self.heard.is_only(&[
            "pardon",
            "what",
            "sorry what",
            "repeat",
            "again",
            "i beg your pardon",
        ]);
        let last = self.state.last_text.as_str();
        match (asks, last) {
            (false, _) => None,
            (true, "") => Some(said("I have not said anything yet.")),
            (true, last) => Some(said(last)),
        }
    }

    /// The answer to something that the demo asked.
    fn open_question(&mut self) -> Option<DemoReply> {
        match self.asked_for? {
            AskedFor::TimerLength => {
                let span = spans::find(self.heard.words()).or_else(|| {
                    // "Three", when asked for how long, means minutes.
                    let (minutes, used) = numbers::parse(self.heard.words())?;
                    let is_all = used == self.heard.len() && minutes > 0.0;
                    is_all.then_some(spans::Span {
                        seconds: (minutes * 60.0) as u64,
                        from: 0,
                        to: used,
                    })
                })?;
                Some(self.timer(span.seconds, None))
            }
            AskedFor::WordToSpell => {
                (self.heard.len() <= 3).then(|| said(letters(self.heard.original_from(0))))
            }
        }
    }

    fn repeat(&mut self) -> Option<DemoReply> {
        let at = self.heard.after_phrase(&[
            "repeat after me",
            "say after me",
            "please repeat",
            "please say",
            "can you say",
            "could you say",
            "can you repeat",
            "repeat the words",
        ]);
        let first = |keyword| (self.heard.find(keyword) == Some(0)).then_some(1);
        let at = at
            .or_else(|| first("repeat"))
            .or_else(|| first("say"))
            .or_else(|| first("echo"))?;
        let words = self.heard.original_from(at);
        if words.is_empty() {
            return Some(said(
                "Tell me what to repeat: say, repeat after me, and then the words.",
            ));
        }
        let mut text: String = words.chars().take(REPEAT_CHARS_MAX).collect();
        if !text.ends_with(['.', '!', '?']) {
            text.push('.');
        }
        Some(said(capital(&text)))
    }

    fn spell(&mut self) -> Option<DemoReply> {
        let at = self
            .heard
            .find("spell")
            .or_else(|| self.heard.find("spelled"))?;
        let mut at = at + 1;
        let skips = ["the", "word", "me", "for", "out", "name", "my", "please"];
        while at + 1 < self.heard.len() && skips.contains(&self.heard.words()[at].as_ref()) {
            at += 1;
        }
        // "How is Paris spelled?"
        let word = match self.heard.after_phrase(&["how is", "how do you"]) {
            Some(from) if self.heard.original_from(at).is_empty() => {
                self.heard.original_between(from, at - 1)
            }
            _ => self.heard.original_from(at),
        };
        let word = word.trim_end_matches('?');
        let word = word
            .strip_suffix(" please")
            .unwrap_or(word)
            .trim_end_matches(',');
        if word.is_empty() || word == "please" {
            self.state.asked_for = Some(AskedFor::WordToSpell);
            return Some(said("Which word shall I spell?"));
        }
        Some(said(letters(word)))
    }

    fn names_timer(&self) -> bool {
        let words = [
            "timer",
            "timers",
            "alarm",
            "alarms",
            "remind",
            "reminder",
            "countdown",
        ];
        self.heard.has_any(&words) || self.heard.says(&["wake me"])
    }

    fn cancel_timers(&mut self) -> Option<DemoReply> {
        let cancels = self
            .heard
            .has_any(&["cancel", "stop", "delete", "remove", "clear", "forget"])
            || self.heard.says(&["turn off", "switch off"]);
        if !cancels || !self.names_timer() {
            return None;
        }
        let text = match self.state.timers.len() {
            0 => return Some(said("No timer is running.")),
            1 => "The timer is cancelled.".to_owned(),
            count => format!("All {} timers are cancelled.", numbers::words(count as i64)),
        };
        self.state.timers.clear();
        let call = self.tool("cancel_timers", json!({}));
        Some(DemoReply {
            text,
            tool_calls: vec![call],
        })
    }

    fn set_timer(&mut self) -> Option<DemoReply> {
        let sets = self.heard.has_any(&[
            "set", "start", "make", "new", "give", "need", "for", "in", "put", "create",
        ]);
        if !self.names_timer() {
            return None;
        }
        let Some(span) = spans::find(self.heard.words()) else {
            if !sets || self.heard.says(&["how long", "how much"]) {
                return None;
            }
            self.state.asked_for = Some(AskedFor::TimerLength);
            return Some(said("For how long shall I set the timer?"));
        };
        let label = self.label(span.to);
        Some(self.timer(span.seconds, label))
    }

    /// What the timer is for: "called tea", "for the eggs", "to call Tom".
    fn label(&self, from: usize) -> Option<String> {
        let words = self.heard.words().get(from..)?;
        let lead = words
            .iter()
            .position(|word| matches!(word.as_ref(), "called" | "named" | "for" | "to"))?;
        let mut at = from + lead + 1;
        if matches!(self.heard.words().get(at)?.as_ref(), "the" | "my" | "a") {
            at += 1;
        }
        let text = self.heard.original_from(at);
        let text = text
            .strip_suffix(" please")
            .unwrap_or(text)
            .trim_end_matches([',', '?']);
        let is_named = words[lead].text != "to" && (1..=40).contains(&text.chars().count());
        is_named.then(|| text.to_lowercase())
    }

    fn timer(&mut self, seconds: u64, label: Option<String>) -> DemoReply {
        if seconds == 0 {
            return said("That timer would be over already.");
        }
        if seconds > TIMER_S_MAX {
            return said("A timer runs within this call, so a day is the longest I set.");
        }
        if self.state.timers.len() >= TIMERS_MAX {
            return said("Eight timers are running already. Cancel them first.");
        }
        let ends = self
            .now
            .timestamp()
            .as_second()
            .saturating_add_unsigned(seconds);
        let shown = spans::show(seconds);
        let (label, text) = match label {
            Some(label) => {
                let text = format!(
                    "The {label} timer is set for {shown}. Stay on the line and I will tell you."
                );
                (label, text)
            }
            None => {
                let text =
                    format!("A timer is set for {shown}. Stay on the line and I will tell you.");
                (spans::name(seconds), text)
            }
        };
        if let Ok(ends) = Timestamp::from_second(ends) {
            self.state.timers.push(SetTimer {
                label: label.clone(),
                ends,
            });
        }
        let call = self.tool("set_timer", json!({ "seconds": seconds, "label": label }));
        DemoReply {
            text,
            tool_calls: vec![call],
        }
    }

    fn timers_left(&mut self) -> Option<DemoReply> {
        let asks = self.heard.says(&[
            "how long",
            "how much time",
            "how many",
            "is left",
            "are running",
        ]);
        if !(asks && (self.names_timer() || self.heard.has_any(&["left", "remaining"]))) {
            return None;
        }
        let next = self.state.timers.iter().min_by_key(|timer| timer.ends);
        Some(match next {
            None => said("No timer is running."),
            Some(timer) => {
                let left = timer.ends.as_second() - self.now.timestamp().as_second();
                let left = spans::show(left.unsigned_abs());
                said(format!("The {} timer has {left} left.", timer.label))
            }
        })
    }

    fn count(&mut self) -> Option<DemoReply> {
        let at = self.heard.find("count")?;
        let words = &self.heard.words()[at + 1..];
        let mut values = Vec::new();
        let mut index = 0;
        while index < words.len() {
            match numbers::parse(&words[index..]) {
                Some((value, used)) => {
                    values.push(value.round() as i64);
                    index += used;
                }
                None => index += 1,
            }
        }
        let down = self.heard.has_any(&["down", "backwards", "backward"]);
        let (from, to) = match values[..] {
            [] => return Some(said("Tell me how far, for example: count to ten.")),
            [only] if down => (only, 0),
            [only] => (1, only),
            [first, second, ..] => (first, second),
        };
        // Counting down from ten to one, or up: the order told is the order counted.
        let step = if from <= to { 1 } else { -1 };
        let length = from.abs_diff(to).saturating_add(1);
        let counted = length.min(COUNT_MAX as u64) as i64;
        let list: Vec<String> = (0..counted)
            .map(|n| numbers::words(from + n * step))
            .collect();
        let mut text = format!("{}.", capital(&list.join(", ")));
        if length > COUNT_MAX as u64 {
            text.push_str(" And so on. I stop after fifty.");
        }
        Some(said(text))
    }

    fn goodbye(&mut self) -> Option<DemoReply> {
        let says = self.heard.says(&[
            "goodbye",
            "good bye",
            "good by",
            "bye bye",
            "hang up",
            "end the call",
            "end call",
            "see you later",
            "see you soon",
            "talk to you later",
            "that is all",
        ]) || (self.heard.has("bye") && self.heard.len() <= 6)
            || self
                .heard
                .is_only(&["good night", "see you", "ciao", "farewell"]);
        if !says || self.heard.says(&["do not hang up"]) {
            return None;
        }
        let text = match &self.state.name {
            Some(name) => format!("Goodbye, {name}. Call again any time."),
            None => "Goodbye. Call again any time.".to_owned(),
        };
        let call = self.tool("hang_up", json!({}));
        Some(DemoReply {
            text,
            tool_calls: vec![call],
        })
    }

    fn sum(&mut self) -> Option<DemoReply> {
        Some(match sums::find(&self.heard)? {
            Sum::Result { asked, value } => {
                let shown = numbers::show(value);
                let about = shown
                    .replace("minus ", "-")
                    .parse::<f64>()
                    .is_ok_and(|s| (s - value).abs() > 1e-9);
                let is = if about { "is about" } else { "is" };
                said(format!("{} {is} {shown}.", capital(&asked)))
            }
            Sum::ByZero => said("Nothing can be divided by zero."),
            Sum::NotReal => said("A negative number has no real square root."),
            Sum::TooLarge => said("That number is too large for me to read out."),
        })
    }

    fn chance(&mut self) -> Option<DemoReply> {
        let heard = &self.heard;
        let throws = heard.has_any(&["flip", "toss", "throw", "roll", "rolls", "role", "cast"]);
        if heard.says(&["heads or tails"]) || (throws && heard.has("coin")) {
            let side = if self.rng.random::<bool>() {
                "Heads"
            } else {
                "Tails"
            };
            return Some(said(format!("{side}.")));
        }
        let values: Vec<u64> = (0..heard.len())
            .filter_map(|at| numbers::parse(&heard.words()[at..]))
            .map(|(value, _)| value.abs() as u64)
            .collect();
        if heard.has_any(&["die", "dice", "dices", "d6", "d20"]) && (throws || heard.len() <= 4) {
            let count = values.first().copied().unwrap_or(1).clamp(1, DICE_MAX);
            let sides = if heard.has("d20") { 20 } else { 6 };
            let eyes: Vec<u64> = (0..count)
                .map(|_| self.rng.random_range(1..=sides))
                .collect();
            let shown: Vec<_> = eyes.iter().map(|n| numbers::words(*n as i64)).collect();
            return Some(said(match &shown[..] {
                [one] => format!("You rolled a {one}."),
                [init @ .., last] => {
                    let total = numbers::words(eyes.iter().sum::<u64>() as i64);
                    format!(
                        "You rolled {} and {last}. Together {total}.",
                        init.join(", ")
                    )
                }
                [] => return None,
            }));
        }
        let picks = heard.has("random")
            || heard.says(&["pick a number", "choose a number", "think of a number"]);
        if picks {
            let (low, high) = match values[..] {
                [] => (1, 10),
                [high] => (1, high.max(1)),
                [a, b, ..] => (a.min(b), a.max(b)),
            };
            let pick = self.rng.random_range(low..=high);
            return Some(said(format!("{}.", capital(&numbers::words(pick as i64)))));
        }
        None
    }

    fn help(&mut self) -> Option<DemoReply> {
        let heard = &self.heard;
        let own = heard.has_any(&["connect", "configure", "configuration", "setup", "install"])
            || heard.says(&[
                "set up",
                "own agent",
                "real agent",
                "use another",
                "open ai",
                "real model",
                "your own model",
            ])
            || (heard.has("agent") && heard.has_any(&["my", "other", "different"]));
        if own {
            return Some(said(
                "Open the config file that was named when Offhook started. In the section agent, set kind \
                 to openai, and give the address and the model of your gateway. Then start Offhook again \
                 and call me.",
            ));
        }
        let asks = heard.has_any(&["help", "commands", "options", "instructions"])
            || heard.says(&[
                "what can you do",
                "what can i do",
                "what can i say",
                "what can i ask",
                "what do you do",
                "what else",
                "how does this work",
                "what are you able",
                "what now",
            ]);
        asks.then(|| {
            said(
                "I am the built-in demo. Ask me for the time or the date, let me repeat or spell something, \
                 count, do sums, roll dice, or set a timer. To talk with your own agent, ask: how do I \
                 connect my own agent?",
            )
        })
    }

    fn date(&mut self) -> Option<DemoReply> {
        let heard = &self.heard;
        let asks = heard.says(&[
            "what day",
            "which day",
            "what is the day",
            "the date",
            "what date",
            "which date",
            "day is it",
            "day of the week",
            "day today",
            "what year",
            "which year",
            "what month",
            "which month",
            "today is date",
            "todays date",
            "is tomorrow",
            "was yesterday",
        ]) || heard.is_only(&["date", "day", "today"]);
        asks.then(|| said(clock::tell_date(heard, self.now)))
    }

    fn time(&mut self) -> Option<DemoReply> {
        let heard = &self.heard;
        let asks = heard.says(&[
            "what time",
            "the time",
            "which time",
            "time is it",
            "time it is",
            "current time",
            "local time",
            "what is time",
            "time in",
            "time now",
            "how late is it",
            "tell me time",
        ]) || heard.is_only(&["time", "clock"]);
        asks.then(|| said(clock::tell_time(heard, self.now)))
    }

    fn name(&mut self) -> Option<DemoReply> {
        if self.heard.says(&[
            "what is my name",
            "who am i",
            "know my name",
            "remember my name",
        ]) {
            return Some(said(match &self.state.name {
                Some(name) => format!("You are {name}."),
                None => "You have not told me your name.".to_owned(),
            }));
        }
        let at = self.heard.after_phrase(&["my name is", "call me"])?;
        let name: String = self
            .heard
            .words()
            .get(at..)?
            .first()
            .map(|word| capital(&word.text))?;
        self.state.name = Some(name.clone());
        Some(said(format!("Nice to meet you, {name}.")))
    }

    fn who(&mut self) -> Option<DemoReply> {
        let heard = &self.heard;
        let asks = heard.says(&[
            "who are you",
            "what are you",
            "your name",
            "who is this",
            "who is there",
            "who am i talking",
            "who am i speaking",
            "are you a",
            "are you an",
            "are you real",
            "are you human",
            "what is offhook",
            "which model",
            "what model",
        ]);
        asks.then(|| {
            said(
                "I am the demo agent of Offhook, with a few fixed skills and no language model behind me. \
                 You can connect your own agent in my place.",
            )
        })
    }

    fn joke(&mut self) -> Option<DemoReply> {
        if !self.heard.has_any(&["joke", "jokes", "funny"]) {
            return None;
        }
        const JOKES: [&str; 3] = [
            "Why did the telephone wear glasses? It had lost its contacts.",
            "I wanted to tell a joke about packet loss, but you might not get it.",
            "My jitter buffer and I have a lot in common. We both take things in order, a little late.",
        ];
        let joke = JOKES[self.state.jokes_told % JOKES.len()];
        self.state.jokes_told += 1;
        Some(said(joke))
    }

    fn small_talk(&mut self) -> Option<DemoReply> {
        let heard = &self.heard;
        if heard.says(&[
            "can you hear",
            "do you hear",
            "are you there",
            "you hear me",
            "anybody there",
            "still there",
        ]) {
            return Some(said("Yes, I hear you well."));
        }
        if heard.has_any(&["test", "testing"]) && heard.len() <= 8 {
            return Some(said("The test works: I heard you, and you hear me."));
        }
        if heard.says(&[
            "how are you",
            "how do you do",
            "how is it going",
            "how you doing",
            "how are things",
        ]) {
            return Some(said("Very well, thank you. What can I do for you?"));
        }
        if heard.has_any(&["thanks", "thank", "cheers"]) {
            return Some(said("You are welcome."));
        }
        let stops = [
            "stop",
            "wait",
            "never mind",
            "nevermind",
            "forget it",
            "be quiet",
            "quiet",
            "shut up",
            "no",
            "cancel",
            "hold on",
            "no thanks",
            "nothing",
        ];
        if heard.is_only(&stops) {
            return Some(said("All right."));
        }
        if heard.is_only(&[
            "yes", "yeah", "yep", "sure", "okay", "ok", "right", "good", "great", "fine",
        ]) || heard
            .words()
            .iter()
            .all(|w| matches!(w.as_ref(), "okay" | "ok" | "well" | "so"))
        {
            return Some(said("Good. What next?"));
        }
        if heard.is_only(&["sorry", "i am sorry", "excuse me"]) {
            return Some(said("No harm done."));
        }
        let greets = heard.has_any(&["hello", "hi", "hey", "hallo", "greetings"])
            || heard.says(&["good morning", "good afternoon", "good evening", "good day"]);
        (greets && heard.len() <= 6).then(|| {
            let name = self
                .state
                .name
                .as_ref()
                .map(|name| format!(", {name}"))
                .unwrap_or_default();
            said(format!(
                "{}{name}. What can I do for you?",
                clock::greeting(self.now)
            ))
        })
    }

    fn unknown(&self) -> DemoReply {
        let words: Vec<&str> = self.text.split_whitespace().take(12).collect();
        let heard = words.join(" ");
        let heard: String = heard.chars().take(REPEAT_CHARS_MAX).collect();
        let heard = heard.trim_end_matches(['.', ',', '!', '?']);
        said(format!(
            "I heard: {heard}. I am only the demo and have no answer to that. Say help to hear what I can do."
        ))
    }
}

/// "Cat" is "C, A, T."
fn letters(words: &str) -> String {
    let mut names = Vec::new();
    for c in words.chars().take(SPELL_LETTERS_MAX * 2) {
        match c {
            ' ' if names.last().is_some_and(|name| name != "space") => {
                names.push("space".to_owned())
            }
            '-' => names.push("hyphen".to_owned()),
            '\'' | '’' => names.push("apostrophe".to_owned()),
            c if c.is_alphabetic() => names.push(c.to_uppercase().collect()),
            c if c.is_ascii_digit() => {
                names.push(numbers::words(i64::from(c.to_digit(10).unwrap_or(0))));
            }
            _ => {}
        }
        if names.len() >= SPELL_LETTERS_MAX {
            break;
        }
    }
    if names.is_empty() {
        return "There is nothing to spell in that.".to_owned();
    }
    format!("{}.", names.join(", "))
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}
