//! Help, the clock, and small talk. Owns what is said about the demo itself.
//! PURE.

use rand::Rng;
use serde_json::json;

use super::{DemoReply, Question, capital, said};
use crate::gateways::demo::clock;

impl<R: Rng> Question<'_, R> {
    pub(super) fn goodbye(&mut self) -> Option<DemoReply> {
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

    pub(super) fn help(&mut self) -> Option<DemoReply> {
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

    pub(super) fn date(&mut self) -> Option<DemoReply> {
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

    pub(super) fn time(&mut self) -> Option<DemoReply> {
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

    pub(super) fn name(&mut self) -> Option<DemoReply> {
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

    pub(super) fn who(&mut self) -> Option<DemoReply> {
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

    pub(super) fn joke(&mut self) -> Option<DemoReply> {
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

    pub(super) fn small_talk(&mut self) -> Option<DemoReply> {
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
}
