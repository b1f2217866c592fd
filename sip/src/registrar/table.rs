//! PURE.
//! Bindings and the ways to find them: by user, by the time they end, by where the phone is, by connection. Each is found
//! without looking at all the others. Does not own what a REGISTER may do to them.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::SocketAddr;

use super::Binding;
use crate::flow::ConnId;

/// User, the contacts that are gone, the bindings that remain.
pub(crate) type Taken = (String, Vec<String>, Vec<Binding>);

/// The bindings of one user. Never empty.
#[derive(Debug)]
struct Entry {
    list: Vec<Binding>,
    /// When `ends` looks at this user, at or before the first end. Refreshes move the end and not this.
    looked_at_unix_ms: u64,
}

#[derive(Debug, Default)]
pub(super) struct Table {
    users: HashMap<String, Entry>,
    /// One for each user: when an end of a binding is to be looked for.
    ends: BTreeSet<(u64, String)>,
    /// Bindings by the address and port of the phone.
    remotes: HashMap<SocketAddr, u32>,
    /// Users that registered over a connection, until it closes.
    by_conn: HashMap<ConnId, HashSet<String>>,
    count: usize,
}

impl Table {
    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn of(&self, user: &str) -> &[Binding] {
        self.users.get(user).map_or(&[], |entry| &entry.list)
    }

    /// For changes that leave users and remote addresses alone. Tell `look_by` of an end that moved, `note_conn` of a
    /// connection.
    pub(super) fn of_mut(&mut self, user: &str) -> &mut [Binding] {
        match self.users.get_mut(user) {
            Some(entry) => &mut entry.list,
            None => &mut [],
        }
    }

    pub(super) fn has_remote(&self, remote: SocketAddr) -> bool {
        self.remotes.contains_key(&remote)
    }

    /// Takes a user's bindings out of every table.
    pub(super) fn take(&mut self, user: &str) -> Vec<Binding> {
        let Some((user, entry)) = self.users.remove_entry(user) else {
            return Vec::new();
        };
        self.ends.remove(&(entry.looked_at_unix_ms, user));
        self.count -= entry.list.len();
        for binding in &entry.list {
            if let Some(count) = self.remotes.get_mut(&binding.flow.remote) {
                *count -= 1;
                if *count == 0 {
                    self.remotes.remove(&binding.flow.remote);
                }
            }
        }
        entry.list
    }

    /// Replaces a user's bindings.
    pub(super) fn put(&mut self, user: &str, list: Vec<Binding>) {
        self.take(user);
        let Some(first) = list.iter().map(|binding| binding.expires_unix_ms).min() else {
            return;
        };
        self.count += list.len();
        for binding in &list {
            *self.remotes.entry(binding.flow.remote).or_default() += 1;
            self.note_conn(user, binding.flow.conn);
        }
        self.ends.insert((first, user.to_owned()));
        let looked_at_unix_ms = first;
        self.users.insert(
            user.to_owned(),
            Entry {
                list,
                looked_at_unix_ms,
            },
        );
    }

    pub(super) fn note_conn(&mut self, user: &str, conn: Option<ConnId>) {
        if let Some(conn) = conn {
            let users = self.by_conn.entry(conn).or_default();
            if !users.contains(user) {
                users.insert(user.to_owned());
            }
        }
    }

    /// An end moved there. One that comes later than it did is found when the old time comes.
    pub(super) fn look_by(&mut self, user: &str, unix_ms: u64) {
        if let Some(entry) = self.users.get_mut(user)
            && unix_ms < entry.looked_at_unix_ms
        {
            self.ends
                .remove(&(entry.looked_at_unix_ms, user.to_owned()));
            self.ends.insert((unix_ms, user.to_owned()));
            entry.looked_at_unix_ms = unix_ms;
        }
    }

    pub(super) fn next_end_unix_ms(&self) -> Option<u64> {
        self.ends.first().map(|(unix_ms, _)| *unix_ms)
    }

    pub(super) fn expire(&mut self, now_unix_ms: u64) -> Vec<Taken> {
        let mut taken = Vec::new();
        while let Some((unix_ms, user)) = self.ends.first()
            && *unix_ms <= now_unix_ms
        {
            let user = user.clone();
            let (ended, list): (Vec<Binding>, Vec<Binding>) = self
                .take(&user)
                .into_iter()
                .partition(|binding| binding.expires_unix_ms <= now_unix_ms);
            self.put(&user, list.clone());
            if !ended.is_empty() {
                let contacts = ended.into_iter().map(|binding| binding.contact).collect();
                taken.push((user, contacts, list));
            }
        }
        taken
    }

    pub(super) fn retain_users(&mut self, keep: impl Fn(&str) -> bool) -> Vec<Taken> {
        let mut gone: Vec<String> = self
            .users
            .keys()
            .filter(|user| !keep(user))
            .cloned()
            .collect();
        // So that a run repeats on its seed.
        gone.sort_unstable();
        gone.into_iter()
            .map(|user| {
                let list = self.take(&user).into_iter();
                let contacts = list.map(|binding| binding.contact).collect();
                (user, contacts, Vec::new())
            })
            .collect()
    }

    pub(super) fn stream_closed(&mut self, conn: ConnId) {
        for user in self.by_conn.remove(&conn).unwrap_or_default() {
            for binding in self
                .users
                .get_mut(&user)
                .into_iter()
                .flat_map(|entry| &mut entry.list)
            {
                if binding.flow.conn == Some(conn) {
                    binding.flow.conn = None;
                }
            }
        }
    }
}
