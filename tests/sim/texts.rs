//! Texts over three channels on virtual time: people write, links come and go, the disk refuses now and then, and the program
//! is killed between any two steps. The tables are the real ones, in a file of their own; the networks are fakes. Two of
//! them know a delivery by its id, as Matrix and SIP do; one takes every repeat for a new message, as Telegram does.
//!
//! What must hold: what was promised is answered once, in order; strangers get nothing; a network that knows ids shows
//! nothing twice; the one that does not, only what was being sent in the moment of the kill, and it was told so.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::path::PathBuf;

use offhook::hub::core::{Answer, Core, CoreConfig, Input, Outcome, Output, Taken};
use offhook::hub::people::{People, PeopleConfig};
use offhook::hub::{Door, Identity, Item, Matter, OutMatter, Parcel};
use offhook::store::{MessageRow, NewMessage, Role, Store, TextChange, TextKept};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

const CHANNELS: [&str; 3] = ["matrix", "signal", "telegram"];
const PERSONS: [&str; 2] = ["anna", "ben"];
const MESSAGES_PER_SENDER: usize = 8;
const DAY_MS: u64 = 24 * 3_600_000;

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// One who writes: offers each message until it is promised.
struct Sender {
    channel: &'static str,
    person: &'static str,
    next: usize,
    is_waiting: bool,
    is_linked: bool,
}

/// Something that is under way and lost with the program.
enum Doing {
    Keep(u64, Box<TextChange>),
    /// Written, and on its way to whoever waits: one may overtake another.
    Tell(u64, Option<TextKept>),
    Ask(i64, Box<Item>),
    Deliver(Box<Parcel>),
}

struct World {
    rng: StdRng,
    now: u64,
    path: PathBuf,
    store: Store,
    core: Core,
    people: People,
    senders: Vec<Sender>,
    doing: VecDeque<Doing>,
    /// Tickets of what was offered: which sender, which message.
    tickets: BTreeMap<u64, (usize, usize)>,
    next_ticket: u64,
    /// (channel, person, n), in the order of their promises.
    promised: Vec<(usize, usize)>,
    /// Words that each place has seen, in order; and deliveries by id that were taken.
    seen: BTreeMap<(String, String), Vec<String>>,
    taken: HashSet<(String, String)>,
    kills: usize,
    doubles: usize,
}

fn people() -> People {
    let config = PeopleConfig {
        messages_per_minute: 1_000_000,
        chosen: Default::default(),
        configured: Vec::new(),
    };
    People::new(config, PERSONS.map(str::to_owned).to_vec())
}

fn start(store: &Store, now: u64) -> Core {
    let saved = store.load_texts(10_000).expect("a store");
    Core::new(CoreConfig::default(), saved, now)
}

impl World {
    fn new(seed: u64, folder: &Folder) -> World {
        let path = folder.0.join(format!("{seed}.db"));
        let store = Store::open(&path).expect("a store");
        let now = 1_000_000;
        let senders = CHANNELS.iter().flat_map(|channel| {
            PERSONS.iter().map(|person| Sender {
                channel,
                person,
                next: 0,
                is_waiting: false,
                is_linked: false,
            })
        });
        World {
            rng: StdRng::seed_from_u64(seed),
            now,
            core: start(&store, now),
            store,
            path,
            people: people(),
            senders: senders.collect(),
            doing: VecDeque::new(),
            tickets: BTreeMap::new(),
            next_ticket: 1,
            promised: Vec::new(),
            seen: BTreeMap::new(),
            taken: HashSet::new(),
            kills: 0,
            doubles: 0,
        }
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.rng.random_range(0..100) < percent
    }

