//! As whom a caller or a writer is shown to those who are reached. Who comes over a trunk may say of himself what he likes:
//! the names and numbers of this house are not his to say.

use sip::{Caller, NameAddr};

use super::super::outgoing::SHOWN_AS;
use super::Bridging;
use crate::bridge::{Party, Shown};

/// The number of one who has shown none, or one of ours. RFC 3323 section 4.1.1.3.
const ANONYMOUS: &str = "anonymous";

impl Bridging {
    /// Who calls or writes, and as whom that is shown.
    pub(in crate::switchboard) fn shown(&self, caller: &Caller, from: &NameAddr) -> (Party, Shown) {
        let trunk = match caller {
            Caller::User(name) => {
                let party = Party::User(name.clone());
                let shown = self.shown_of(&party);
                return (party, shown);
            }
            Caller::Trunk(trunk) => trunk,
        };
        let party = Party::Trunk(self.config.plan.trunk_named(trunk).unwrap_or(usize::MAX));
        let name = from.display.clone().unwrap_or_default();
        let number = from.uri.user_decoded().unwrap_or_default();
        let is_number_usable = !number.is_empty() && !self.is_of_house(&number);
        let is_name_usable = name.is_empty() || !self.is_of_house(&name);
        let shown = Shown {
            name: match is_number_usable && is_name_usable {
                true => name,
                false => format!("via {trunk}"),
            },
            number: match is_number_usable {
                true => number,
                false => ANONYMOUS.to_owned(),
            },
        };
        (party, shown)
    }

    /// The same of somebody we know by name alone.
    pub(in crate::switchboard) fn shown_of(&self, party: &Party) -> Shown {
        match party {
            Party::User(name) => {
                let (name, number) = self.config.plan.shown(name);
                Shown { name, number }
            }
            Party::Trunk(_) => Shown {
                name: format!("via {}", self.name(party)),
                number: ANONYMOUS.to_owned(),
            },
        }
    }

    /// Whether these words are an account's, a number's of this house, or what somebody here is called by.
    fn is_of_house(&self, words: &str) -> bool {
        let (words, plan) = (words.trim(), &self.config.plan);
        words.eq_ignore_ascii_case(SHOWN_AS)
            || plan.inside(words).is_ok()
            || plan.is_called_so(words)
    }
}
