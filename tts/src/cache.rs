//! Sound already made: fixed prompts and repeated clauses. Owns the bound and who goes first; not the synthesis.
//!
//! Full: the least recently used goes first. Prompts are kept before clauses, as long as they take at most half.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// What a sound depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// The engine's name.
    pub voice: String,
    /// The normalised text.
    pub text: String,
}

/// Bytes an entry takes beside its samples and its text, roughly: both indexes and the allocations.
const ENTRY_BYTES: usize = 256;

#[derive(Debug)]
struct Entry {
    pcm: Arc<[i16]>,
    is_prompt: bool,
    used: u64,
}

/// Samples by voice and text, least recently used first out.
#[derive(Debug)]
pub struct Cache {
    entries: HashMap<Key, Entry>,
    /// Prompts sort after all clauses, so the first one is the one to go.
    order: BTreeMap<(bool, u64), Key>,
    uses: u64,
    bytes: usize,
    prompt_bytes: usize,
    bytes_max: usize,
}

fn size_of(key: &Key, pcm: &[i16]) -> usize {
    std::mem::size_of_val(pcm) + 2 * (key.voice.len() + key.text.len()) + ENTRY_BYTES
}

impl Cache {
    /// A cache of at most `bytes_max`; 0 keeps nothing.
    pub fn new(bytes_max: usize) -> Cache {
        Cache {
            entries: HashMap::new(),
            order: BTreeMap::new(),
            uses: 0,
            bytes: 0,
            prompt_bytes: 0,
            bytes_max,
        }
    }

    /// The samples for `key`, which is then the most recently used.
    pub fn get(&mut self, key: &Key) -> Option<Arc<[i16]>> {
        let entry = self.entries.get_mut(key)?;
        self.order.remove(&(entry.is_prompt, entry.used));
        self.uses += 1;
        entry.used = self.uses;
        self.order
            .insert((entry.is_prompt, entry.used), key.clone());
        Some(Arc::clone(&entry.pcm))
    }

    /// Whether `key` is here; does not count as a use.
    pub fn contains(&self, key: &Key) -> bool {
        self.entries.contains_key(key)
    }

    /// Keeps `pcm`. Prompts beyond half of the cache are kept like clauses; what is larger than a quarter of the cache
    /// is not kept at all, so that one long text does not empty it.
    pub fn insert(&mut self, key: Key, pcm: Arc<[i16]>, is_prompt: bool) {
        let size = size_of(&key, &pcm);
        if size > self.bytes_max / 4 {
            return;
        }
        self.remove(&key);
        let is_prompt = is_prompt && self.prompt_bytes + size <= self.bytes_max / 2;
        while self.bytes + size > self.bytes_max {
            let Some((_, oldest)) = self.order.first_key_value() else {
                break;
            };
            let oldest = oldest.clone();
            self.remove(&oldest);
        }
        self.uses += 1;
        self.bytes += size;
        if is_prompt {
            self.prompt_bytes += size;
        }
        self.order.insert((is_prompt, self.uses), key.clone());
        let used = self.uses;
        self.entries.insert(
            key,
            Entry {
                pcm,
                is_prompt,
                used,
            },
        );
    }

    fn remove(&mut self, key: &Key) {
        if let Some(entry) = self.entries.remove(key) {
            let size = size_of(key, &entry.pcm);
            self.order.remove(&(entry.is_prompt, entry.used));
            self.bytes -= size;
            if entry.is_prompt {
                self.prompt_bytes -= size;
            }
        }
    }

    /// Bytes kept, indexes included.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Number of sounds kept.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Key {
        Key {
            voice: "v".to_owned(),
            text: text.to_owned(),
        }
    }

    /// Steps: "+a" keeps a clause, "*a" keeps a prompt, "?a" uses it. Each sound takes 1000 bytes, 8000 fit.
    fn check(steps: &str, expected: &str) {
        let mut cache = Cache::new(8_000);
        for step in steps.split_whitespace() {
            let (kind, name) = step.split_at(1);
            let key = key(name);
            let samples = (1_000 - ENTRY_BYTES - 2 * (1 + name.len())) / 2;
            match kind {
                "+" | "*" => cache.insert(key, vec![0; samples].into(), kind == "*"),
                _ => drop(cache.get(&key)),
            }
            assert!(cache.bytes() <= 8_000);
            assert_eq!(cache.bytes(), cache.len() * 1_000);
            assert_eq!(cache.order.len(), cache.entries.len());
        }
        let mut names: Vec<&str> = cache.entries.keys().map(|key| key.text.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names.concat(), expected, "{steps}");
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        check("", "");
        check("+a +b +c", "abc");
        check("+a +a +a", "a");
        check("+a +b +c +d +e +f +g +h +i", "bcdefghi");
        check("+a +b +c +d +e +f +g +h ?a +i", "acdefghi");
        // Prompts stay, however long ago they were used.
        check("*a +b +c +d +e +f +g +h +i +j", "adefghij");
        // But only while they take at most half: the fifth counts as a clause.
        check("*a *b *c *d *e +f +g +h +i", "abcdfghi");
    }

    #[test]
    fn one_large_sound_does_not_empty_it() {
        let mut cache = Cache::new(8_000);
        cache.insert(key("small"), vec![0; 100].into(), false);
        cache.insert(key("large"), vec![0; 1_000].into(), false);
        assert!(cache.contains(&key("small")));
        assert!(!cache.contains(&key("large")));
        let mut nothing = Cache::new(0);
        nothing.insert(key("a"), vec![0; 1].into(), true);
        assert!(nothing.is_empty());
    }
}
