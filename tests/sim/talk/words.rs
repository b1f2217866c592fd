//! Every word that was said, and what became of it: collected, heard by a recogniser that is late, wrong or deaf, and
//! in the end recorded once, or dropped for a reason that the rules allow. Owns the rule that no word is lost.
//! PURE.

use std::collections::HashMap;
use std::time::Duration;

use agent_bridge::endpoint::Asked;
use agent_bridge::interjection::{Context, Verdict, judge};
use agent_bridge::turn::TurnConfig;
use rand::RngExt as _;
use rand::rngs::StdRng;

#[derive(Debug)]
struct Word {
    text: String,
    /// Entries of the conversation that hold it.
    recorded: u32,
    /// Heard, and taken for no words of the caller.
    is_excused: bool,
}

/// The sound since the last turn of the caller, as the words in it.
#[derive(Debug, Default, Clone)]
struct Collected {
    words: Vec<usize>,
    /// All words that the latest transcript could have had, and those it has.
    decoded: usize,
    heard: Vec<usize>,
    /// The transcript was waited for until it was given up.
    is_given_up: bool,
    /// Taken while the voice went on, which is done only to speech that has no pause for a minute.
    is_cut: bool,
    /// The first voice that was about to interrupt us, and the last one.
    claimed_at: Option<Duration>,
    last_voice: Duration,
}

/// A request to the recogniser.
#[derive(Debug, Clone)]
struct Job {
    asked_at: Duration,
    words: Vec<usize>,
    heard: Vec<usize>,
    text: String,
}

/// How good the recogniser is in one conversation.
#[derive(Debug, Clone, Copy)]
pub struct Ears {
    delay_ms: (u64, u64),
    wrong_percent: u32,
    deaf_percent: u32,
    never_percent: u32,
}

impl Ears {
    pub fn new(rng: &mut StdRng) -> Ears {
        Ears {
            delay_ms: [(10, 120), (60, 260), (200, 900), (700, 1_600)][rng.random_range(0..4)],
            wrong_percent: [0, 2, 12][rng.random_range(0..3)],
            deaf_percent: [0, 0, 8][rng.random_range(0..3)],
            never_percent: [0, 0, 0, 4][rng.random_range(0..4)],
        }
    }
}

#[derive(Debug)]
pub struct Words {
    ears: Ears,
    said: Vec<Word>,
    collected: Option<Collected>,
    /// Taken in this step; what became of their words is known at its end.
    taken: Vec<Collected>,
    jobs: HashMap<u32, Job>,
    awaited: Option<u32>,
    /// The latest transcript that was waited for.
    latest: Option<Job>,
    /// The latest one of a pause over our words: an agreement is recorded when nothing follows.
    agreement: Option<Job>,
    pub misheard: u32,
    pub too_short: u32,
    pub given_up: u32,
    pub excused: u32,
    pub recorded: u32,
    pub not_listening: u32,
    pub cut: u32,
}

impl Words {
    pub fn new(ears: Ears) -> Words {
        Words {
            ears,
            said: Vec::new(),
            collected: None,
            taken: Vec::new(),
            jobs: HashMap::new(),
            awaited: None,
            latest: None,
            agreement: None,
            misheard: 0,
            too_short: 0,
            given_up: 0,
            excused: 0,
            recorded: 0,
            not_listening: 0,
            cut: 0,
        }
    }

    pub fn open(&mut self) {
        self.collected.get_or_insert_default();
    }

    /// Where the sound is let go: at a commit, and when nobody waits for what is in it.
    pub fn take(&mut self, is_cut: bool) {
        if let Some(collected) = &mut self.collected {
            collected.is_cut = is_cut;
        }
        self.taken.extend(self.collected.take());
    }

    pub fn is_open(&self) -> bool {
        self.collected.is_some()
    }

    /// A word has just been spoken to its end.
    pub fn said(&mut self, text: String) {
        self.said.push(Word {
            text,
            recorded: 0,
            is_excused: false,
        });
        let collected = self.collected.as_mut();
        let collected = collected.expect("speech is noticed before its first word is over");
        collected.words.push(self.said.len() - 1);
    }

    pub fn voice_ends(&mut self, now: Duration) {
        if let Some(collected) = &mut self.collected {
            collected.last_voice = now;
        }
    }

    pub fn claimed(&mut self, now: Duration, onset_ms: u32) {
        if let Some(collected) = &mut self.collected {
            let onset = Duration::from_millis(u64::from(onset_ms));
            collected.claimed_at = Some(now.saturating_sub(onset));
        }
    }

