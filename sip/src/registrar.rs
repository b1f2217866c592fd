//! PURE.
//! The registrar and its location service, RFC 3261 §10.3: bindings of an address-of-record, how a REGISTER changes them
//! and when they end. Does not own authentication, responses or the file that outlives a restart.

use std::collections::BTreeMap;

use crate::endpoint::EndpointConfig;
use crate::flow::{ConnId, Flow};
use crate::header::{Contacts, HeaderName, NameAddr};
use crate::message::Request;
use crate::uri::Uri;

/// One contact of one user. Plain fields, so that the program can store it as it likes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    pub user: String,
    /// The Contact URI as the phone wrote it.
    pub contact: String,
    /// Contact parameters but `expires` and `q`, values as they were sent.
    pub params: Vec<(String, Option<String>)>,
    /// `+sip.instance` of RFC 5626 §4.1, without quotes.
    pub instance: Option<String>,
    /// RFC 5626 §4.2.
    pub reg_id: Option<u32>,
    /// Preference in thousandths, 0 to 1000.
    pub q: u16,
    pub call_id: String,
    pub cseq: u32,
    /// The way the REGISTER came, which is the way to the phone: its NAT knows no other.
    pub flow: Flow,
    pub expires_unix_ms: u64,
    pub user_agent: Option<String>,
}

/// What a REGISTER did to one contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    Registered {
        contact: String,
        expires_s: u32,
        refreshed: bool,
    },
    Removed {
        contact: String,
    },
}

/// Why a REGISTER changed nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RegisterError {
    /// 400
    Malformed(&'static str),
    /// 423 with Min-Expires.
    TooBrief { expires_s_min: u32 },
    /// 500: older than what is already known of this contact.
    OutOfOrder,
    /// 403
    TooManyContacts,
    /// 503
    Full,
}

#[derive(Debug)]
pub(crate) struct Registrar {
    expires_s_min: u32,
    expires_s_default: u32,
    expires_s_max: u32,
    contacts_per_user_max: usize,
    bindings_max: usize,
    /// By user; no empty lists.
    bindings: BTreeMap<String, Vec<Binding>>,
    count: usize,
}

/// A binding that cannot be stored in any sane row is refused.
const CONTACT_LEN_MAX: usize = 2_048;

impl Registrar {
    pub(crate) fn new(config: &EndpointConfig) -> Registrar {
        Registrar {
            expires_s_min: config.expires_s_min,
            expires_s_default: config.expires_s_default,
            expires_s_max: config.expires_s_max.max(config.expires_s_min),
            contacts_per_user_max: config.contacts_per_user_max,
            bindings_max: config.bindings_max,
            bindings: BTreeMap::new(),
            count: 0,
        }
    }

    /// Bindings from before a restart, as far as they still hold. Their connections do not.
    pub(crate) fn restore(&mut self, now_unix_ms: u64, bindings: Vec<Binding>) {
        for mut binding in bindings {
            if binding.expires_unix_ms > now_unix_ms && self.count < self.bindings_max {
                binding.flow.conn = None;
                self.bindings
                    .entry(binding.user.clone())
                    .or_default()
                    .push(binding);
                self.count += 1;
            }
        }
    }

