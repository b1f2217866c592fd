//! PURE. What is known of rooms, people and events for the moment: all of it can be asked for again, so each table is
//! bounded and forgets its oldest entry when it is full.

use std::collections::{HashMap, VecDeque};

use super::wire::{Event, Membership, What};

const ROOMS_MAX: usize = 1_024;
const NAMES_MAX: usize = 4_096;
const EVENTS_MAX: usize = 1_024;

/// A table that forgets its oldest entry.
#[derive(Debug)]
pub struct Lately<V> {
    values: HashMap<String, V>,
    order: VecDeque<String>,
    most: usize,
}

impl<V> Lately<V> {
    pub fn new(most: usize) -> Lately<V> {
        Lately {
            values: HashMap::new(),
            order: VecDeque::new(),
            most,
        }
    }

    pub fn get(&self, key: &str) -> Option<&V> {
        self.values.get(key)
    }

    pub fn put(&mut self, key: &str, value: V) {
        if self.values.insert(key.to_owned(), value).is_none() {
            self.order.push_back(key.to_owned());
        }
        while self.values.len() > self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.values.remove(&oldest);
        }
    }

    pub fn remove(&mut self, key: &str) -> Option<V> {
        let value = self.values.remove(key)?;
        self.order.retain(|known| known != key);
        Some(value)
    }
}

/// What has to be known of a room; none: to be asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Room {
    pub is_encrypted: Option<bool>,
    /// Members that are in it, with us.
    pub people: Option<usize>,
}

/// A message that may get an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    pub sender: String,
    pub thread: Option<String>,
}

/// All tables.
#[derive(Debug)]
pub struct Rooms {
    pub rooms: Lately<Room>,
    /// By room and user.
    names: Lately<String>,
    /// Events that we sent.
    pub ours: Lately<()>,
    pub asked: Lately<Asked>,
    /// Counts what was noted of any room.
    changes: u64,
}

impl Default for Rooms {
    fn default() -> Rooms {
        Rooms {
            rooms: Lately::new(ROOMS_MAX),
            names: Lately::new(NAMES_MAX),
            ours: Lately::new(EVENTS_MAX),
            asked: Lately::new(EVENTS_MAX),
            changes: 0,
        }
    }
}

impl Rooms {
    pub fn room(&self, room: &str) -> Room {
        self.rooms.get(room).copied().unwrap_or_default()
    }

    /// Events of a room, those before a message as well as the message itself.
    pub fn note(&mut self, room: &str, event: &Event) {
        let mut known = self.room(room);
        match &event.what {
            What::EncryptionOn | What::Encrypted => known.is_encrypted = Some(true),
            What::Member(member) => {
                // Who counts is asked when it matters; a new name changes nothing.
                if member.membership != Membership::Join || member.before != Membership::Join {
                    known.people = None;
                }
                if member.membership == Membership::Join {
                    self.names
                        .put(&key(room, &member.who), member.shown_name.clone());
                }
            }
            _ => return,
        }
        self.changes += 1;
        self.rooms.put(room, known);
    }

    /// Forgets what events that we have not seen may have changed.
    pub fn doubt(&mut self, room: &str) {
        self.changes += 1;
        self.rooms.remove(room);
    }

    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// As they call themselves there; empty: unknown.
    pub fn name(&self, room: &str, user: &str) -> &str {
        self.names.get(&key(room, user)).map_or("", String::as_str)
    }
}

fn key(room: &str, user: &str) -> String {
    format!("{room} {user}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten() {
        let mut table = Lately::new(3);
        for key in ["a", "b", "a", "c", "d"] {
            table.put(key, key.to_owned());
        }
        assert_eq!(table.values.len(), 3);
        assert_eq!(table.get("a"), None);
        assert_eq!(table.remove("b").as_deref(), Some("b"));
        table.put("e", "e".to_owned());
        for key in ["c", "d", "e"] {
            assert_eq!(table.get(key).map(String::as_str), Some(key));
        }
    }

    #[test]
    fn rooms_learn_from_events() {
        let member = |membership, before, name: &str| {
            What::Member(super::super::wire::Member {
                who: "@anna:a".to_owned(),
                membership,
                before,
                shown_name: name.to_owned(),
            })
        };
        use Membership::{Invite, Join, Other};
        let sure = Room {
            is_encrypted: Some(false),
            people: Some(2),
        };
        let cases = [
            (What::Other, sure, ""),
            (member(Join, Join, "Anna"), sure, "Anna"),
            (
                member(Join, Invite, "Anna"),
                Room {
                    people: None,
                    ..sure
                },
                "Anna",
            ),
            (
                member(Other, Join, "x"),
                Room {
                    people: None,
                    ..sure
                },
                "",
            ),
            (
                What::EncryptionOn,
                Room {
                    is_encrypted: Some(true),
                    ..sure
                },
                "",
            ),
        ];
        for (what, expected, name) in cases {
            let mut rooms = Rooms::default();
            rooms.rooms.put("!r", sure);
            let event = Event {
                id: "$e".to_owned(),
                sender: "@anna:a".to_owned(),
                at_unix_ms: 0,
                what,
            };
            rooms.note("!r", &event);
            assert_eq!(rooms.room("!r"), expected, "{event:?}");
            assert_eq!(rooms.name("!r", "@anna:a"), name);
            rooms.doubt("!r");
            assert_eq!(rooms.room("!r"), Room::default());
        }
    }
}