    fn step(&mut self, input: Input) {
        self.core.handle(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Keep { keep, change } => self.doing.push_back(Doing::Keep(keep, change)),
                Output::Begin { turn, item, .. } => self.doing.push_back(Doing::Ask(turn, item)),
                Output::Deliver(parcel) => self.doing.push_back(Doing::Deliver(parcel)),
                Output::Reply { ticket, taken } => self.replied(ticket, taken),
                Output::Done { .. } | Output::CalledOff { .. } => {}
                Output::Recorded { .. } => panic!("nothing is due later here"),
                Output::Lost { parcel_id, why } => panic!("{parcel_id} is lost: {why}"),
            }
        }
    }

    fn replied(&mut self, ticket: u64, taken: Taken) {
        let Some((who, n)) = self.tickets.remove(&ticket) else {
            return;
        };
        let sender = &mut self.senders[who];
        match taken {
            Taken::Kept(_) => self.promised.push((who, n)),
            Taken::Again => {
                // Kept before a kill, so that the promise was not heard.
                if !self.promised.contains(&(who, n)) {
                    self.promised.push((who, n));
                }
            }
            Taken::Full | Taken::Busy => {
                sender.is_waiting = false;
                return;
            }
        }
        if n == sender.next {
            sender.next += 1;
        }
        sender.is_waiting = false;
    }

    fn offer(&mut self, who: usize, n: usize) {
        let sender = &self.senders[who];
        let id = format!("{}-id", sender.person);
        let person = self
            .people
            .person_of(sender.channel, &id)
            .map(str::to_owned);
        assert_eq!(
            person.is_some(),
            sender.is_linked,
            "a link is a person, and nothing else is"
        );
        let Some(person) = person else { return };
        let words = format!("{}/{}/{n}", sender.channel, sender.person);
        let conversation = format!("{person}/agent");
        let item = Item {
            person,
            conversation: conversation.clone(),
            agent: String::new(),
            channel: sender.channel.to_owned(),
            from: id,
            place: format!("{}-place", sender.person),
            theirs: words.clone(),
            taken_at: self.now,
            door: Door::Agent,
            matter: Matter::Text(words.clone()),
            is_correction: false,
        };
        let message = line(&conversation, Role::Caller, words, sender.channel, self.now);
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.tickets.insert(ticket, (who, n));
        if n == self.senders[who].next {
            self.senders[who].is_waiting = true;
        }
        self.step(Input::Arrived {
            ticket,
            item: Box::new(item),
            message: Some(message),
        });
    }

    /// One thing that is under way comes about. Writes do so in their order; that they are done is told in any.
    fn come_about(&mut self, is_calm: bool) {
        let writes = self
            .doing
            .iter()
            .position(|one| matches!(one, Doing::Keep(..)));
        let others: Vec<usize> = (0..self.doing.len())
            .filter(|at| !matches!(self.doing[*at], Doing::Keep(..)))
            .collect();
        let pick = self.rng.random_range(0..=others.len());
        let at = match others.get(pick) {
            Some(at) => *at,
            None => match writes.or(others.first().copied()) {
                Some(at) => at,
                None => return,
            },
        };
        match self.doing.remove(at).expect("found above") {
            Doing::Keep(keep, change) => {
                let fails = !is_calm && self.chance(4);
                let kept: Option<TextKept> = match fails {
                    true => None,
                    false => Some(self.store.keep_text(&change).expect("a store")),
                };
                // Killed between the disk and whoever waits for it.
                if !is_calm && self.chance(1) {
                    return self.kill();
                }
                self.doing.push_back(Doing::Tell(keep, kept));
            }
            Doing::Tell(keep, kept) => self.step(Input::Kept { keep, kept }),
            Doing::Ask(turn, item) => {
                let answer = Box::new(answer(turn, &item, self.now));
                self.step(Input::Answered { turn, answer });
            }
            Doing::Deliver(parcel) => {
                let outcome = match !is_calm && self.chance(20) {
                    true => Outcome::Passing {
                        why: "weather".to_owned(),
                        retry_ms: None,
                    },
                    false => {
                        self.deliver(&parcel);
                        Outcome::Sent(None)
                    }
                };
                if !is_calm && self.chance(5) {
                    return self.kill();
                }
                let id = parcel.id.clone();
                self.step(Input::Delivered { id, outcome });
            }
        }
    }

    fn deliver(&mut self, parcel: &Parcel) {
        let OutMatter::Text(words) = &parcel.matter else {
            panic!("only words are sent here");
        };
        let key = (parcel.channel.clone(), parcel.id.clone());
        let is_new = self.taken.insert(key);
        if !is_new {
            assert!(parcel.attempts > 1, "a repeat says so");
            if parcel.channel != "telegram" {
                return;
            }
            self.doubles += 1;
        }
        let place = (parcel.channel.clone(), parcel.place.clone());
        self.seen.entry(place).or_default().push(words.clone());
    }

    fn kill(&mut self) {
        self.kills += 1;
        self.doing.clear();
        for (who, _) in std::mem::take(&mut self.tickets).into_values() {
            self.senders[who].is_waiting = false;
        }
        self.store = Store::open(&self.path).expect("a store");
        self.core = start(&self.store, self.now);
        self.drain();
        for channel in CHANNELS {
            self.step(Input::Attached {
                channel: channel.to_owned(),
            });
        }
    }

    fn relink(&mut self, who: usize, is_linked: bool) {
        self.senders[who].is_linked = is_linked;
        let linked = self
            .senders
            .iter()
            .filter(|one| one.is_linked)
            .map(|one| Identity {
                channel: one.channel.to_owned(),
                id: format!("{}-id", one.person),
                person: one.person.to_owned(),
                place: format!("{}-place", one.person),
                shown_name: String::new(),
                linked_unix_ms: 1,
                used_unix_ms: 1,
            });
        self.people.set_links(linked.collect(), Vec::new());
    }

    fn run(&mut self) {
        for channel in CHANNELS {
            self.step(Input::Attached {
                channel: channel.to_owned(),
            });
        }
        for _ in 0..3_000 {
            match self.rng.random_range(0..100) {
                0..4 => {
                    let who = self.rng.random_range(0..self.senders.len());
                    let is_linked = self.chance(80);
                    self.relink(who, is_linked);
                }
                4..20 => {
                    let who = self.rng.random_range(0..self.senders.len());
                    let sender = &self.senders[who];
                    let (next, is_free) = (sender.next, !sender.is_waiting);
                    if next < MESSAGES_PER_SENDER && is_free {
                        self.offer(who, next);
                    } else if next > 0 && self.chance(30) {
                        // Once more, as after an acknowledgement that was lost.
                        let n = self.rng.random_range(0..next);
                        self.offer(who, n);
                    }
                }
                20 => self.kill(),
                21..26 => {
                    self.now += self.rng.random_range(1..5_000);
                    self.step(Input::Timeout);
                }
                _ => self.come_about(false),
            }
        }
        // Then all is well, and everything comes to its end.
        for who in 0..self.senders.len() {
            self.relink(who, true);
        }
        for _ in 0..20_000 {
            let open = self
                .senders
                .iter()
                .position(|one| one.next < MESSAGES_PER_SENDER && !one.is_waiting);
            match open {
                Some(who) => self.offer(who, self.senders[who].next),
                None if self.doing.is_empty() => match self.core.next_timeout() {
                    Some(due) => {
                        assert!(due < self.now + DAY_MS, "it waits for its end");
                        self.now = self.now.max(due);
                        self.step(Input::Timeout);
                    }
                    None if self
                        .senders
                        .iter()
                        .all(|one| one.next == MESSAGES_PER_SENDER) =>
                    {
                        return;
                    }
                    None => {}
                },
                None => self.come_about(true),
            }
        }
        panic!("it did not come to an end: {:?}", self.core.load());
    }

    fn check(&self) {
        for person in PERSONS {
            let rows = self
                .store
                .history(&format!("{person}/agent"), None, 1_000)
                .expect("a store");
            let (said, answered): (Vec<_>, Vec<_>) = rows
                .iter()
                .partition(|row| row.message.role == Role::Caller);
            let said: Vec<&str> = said.iter().map(|row| row.message.text.as_str()).collect();
            let answers: Vec<&str> = answered
                .iter()
                .map(|row| row.message.text.as_str())
                .collect();
            let expected: Vec<String> = said.iter().map(|words| format!("re {words}")).collect();
            assert_eq!(
                answers, expected,
                "answered once, in the order of the promises"
            );
            assert_eq!(said.len(), CHANNELS.len() * MESSAGES_PER_SENDER);
            for channel in CHANNELS {
                let theirs: Vec<String> = (0..MESSAGES_PER_SENDER)
                    .map(|n| format!("re {channel}/{person}/{n}"))
                    .collect();
                let place = (channel.to_owned(), format!("{person}-place"));
                let mut seen = self.seen.get(&place).cloned().unwrap_or_default();
                if channel == "telegram" {
                    seen.dedup();
                }
                assert_eq!(seen, theirs, "seen once, and in order");
            }
        }
        let mut once = self.promised.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), self.promised.len(), "promised once");
        assert_eq!(once.len(), self.senders.len() * MESSAGES_PER_SENDER);
    }
}

