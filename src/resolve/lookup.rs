//! The resolution's questions put to the name servers this machine uses, by hickory-resolver. Owns what is remembered:
//! targets that answered before, for when no name server does, and targets that failed, which are tried last for a while
//! (RFC 3263 §4.3). Not the rules (`resolve`).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::LookupIpStrategy;
use hickory_resolver::net::NetError;
use hickory_resolver::proto::rr::{RData, RecordType};
use sip::Transport;
use tracing::{debug, warn};

use super::{Answer, Naptr, Question, Resolution, Srv, Target, Wanted};

/// Of one question, all its retries together.
const QUESTION_MAX: Duration = Duration::from_secs(4);
/// Records that name servers gave are kept as long as they say, within these bounds.
const TTL_MIN: Duration = Duration::from_secs(30);
const TTL_MAX: Duration = Duration::from_secs(3600);
/// A target that failed is tried last for so long.
const AVOIDED: Duration = Duration::from_secs(60);
/// Names whose last targets are kept, and targets that are avoided. At the bound all are forgotten.
const REMEMBERED_MAX: usize = 256;

#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    #[error("the name servers of this machine are not known: {0}")]
    NoNameServers(#[from] NetError),
    #[error("{host} leads nowhere: no address for SIP was found")]
    NotFound { host: String },
}

/// Finds SIP servers by name.
pub struct Resolver {
    dns: TokioResolver,
    transports: Vec<Transport>,
    families: Families,
    memory: Mutex<Memory>,
}

/// Which addresses can be reached from what we listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Families {
    pub ipv4: bool,
    pub ipv6: bool,
}

#[derive(Default)]
struct Memory {
    last: HashMap<Wanted, Vec<Target>>,
    failed: HashMap<Target, Instant>,
}

impl Resolver {
    /// `transports`: what we can use, the preferred first.
    pub fn new(transports: Vec<Transport>, families: Families) -> Result<Resolver, ResolveError> {
        let mut builder = TokioResolver::builder_tokio()?;
        let options = builder.options_mut();
        options.positive_min_ttl = Some(TTL_MIN);
        options.positive_max_ttl = Some(TTL_MAX);
        options.negative_max_ttl = Some(TTL_MIN);
        options.ip_strategy = match families {
            Families { ipv6: false, .. } => LookupIpStrategy::Ipv4Only,
            Families { ipv4: false, .. } => LookupIpStrategy::Ipv6Only,
            _ => LookupIpStrategy::Ipv4AndIpv6,
        };
        Ok(Resolver {
            dns: builder.build()?,
            transports,
            families,
            memory: Mutex::default(),
        })
    }

    /// Where to try, in order. What failed a moment ago comes last; where no name server answers, what they said before
    /// still holds.
    pub async fn resolve(&self, wanted: &Wanted, seed: u64) -> Result<Vec<Target>, ResolveError> {
        let mut resolution = Resolution::new(wanted.clone(), &self.transports, seed);
        while let Some(question) = resolution.question() {
            let answer = self.ask(&question).await;
            resolution.answer(answer);
        }
        let mut targets = resolution.targets();
        targets.retain(|target| self.families.have(target.address.ip()));
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let targets = memory.recall(wanted, targets, Instant::now());
        match targets.is_empty() {
            false => Ok(targets),
            true => Err(ResolveError::NotFound {
                host: wanted.host.clone(),
            }),
        }
    }

    /// This target did not answer.
    pub fn failed(&self, target: &Target) {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.avoid(target.clone(), Instant::now());
    }