    pub(crate) fn of(&self, user: &str, now_unix_ms: u64) -> Vec<Binding> {
        let mut bindings: Vec<Binding> = self.bindings.get(user).cloned().unwrap_or_default();
        bindings.retain(|binding| binding.expires_unix_ms > now_unix_ms);
        bindings.sort_by_key(|binding| std::cmp::Reverse(binding.q));
        bindings
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Whether the user is registered from that address now.
    pub(crate) fn is_at(&self, user: &str, address: std::net::IpAddr, now_unix_ms: u64) -> bool {
        let of_user = self.bindings.get(user).into_iter().flatten();
        of_user
            .into_iter()
            .any(|b| b.expires_unix_ms > now_unix_ms && b.flow.remote.ip() == address)
    }

    /// RFC 3261 §10.3 steps 6 to 8, for an authenticated user. All of it happens or nothing. An empty list of changes
    /// means that the phone only asked.
    pub(crate) fn register(
        &mut self,
        now_unix_ms: u64,
        user: &str,
        request: &Request,
        flow: Flow,
    ) -> Result<Vec<Change>, RegisterError> {
        let headers = &request.headers;
        let call_id = headers
            .call_id()
            .map_err(|_| RegisterError::Malformed("Call-ID"))?
            .to_owned();
        let cseq = headers
            .cseq()
            .map_err(|_| RegisterError::Malformed("CSeq"))?
            .number;
        // RFC 3261 §20.19: a value that cannot be read counts as the default.
        let expires_s = headers.expires().ok().flatten();
        let contacts = headers
            .contacts()
            .map_err(|_| RegisterError::Malformed("Contact"))?;
        let user_agent = headers
            .get(&HeaderName::UserAgent)
            .map(|text| text.chars().take(256).collect());
        let mut list: Vec<Binding> = self.bindings.get(user).cloned().unwrap_or_default();
        list.retain(|binding| binding.expires_unix_ms > now_unix_ms);
        let mut changes = Vec::new();

        match contacts {
            // RFC 3261 §10.3 step 6: `*` stands alone, with an Expires of zero.
            Contacts::Star if expires_s != Some(0) => {
                return Err(RegisterError::Malformed("Contact * needs Expires: 0"));
            }
            Contacts::Star => {
                if list
                    .iter()
                    .any(|binding| binding.call_id == call_id && cseq <= binding.cseq)
                {
                    return Err(RegisterError::OutOfOrder);
                }
                changes.extend(list.drain(..).map(|binding| Change::Removed {
                    contact: binding.contact,
                }));
            }
            Contacts::List(contacts) => {
                if contacts.len() > self.contacts_per_user_max {
                    return Err(RegisterError::TooManyContacts);
                }
                for contact in &contacts {
                    let granted = self.grant(contact, expires_s)?;
                    let mut binding = Binding {
                        user: user.to_owned(),
                        contact: contact.uri.to_string(),
                        params: kept_params(contact),
                        instance: contact.params.value("+sip.instance"),
                        reg_id: contact
                            .params
                            .value("reg-id")
                            .and_then(|id| id.parse().ok())
                            .filter(|id| *id > 0),
                        q: contact
                            .params
                            .value("q")
                            .and_then(|q| parse_q(&q))
                            .unwrap_or(1000),
                        call_id: call_id.clone(),
                        cseq,
                        flow,
                        expires_unix_ms: now_unix_ms.saturating_add(u64::from(granted) * 1000),
                        user_agent: None,
                    };
                    binding.user_agent.clone_from(&user_agent);
                    if binding.contact.len() > CONTACT_LEN_MAX {
                        return Err(RegisterError::Malformed("Contact too long"));
                    }
                    let known = list
                        .iter()
                        .position(|known| same_contact(known, &binding, &contact.uri));
                    // RFC 3261 §10.3 step 7: within one Call-ID the number must grow.
                    if known.is_some_and(|at| list[at].call_id == call_id && cseq <= list[at].cseq)
                        && !changes
                            .iter()
                            .any(|change| change.contact() == binding.contact)
                    {
                        return Err(RegisterError::OutOfOrder);
                    }
                    match (known, granted) {
                        (Some(at), 0) => changes.push(Change::Removed {
                            contact: list.remove(at).contact,
                        }),
                        (None, 0) => {}
                        (Some(at), expires_s) => {
                            changes.push(Change::Registered {
                                contact: binding.contact.clone(),
                                expires_s,
                                refreshed: true,
                            });
                            list[at] = binding;
                        }
                        (None, expires_s) => {
                            self.make_room(&mut list, &binding, &mut changes)?;
                            changes.push(Change::Registered {
                                contact: binding.contact.clone(),
                                expires_s,
                                refreshed: false,
                            });
                            list.push(binding);
                        }
                    }
                }
            }
        }
        let before = self.bindings.get(user).map_or(0, Vec::len);
        if self.count - before + list.len() > self.bindings_max {
            return Err(RegisterError::Full);
        }
        if !changes.is_empty() {
            self.put(user, list);
        }
        Ok(changes)
    }

    /// The lifetime a contact gets: its own parameter, the header, or the default; within our bounds.
    fn grant(&self, contact: &NameAddr, header_s: Option<u32>) -> Result<u32, RegisterError> {
        let own = contact
            .params
            .value("expires")
            .and_then(|text| text.parse::<u32>().ok());
        let asked = own.or(header_s).unwrap_or(self.expires_s_default);
        // RFC 3261 §10.3 step 7: only what is under an hour may be called too brief.
        if asked > 0 && asked < self.expires_s_min.min(3_600) {
            return Err(RegisterError::TooBrief {
                expires_s_min: self.expires_s_min,
            });
        }
        Ok(asked.min(self.expires_s_max))
    }

    /// At the bound a device may replace its own oldest contact (a phone that lost its port), nobody else's.
    fn make_room(
        &self,
        list: &mut Vec<Binding>,
        new: &Binding,
        changes: &mut Vec<Change>,
    ) -> Result<(), RegisterError> {
        if list.len() < self.contacts_per_user_max {
            return Ok(());
        }
        let own = |known: &&Binding| new.instance.is_some() && known.instance == new.instance;
        let oldest = list
            .iter()
            .filter(own)
            .map(|known| known.expires_unix_ms)
            .min();
        let at = list
            .iter()
            .position(|known| own(&known) && Some(known.expires_unix_ms) == oldest);
        let at = at.ok_or(RegisterError::TooManyContacts)?;
        changes.push(Change::Removed {
            contact: list.remove(at).contact,
        });
        Ok(())
    }

    fn put(&mut self, user: &str, list: Vec<Binding>) {
        self.count -= self.bindings.get(user).map_or(0, Vec::len);
        self.count += list.len();
        if list.is_empty() {
            self.bindings.remove(user);
        } else {
            self.bindings.insert(user.to_owned(), list);
        }
    }

    /// When the next binding ends.
    pub(crate) fn next_expiry_unix_ms(&self) -> Option<u64> {
        self.bindings
            .values()
            .flatten()
            .map(|binding| binding.expires_unix_ms)
            .min()
    }

    /// Takes out what has ended: user, ended contacts, remaining bindings.
    pub(crate) fn expire(&mut self, now_unix_ms: u64) -> Vec<(String, Vec<String>, Vec<Binding>)> {
        self.take_out(|binding| binding.expires_unix_ms <= now_unix_ms)
    }

    /// Takes out all bindings of users for whom `keep` is false.
    pub(crate) fn retain_users(
        &mut self,
        keep: impl Fn(&str) -> bool,
    ) -> Vec<(String, Vec<String>, Vec<Binding>)> {
        self.take_out(|binding| !keep(&binding.user))
    }

    fn take_out(
        &mut self,
        gone: impl Fn(&Binding) -> bool,
    ) -> Vec<(String, Vec<String>, Vec<Binding>)> {
        let mut taken = Vec::new();
        for (user, list) in &mut self.bindings {
            let contacts: Vec<String> = list
                .iter()
                .filter(|b| gone(b))
                .map(|b| b.contact.clone())
                .collect();
            if !contacts.is_empty() {
                list.retain(|binding| !gone(binding));
                self.count -= contacts.len();
                taken.push((user.clone(), contacts, list.clone()));
            }
        }
        self.bindings.retain(|_, list| !list.is_empty());
        taken
    }

    /// The connection is closed: bindings that came over it stay, but have no way back until the phone registers again.
    pub(crate) fn stream_closed(&mut self, conn: ConnId) {
        for binding in self.bindings.values_mut().flatten() {
            if binding.flow.conn == Some(conn) {
                binding.flow.conn = None;
            }
        }
    }
}

impl Change {
    fn contact(&self) -> &str {
        match self {
            Change::Registered { contact, .. } | Change::Removed { contact } => contact,
        }
    }
}

/// RFC 5626 §6 where both name their instance and flow, RFC 3261 §19.1.4 otherwise.
fn same_contact(known: &Binding, new: &Binding, new_uri: &Uri) -> bool {
    let names_flow = |binding: &Binding| binding.instance.is_some() && binding.reg_id.is_some();
    if names_flow(known) && names_flow(new) {
        return (&known.instance, known.reg_id) == (&new.instance, new.reg_id);
    }
    known.contact == new.contact
        || known
            .contact
            .parse::<Uri>()
            .is_ok_and(|uri| uri.equivalent(new_uri))
}

fn kept_params(contact: &NameAddr) -> Vec<(String, Option<String>)> {
    let kept =
        |name: &str| !name.eq_ignore_ascii_case("expires") && !name.eq_ignore_ascii_case("q");
    contact
        .params
        .iter()
        .filter(|(name, _)| kept(name))
        .map(|(name, value)| (name.to_owned(), value.map(str::to_owned)))
        .collect()
}

/// RFC 3261 §25.1 `qvalue`: 0 to 1 with at most three decimals.
pub(crate) fn parse_q(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let digits = decimals.len() <= 3 && decimals.bytes().all(|b| b.is_ascii_digit());
    let thousandths: u16 = if digits {
        format!("{decimals:0<3}").parse().ok()?
    } else {
        return None;
    };
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

/// The Contact value a 200 lists for a binding: what the phone said, and what is left of it. RFC 3261 §10.3 step 8.
pub(crate) fn contact_value(binding: &Binding, now_unix_ms: u64) -> String {
    let left_s = binding
        .expires_unix_ms
        .saturating_sub(now_unix_ms)
        .div_ceil(1000);
    let mut value = format!("<{}>", binding.contact);
    for (name, param) in &binding.params {
        value.push(';');
        value.push_str(name);
        if let Some(param) = param {
            value.push('=');
            value.push_str(param);
        }
    }
    if binding.q != 1000 {
        value.push_str(&format!(";q=0.{:03}", binding.q));
    }
    value.push_str(&format!(";expires={left_s}"));
    value
}

#[cfg(test)]
#[path = "registrar_tests.rs"]
mod tests;