fn line(conversation: &str, role: Role, text: String, channel: &str, now: u64) -> NewMessage {
    NewMessage {
        message: MessageRow {
            conversation: conversation.to_owned(),
            role,
            text,
            heard: None,
            at_unix_ms: now,
            call: None,
            channel: channel.to_owned(),
        },
        voice: None,
    }
}

fn answer(turn: i64, item: &Item, now: u64) -> Answer {
    let Matter::Text(text) = &item.matter else {
        panic!("only words are written here");
    };
    let words = format!("re {text}");
    Answer {
        message: Some(line(
            &item.conversation,
            Role::Assistant,
            words.clone(),
            &item.channel,
            now,
        )),
        out: vec![Parcel {
            id: format!("a-{turn}"),
            channel: item.channel.clone(),
            place: item.place.clone(),
            person: item.person.clone(),
            at: now,
            due: now,
            until: now + 30 * DAY_MS,
            attempts: 0,
            matter: OutMatter::Text(words),
            reply_to: Some(item.theirs.clone()),
            message: None,
        }],
    }
}

/// Runs one seed and says how often the program was killed, and what one network showed twice.
pub fn run(seed: u64) -> (usize, usize) {
    let path =
        std::env::temp_dir().join(format!("offhook-sim-texts-{}-{seed}", std::process::id()));
    std::fs::create_dir_all(&path).expect("the temporary folder is writable");
    let folder = Folder(path);
    let mut world = World::new(seed, &folder);
    world.run();
    world.check();
    (world.kills, world.doubles)
}