    /// All sound since the last turn goes to the recogniser. When its answer comes, if it ever does.
    pub fn transcribe(&mut self, now: Duration, number: u32, rng: &mut StdRng) -> Option<Duration> {
        assert!(self.awaited.is_none(), "two transcripts awaited");
        let collected = self.collected.as_ref();
        let words = collected.map_or_else(Vec::new, |collected| collected.words.clone());
        let is_deaf = rng.random_range(0..100) < self.ears.deaf_percent;
        let mut heard = Vec::new();
        let mut texts = Vec::new();
        for word in words.iter().copied().filter(|_| !is_deaf) {
            match rng.random_range(0..100) < self.ears.wrong_percent {
                false => texts.push(self.said[word].text.clone()),
                true => match rng.random_range(0..3) {
                    0 => continue,
                    1 => texts.push("the".to_owned()),
                    _ => texts.push("flour".to_owned()),
                },
            }
            heard.push(word);
        }
        let job = Job {
            asked_at: now,
            words,
            heard,
            text: texts.join(" "),
        };
        self.awaited = Some(number);
        assert!(
            self.jobs.insert(number, job).is_none(),
            "a number is used twice"
        );
        let is_lost = rng.random_range(0..100) < self.ears.never_percent;
        let (low, high) = self.ears.delay_ms;
        let delay = Duration::from_millis(rng.random_range(low..=high));
        (!is_lost).then_some(now + delay)
    }

    /// The transcript is not wanted any more.
    pub fn drop_job(&mut self, now: Duration, number: u32, config: &TurnConfig) {
        if self.awaited.take_if(|awaited| *awaited == number).is_none() {
            return;
        }
        let Some(job) = self.jobs.get(&number) else {
            return;
        };
        let waited = now - job.asked_at;
        let limit = config.transcript_timeout_ms.min(config.claim_words_ms_max);
        if waited >= Duration::from_millis(u64::from(limit))
            && let Some(collected) = &mut self.collected
        {
            collected.is_given_up = true;
        }
    }

    /// The recogniser's answer. `context`: what we say, where it is being said.
    pub fn answer(
        &mut self,
        number: u32,
        context: Option<Context<'_>>,
        config: &TurnConfig,
    ) -> String {
        let Some(job) = self.jobs.get(&number).cloned() else {
            return String::new();
        };
        let text = job.text.clone();
        if self.awaited.take_if(|awaited| *awaited == number).is_none() {
            return text;
        }
        let end = text.char_indices().nth(config.transcript_chars_max);
        let counts = &text[..end.map_or(text.len(), |(at, _)| at)];
        match context.map(|context| judge(counts, &context)) {
            Some(Verdict::Nothing | Verdict::Echo) => {
                for word in &job.words {
                    self.said[*word].is_excused = true;
                }
            }
            Some(_) => self.agreement = Some(job.clone()),
            None => {}
        }
        if let Some(collected) = &mut self.collected {
            collected.decoded = job.words.len();
            collected.heard.clone_from(&job.heard);
        }
        self.latest = Some(job);
        text
    }

    /// How sure the recogniser is. Of a wrong word it may be as sure as of a right one.
    pub fn certainty(&self, rng: &mut StdRng) -> f32 {
        match rng.random_range(0..100) < 2 * self.ears.wrong_percent {
            true => rng.random_range(0.0..0.4),
            false => rng.random_range(0.3..1.0),
        }
    }

    /// What the latest transcript said, as far as it counts.
    pub fn latest(&self, config: &TurnConfig) -> String {
        let text = self.latest.as_ref().map_or("", |job| job.text.trim());
        text.chars().take(config.transcript_chars_max).collect()
    }

    /// An entry of the caller's holds what the latest transcript says, and no word twice.
    pub fn recorded(&mut self, text: &str, config: &TurnConfig) {
        assert!(!text.is_empty(), "nothing is recorded as said");
        let limit = config.transcript_chars_max;
        let holds = |job: &&Job| job.text.chars().take(limit).eq(text.chars());
        let job = self.latest.as_ref().filter(holds);
        let job = job.or(self.agreement.as_ref().filter(holds));
        let job = job.expect("what is recorded was heard");
        for word in &job.heard {
            let word = &mut self.said[*word];
            word.recorded += 1;
            self.recorded += 1;
            assert!(word.recorded == 1, "{:?} is recorded twice", word.text);
        }
    }

    /// After each step: no word is lost that was let go in it.
    pub fn check(&mut self, config: &TurnConfig, is_over: bool) {
        for collected in std::mem::take(&mut self.taken) {
            let claimed_at = collected.claimed_at.unwrap_or_default();
            let claim = collected.last_voice.saturating_sub(claimed_at);
            for (at, number) in collected.words.iter().enumerate() {
                let word = &self.said[*number];
                let is_heard = collected.heard.contains(number);
                if word.recorded > 0 || is_over {
                    continue;
                } else if word.is_excused {
                    self.excused += 1;
                } else if at < collected.decoded && !is_heard {
                    self.misheard += 1;
                } else if collected.is_given_up {
                    self.given_up += 1;
                } else if !is_heard
                    && collected.claimed_at.is_some()
                    && claim < Duration::from_millis(u64::from(config.barge_in_ms))
                {
                    self.too_short += 1;
                } else if !config.barge_in && !is_heard {
                    self.not_listening += 1;
                } else if collected.is_cut && at >= collected.decoded {
                    // Said between the cut and its transcript.
                    self.cut += 1;
                } else {
                    panic!("{:?} is lost: {collected:?}", word.text);
                }
            }
        }
    }

    /// What a question was that has been said to its end.
    pub fn asked(speaking: &str, before: Asked) -> Asked {
        if speaking.is_empty() {
            before
        } else {
            Asked::by(speaking)
        }
    }
}