    async fn ask(&self, question: &Question) -> Answer {
        let asked = tokio::time::timeout(QUESTION_MAX, self.look_up(question)).await;
        match asked {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                debug!(?question, %error, "no answer of use");
                Answer::Nothing
            }
            Err(_) => {
                warn!(?question, "the name servers do not answer");
                Answer::Nothing
            }
        }
    }

    async fn look_up(&self, question: &Question) -> Result<Answer, NetError> {
        Ok(match question {
            Question::Addresses(name) => {
                let found = self.dns.lookup_ip(name.as_str()).await?;
                Answer::Addresses(found.iter().collect())
            }
            Question::Srv(name) => {
                let found = self.dns.lookup(name.as_str(), RecordType::SRV).await?;
                let records = found
                    .answers()
                    .iter()
                    .filter_map(|record| match &record.data {
                        RData::SRV(srv) => Some(Srv {
                            priority: srv.priority,
                            weight: srv.weight,
                            port: srv.port,
                            target: srv.target.to_utf8(),
                        }),
                        _ => None,
                    });
                Answer::Srv(records.collect())
            }
            Question::Naptr(name) => {
                let found = self.dns.lookup(name.as_str(), RecordType::NAPTR).await?;
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let records = found
                    .answers()
                    .iter()
                    .filter_map(|record| match &record.data {
                        RData::NAPTR(naptr) => Some(Naptr {
                            order: naptr.order,
                            preference: naptr.preference,
                            flags: text(&naptr.flags),
                            services: text(&naptr.services),
                            replacement: naptr.replacement.to_utf8(),
                        }),
                        _ => None,
                    });
                Answer::Naptr(records.collect())
            }
        })
    }
}

impl Families {
    fn have(self, address: IpAddr) -> bool {
        match address.is_ipv4() {
            true => self.ipv4,
            false => self.ipv6,
        }
    }
}

impl Memory {
    fn recall(&mut self, wanted: &Wanted, found: Vec<Target>, now: Instant) -> Vec<Target> {
        let mut targets = match found.is_empty() {
            true => self.last.get(wanted).cloned().unwrap_or_default(),
            false => {
                if self.last.len() >= REMEMBERED_MAX && !self.last.contains_key(wanted) {
                    self.last.clear();
                }
                self.last.insert(wanted.clone(), found.clone());
                found
            }
        };
        self.failed
            .retain(|_, at| now.saturating_duration_since(*at) < AVOIDED);
        // Stable: both kinds keep their order.
        targets.sort_by_key(|target| self.failed.contains_key(target));
        targets
    }

    fn avoid(&mut self, target: Target, now: Instant) {
        if self.failed.len() >= REMEMBERED_MAX {
            self.failed.clear();
        }
        self.failed.insert(target, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(last: u8) -> Target {
        Target {
            transport: Transport::Udp,
            address: ([192, 0, 2, last], 5060).into(),
        }
    }

    #[test]
    fn what_failed_comes_last_and_what_was_known_is_kept() {
        let wanted = Wanted {
            host: "trunk.example".to_owned(),
            port: None,
            transport: None,
            is_secure: false,
        };
        let start = Instant::now();
        let mut memory = Memory::default();
        let all = [target(1), target(2), target(3)];
        assert_eq!(memory.recall(&wanted, Vec::new(), start), []);
        assert_eq!(memory.recall(&wanted, all.to_vec(), start), all);
        memory.avoid(target(1), start);
        let swapped = [target(2), target(3), target(1)];
        assert_eq!(memory.recall(&wanted, all.to_vec(), start), swapped);
        // No name server answers, and the failure is still fresh.
        assert_eq!(memory.recall(&wanted, Vec::new(), start), swapped);
        assert_eq!(memory.recall(&wanted, Vec::new(), start + AVOIDED), all);
        for n in 0..2 * REMEMBERED_MAX {
            let other = Wanted {
                host: format!("trunk{n}.example"),
                ..wanted.clone()
            };
            memory.recall(&other, all.to_vec(), start);
            memory.avoid(
                Target {
                    address: ([192, 0, 2, 1], n as u16).into(),
                    ..target(1)
                },
                start,
            );
        }
        assert!(memory.last.len() <= REMEMBERED_MAX && memory.failed.len() <= REMEMBERED_MAX);
    }

    #[tokio::test]
    async fn an_address_needs_no_name_server() {
        let families = Families {
            ipv4: true,
            ipv6: false,
        };
        let Ok(resolver) = Resolver::new(vec![Transport::Udp], families) else {
            println!("skipped: this machine has no name servers");
            return;
        };
        let wanted = |host: &str| Wanted {
            host: host.to_owned(),
            port: Some(5070),
            transport: None,
            is_secure: false,
        };
        let found = resolver.resolve(&wanted("192.0.2.7"), 1).await;
        let expected = Target {
            transport: Transport::Udp,
            address: ([192, 0, 2, 7], 5070).into(),
        };
        assert_eq!(found.expect("an address"), [expected]);
        let refused = resolver.resolve(&wanted("2001:db8::7"), 1).await;
        assert!(matches!(refused, Err(ResolveError::NotFound { .. })));
    }
}
