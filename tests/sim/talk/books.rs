//! What is true of every reply, told from events and actions alone: asked, committed or cancelled, audible, heard, its
//! tools run. Owns those rules and the count of what happened; panics with a sentence at the first breach.
//! PURE.

use std::collections::{BTreeMap, HashSet};

use agent_bridge::turn::{HangupReason, Ledger, ReplyId};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Guess,
    Committed,
    Cancelled,
    /// Said by the program itself.
    Own,
    /// Playout has ended.
    Over,
}

/// How often each kind of thing happened.
#[derive(Debug, Default, Clone)]
pub struct Counts(BTreeMap<&'static str, u64>);

/// What must happen in enough conversations.
const KINDS: [&str; 29] = [
    "agreements recorded",
    "bursts too short for words",
    "calls ended for failures",
    "calls ended for silence",
    "claims",
    "claims given back",
    "coughs and clicks",
    "fillers",
    "floors taken",
    "floors taken by a key",
    "guesses",
    "guesses dropped",
    "guesses hit",
    "guesses with a tool call in them",
    "questions",
    "questions asked again",
    "replies cut",
    "replies heard to the end",
    "silences questioned",
    "speech cut for its length",
    "stops obeyed",
    "tools run",
    "transcripts given up",
    "words excused",
    "words in a cut",
    "words misheard",
    "words recorded",
    "words while not listening",
    "transcripts dropped",
];

impl Counts {
    pub fn one(&mut self, kind: &'static str) {
        self.more(kind, 1);
    }

    pub fn more(&mut self, kind: &'static str, count: u64) {
        debug_assert!(KINDS.contains(&kind), "{kind}");
        *self.0.entry(kind).or_default() += count;
    }

    pub fn add(&mut self, other: &Counts) {
        for (kind, count) in &other.0 {
            self.more(kind, *count);
        }
    }

    pub fn all(&self) -> impl Iterator<Item = (&'static str, &u64)> {
        KINDS
            .iter()
            .map(|kind| (*kind, self.0.get(kind).unwrap_or(&0)))
    }
}

#[derive(Debug, Default)]
pub struct Books {
    stages: BTreeMap<ReplyId, Stage>,
    pub guess: Option<ReplyId>,
    /// Tool calls by the gateway's name for them: told to us, and run.
    told: HashSet<String>,
    run: HashSet<String>,
    /// What playout reported as heard and must be recorded.
    unrecorded: Vec<(String, bool, bool)>,
    commits: u32,
    entries: u32,
    filler_last: Option<String>,
    pub hung_up: Option<HangupReason>,
    pub counts: Counts,
}

impl Books {
    fn stage(&self, id: ReplyId) -> Option<Stage> {
        self.stages.get(&id).copied()
    }

    pub fn asked(&mut self, id: ReplyId) {
        assert!(self.guess.is_none(), "two guesses at once");
        assert_eq!(
            self.stages.insert(id, Stage::Guess),
            None,
            "an id is used twice"
        );
        self.guess = Some(id);
    }

    /// `is_again`: the caller's words are recorded already.
    pub fn committed(&mut self, id: ReplyId, is_again: bool) {
        assert_eq!(self.stage(id), Some(Stage::Guess), "commit of {id:?}");
        self.stages.insert(id, Stage::Committed);
        self.guess = None;
        if is_again {
            self.counts.one("questions asked again");
        } else {
            self.commits += 1;
            self.counts.one("questions");
        }
    }

    pub fn cancelled(&mut self, id: ReplyId) {
        let stage = self.stage(id).expect("cancel of what was asked");
        assert!(
            matches!(stage, Stage::Guess | Stage::Committed | Stage::Over),
            "cancel of {id:?}, which is {stage:?}"
        );
        self.stages.insert(id, Stage::Cancelled);
        self.guess.take_if(|guess| *guess == id);
    }

    pub fn prepared(&self, id: ReplyId) {
        let stage = self.stage(id);
        assert!(
            matches!(stage, Some(Stage::Guess | Stage::Committed)),
            "{id:?} is prepared, which is {stage:?}"
        );
    }

    pub fn spoken(&mut self, id: ReplyId, voice: Option<ReplyId>) {
        let stage = *self.stages.entry(id).or_insert(Stage::Own);
        assert!(
            matches!(stage, Stage::Committed | Stage::Own),
            "{id:?} is spoken, which is {stage:?}"
        );
        assert!(voice.is_none_or(|voice| voice == id), "two voices at once");
    }

    /// Never the same twice in a row.
    pub fn filler(&mut self, text: &str) {
        assert_ne!(
            self.filler_last.as_deref(),
            Some(text),
            "a filler twice in a row"
        );
        self.filler_last = Some(text.to_owned());
        self.counts.one("fillers");
    }

    pub fn is_own(&self, id: ReplyId) -> bool {
        self.stage(id) == Some(Stage::Own)
    }

    /// Sound of it goes out.
    pub fn audible(&self, id: ReplyId) {
        let stage = self.stage(id);
        assert!(
            matches!(stage, Some(Stage::Committed | Stage::Own)),
            "{id:?} is audible, which is {stage:?}"
        );
    }

    pub fn playout_ended(&mut self, id: ReplyId, heard: &str, complete: bool) {
        let stage = self.stage(id);
        let is_own = stage == Some(Stage::Own);
        if stage == Some(Stage::Committed) {
            self.stages.insert(id, Stage::Over);
        }
        if !heard.trim().is_empty() {
            self.unrecorded.push((heard.to_owned(), complete, is_own));
            self.counts.one(if complete {
                "replies heard to the end"
            } else {
                "replies cut"
            });
        }
    }

    pub fn heard(&mut self, text: &str, complete: bool, aside: bool) {
        let at = self
            .unrecorded
            .iter()
            .position(|(heard, all, own)| heard == text && *all == complete && *own == aside);
        let at = at.unwrap_or_else(|| panic!("{text:?} is recorded and was not heard"));
        self.unrecorded.remove(at);
    }

    pub fn entry(&mut self) {
        self.entries += 1;
        assert!(self.entries <= self.commits, "recorded before commit");
    }

    /// A tool call reaches us.
    pub fn tool_told(&mut self, id: ReplyId, name: &str) {
        self.told.insert(name.to_owned());
        if self.guess == Some(id) {
            self.counts.one("guesses with a tool call in them");
        }
    }

    pub fn tool_run(&mut self, id: ReplyId, name: &str) {
        let stage = self.stage(id);
        assert!(
            matches!(stage, Some(Stage::Committed)),
            "a tool of {id:?} runs, which is {stage:?}"
        );
        assert!(self.told.contains(name), "a tool runs that nobody called");
        assert!(self.run.insert(name.to_owned()), "a tool runs twice");
        self.counts.one("tools run");
    }

    /// What holds between two events.
    pub fn check(&self, ledger: Ledger) {
        assert!(self.unrecorded.is_empty(), "heard and not recorded");
        assert_eq!(self.commits, self.entries, "committed and not recorded");
        let open = u32::from(self.guess.is_some());
        assert_eq!(
            ledger.guesses,
            ledger.hits + ledger.misses + open,
            "the ledger does not add up"
        );
    }

    pub fn check_end(&self) {
        assert!(self.guess.is_none(), "a guess is left open");
        assert!(self.hung_up.is_some(), "the call has not ended");
    }
}
