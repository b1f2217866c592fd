//! PURE.
//! Blocks of addresses that are not heard at all, why, and until when. Owns the list, its expiry and its growth; does not
//! own the evidence (see `guard`) or the file that outlives a restart.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// What one stranger is taken to own: an IPv4 address, or the /64 of an IPv6 address, which is what a line is given
/// (RFC 6177 §2). IPv4 addresses mapped into IPv6 are IPv4 addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Block(IpAddr);

/// Octets of an IPv6 address that name the block.
const V6_BYTES: usize = 8;

impl Block {
    pub fn of(address: IpAddr) -> Block {
        Block(match address.to_canonical() {
            IpAddr::V6(address) => {
                let mut octets = address.octets();
                octets[V6_BYTES..].fill(0);
                IpAddr::V6(Ipv6Addr::from(octets))
            }
            v4 => v4,
        })
    }

    /// The first address of the block.
    pub fn address(self) -> IpAddr {
        self.0
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => write!(f, "{address}"),
            IpAddr::V6(address) => write!(f, "{address}/64"),
        }
    }
}

/// Whether an address lies in a network: its first address, and how many bits of it count.
pub(crate) fn is_within(address: IpAddr, (network, prefix): (IpAddr, u8)) -> bool {
    let differing = match (address.to_canonical(), network.to_canonical()) {
        (IpAddr::V4(a), IpAddr::V4(b)) => u128::from(a.to_bits() ^ b.to_bits()) << 96,
        (IpAddr::V6(a), IpAddr::V6(b)) => a.to_bits() ^ b.to_bits(),
        _ => return false,
    };
    prefix == 0 || differing >> (128 - u32::from(prefix.min(128))) == 0
}

/// Neither an address nor an IPv6 /64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an IPv4 address, or an IPv6 address with or without /64")]
pub struct BlockError;

impl FromStr for Block {
    type Err = BlockError;

    fn from_str(text: &str) -> Result<Block, BlockError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| BlockError)?;
        match (address.to_canonical(), prefix) {
            (_, None) | (IpAddr::V4(_), Some("32")) | (IpAddr::V6(_), Some("64")) => {
                Ok(Block::of(address))
            }
            _ => Err(BlockError),
        }
    }
}

/// Why a block is not heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BanReason {
    /// It went on guessing passwords after it had been told to stop.
    Guessing,
    /// It called itself a program that looks for telephone systems to break into.
    Scanner,
    /// The owner said so.
    Owner,
}

impl BanReason {
    pub const ALL: [BanReason; 3] = [BanReason::Guessing, BanReason::Scanner, BanReason::Owner];

    pub fn as_str(self) -> &'static str {
        match self {
            BanReason::Guessing => "guessing",
            BanReason::Scanner => "scanner",
            BanReason::Owner => "owner",
        }
    }

    pub fn from_name(name: &str) -> Option<BanReason> {
        BanReason::ALL
            .into_iter()
            .find(|reason| reason.as_str() == name)
    }
}

/// One entry of the list. Plain fields, so that the program can store it as it likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ban {
    pub block: Block,
    pub why: BanReason,
    pub since_unix_ms: u64,
    pub until_unix_ms: u64,
    /// Bans of this block in a row, this one included; each is longer than the one before.
    pub times: u32,
}

/// The list. When it is full, the ban that would end first is forgotten.
#[derive(Debug)]
pub(crate) struct Bans {
    bans: HashMap<Block, Ban>,
    /// Of the same bans: (end, block).
    by_end: BTreeSet<(u64, Block)>,
    bans_max: usize,
}

impl Bans {
    pub(crate) fn new(bans_max: usize) -> Bans {
        Bans {
            bans: HashMap::new(),
            by_end: BTreeSet::new(),
            bans_max: bans_max.max(1),
        }
    }

    /// The ban that holds now.
    pub(crate) fn of(&self, now_unix_ms: u64, address: IpAddr) -> Option<&Ban> {
        // Most of the time there are none, and this is asked for every packet.
        if self.bans.is_empty() {
            return None;
        }
        let ban = self.bans.get(&Block::of(address))?;
        (ban.until_unix_ms > now_unix_ms).then_some(ban)
    }

    /// Also one that has ended and is remembered, for the next to be longer.
    pub(crate) fn last_of(&self, block: Block) -> Option<&Ban> {
        self.bans.get(&block)
    }

    /// Takes this list instead; says which blocks are in it no more.
    pub(crate) fn replace(&mut self, bans: Vec<Ban>) -> Vec<Block> {
        let mut before = std::mem::replace(self, Bans::new(self.bans_max)).bans;
        for ban in bans {
            before.remove(&ban.block);
            self.put(ban);
        }
        let mut lifted: Vec<Block> = before.into_keys().collect();
        lifted.sort_unstable();
        lifted
    }

    pub(crate) fn put(&mut self, ban: Ban) {
        if let Some(old) = self.bans.insert(ban.block, ban) {
            self.by_end.remove(&(old.until_unix_ms, old.block));
        }
        self.by_end.insert((ban.until_unix_ms, ban.block));
        if self.bans.len() > self.bans_max
            && let Some((_, block)) = self.by_end.pop_first()
        {
            self.bans.remove(&block);
        }
    }

    pub(crate) fn remove(&mut self, block: Block) -> Option<Ban> {
        let ban = self.bans.remove(&block)?;
        self.by_end.remove(&(ban.until_unix_ms, block));
        Some(ban)
    }

    /// Those that hold, the one that ends first in front.
    pub(crate) fn list(&self, now_unix_ms: u64) -> Vec<Ban> {
        self.by_end
            .iter()
            .filter(|(until, _)| *until > now_unix_ms)
            .filter_map(|(_, block)| self.bans.get(block).copied())
            .collect()
    }
}

#[cfg(test)]
#[path = "bans_tests.rs"]
mod tests;
