//! What the agent wants to do is asked on a real phone, and done or not: allowed by keys, allowed by voice, refused by
//! silence. The caller learns each code by listening.

use std::time::Duration;

use super::claw::Claw;
use super::ear::{Ear, Question, digits, sayings, spoken_by};
use super::model::Model;
use super::phone_line;
use crate::baresip::{Phone, Setup, Transport};
use crate::offhook::Offhook;
use crate::process::wait_until;
use crate::sound::{Sound, golden};

/// From the first sound of an answer on, the silence behind a question that counts as one.
const ANSWER_S: u64 = 20;
/// OpenClaw's turn, and a question read out.
const QUESTION_LIMIT: Duration = Duration::from_secs(60);
const DONE_LIMIT: Duration = Duration::from_secs(30);
/// A question is over, and its echo would be as well.
const AFTER_QUESTION: Duration = Duration::from_millis(900);
const GREETING: Duration = Duration::from_secs(4);
/// The test's own ear may mishear a code. Then it is refused, and a person asks again.
const TRIES: usize = 4;
/// Of ten codes the built-in ears understand about eight.
const CODES: usize = 8;
const LINE_HZ: u32 = 8_000;

struct Caller<'a> {
    model: &'a Model,
    offhook: &'a Offhook,
    phone: Phone,
    ear: Ear,
}

impl Caller<'_> {
    fn context(&self) -> String {
        format!("{}\n{}", audit(self.offhook), self.offhook.log_tail())
    }

    /// Asks for something, and listens to the question that follows.
    fn ask(&mut self, words: &str) -> Question {
        self.wait_for_silence();
        self.phone.say(Sound::read(&golden(words)));
        let mut question = None;
        wait_until(QUESTION_LIMIT, || {
            self.phone.stay(Duration::from_millis(300));
            question = self.ear.question(&self.phone.heard_so_far());
            question.is_some()
        });
        question.unwrap_or_else(|| panic!("no question was heard\n{}", self.context()))
    }

    /// What is said now has been said.
    fn wait_for_silence(&mut self) {
        const QUIET: usize = 12_000;
        let is_quiet = wait_until(DONE_LIMIT, || {
            self.phone.stay(Duration::from_millis(300));
            let Sound { rate_hz, samples } = self.phone.heard_so_far();
            let from = samples.len().saturating_sub(QUIET);
            let samples = samples[from..].to_vec();
            samples.len() == QUIET && Sound { rate_hz, samples }.voiced_ms() == 0
        });
        assert!(is_quiet, "{}", self.context());
    }

    /// The question's last word has been said, and a moment has passed.
    fn wait_for_end(&mut self, question: &Question) {
        let end = question.end;
        let is_over = wait_until(DONE_LIMIT, || {
            self.phone.stay(Duration::from_millis(100));
            self.phone.heard_so_far().samples.len() > end
        });
        assert!(is_over, "{}", self.context());
        self.phone.stay(AFTER_QUESTION);
    }

    /// Waits until OpenClaw's model has seen what came of so many calls.
    fn wait_for_results(&mut self, count: usize) {
        let results = || {
            let seen = self.model.seen();
            let results = seen.iter().filter(|seen| seen.has_result);
            results.count()
        };
        let is_done = wait_until(DONE_LIMIT, || results() >= count);
        assert!(is_done, "{}", self.context());
    }

    /// A clip with this code that the built-in ears understand however it reaches them; none: they never do, since they
    /// hear digits badly.
    fn spoken(&mut self, code: &str) -> Option<Sound> {
        let path = self.offhook.home().join("answer.wav");
        let is_understood = |clip: &Sound, (before_ms, loudness): (u32, f32)| {
            let mut sound = Sound::silence(LINE_HZ, before_ms).then(&louder(clip, loudness));
            sound = sound.then(&Sound::silence(LINE_HZ, 600));
            sound.write(&path);
            digits(&self.offhook.transcribe(&path)).as_deref() == Some(code)
        };
        let clips = sayings(code).into_iter();
        let mut clips = clips.map(|(voice, saying)| spoken_by(voice, &saying).at(LINE_HZ));
        clips.find(|clip| {
            let mut ways = [(0, 1.0), (200, 0.9), (500, 0.7)].into_iter();
            ways.all(|way| is_understood(clip, way))
        })
    }
}

fn louder(sound: &Sound, times: f32) -> Sound {
    let samples = sound.samples.iter();
    Sound {
        rate_hz: sound.rate_hz,
        samples: samples.map(|&s| (f32::from(s) * times) as i16).collect(),
    }
}

fn audit(offhook: &Offhook) -> String {
    let audit = offhook.call_command(&["audit"]);
    String::from_utf8_lossy(&audit.stdout).into_owned()
}

pub fn codes_and_silence_decide(claw: &Claw, model: &Model) {
    let rule = format!("[approvals]\nanswer_s = {ANSWER_S}\n");
    let offhook = phone_line("openclaw-approvals", claw, &rule);
    let account = offhook.first_phone();
    let setup = Setup::silent(&account, Transport::Udp, false);
    let mut phone = Phone::registered(&offhook, &setup);
    phone.dial("100");
    phone.expect_established(&offhook);
    phone.stay(GREETING);
    let before = model.seen().iter().filter(|seen| seen.has_result).count();
    let mut results = before;
    let mut caller = Caller {
        model,
        offhook: &offhook,
        phone,
        ear: Ear::new(),
    };

    // By keys, as soon as the code is known.
    for _ in 0..TRIES {
        let question = caller.ask("Set a timer for a few minutes");
        assert!(!claw.made("timer.txt"), "it ran before anybody said yes");
        caller.phone.press(&question.code);
        results += 1;
        caller.wait_for_results(results);
        if claw.made("timer.txt") {
            break;
        }
    }
    assert!(claw.made("timer.txt"), "{}", caller.context());

    // By voice, when the question is over. A code that the ears never understand is refused by a key.
    for _ in 0..CODES {
        let question = caller.ask("Play some music please");
        assert!(!claw.made("music.txt"), "it ran before anybody said yes");
        let answer = caller.spoken(&question.code);
        caller.wait_for_end(&question);
        match answer {
            Some(answer) => caller.phone.say(answer),
            None => caller.phone.press("*"),
        }
        results += 1;
        caller.wait_for_results(results);
        if claw.made("music.txt") {
            break;
        }
    }
    assert!(claw.made("music.txt"), "{}", caller.context());

    // By silence, which is a no.
    caller.ask("What's the status of the stock market");
    results += 1;
    caller.wait_for_results(results);
    assert!(!claw.made("stock.txt"), "{}", caller.context());
    caller.phone.hang_up();

    let decided = |what: &str, result: &str| {
        let audit = audit(&offhook);
        let mut lines = audit.lines();
        lines.any(|line| {
            ["approval decided", what, result]
                .iter()
                .all(|part| line.contains(part))
        })
    };
    for (what, result) in [
        ("touch timer.txt", "allowed: code by key"),
        ("touch music.txt", "allowed: code by voice"),
        ("touch stock.txt", "refused: silence"),
    ] {
        let is_written = wait_until(Duration::from_secs(10), || decided(what, result));
        assert!(is_written, "{what} {result}\n{}", caller.context());
    }
}
