//! PURE.
//! The registrar and its location service, RFC 3261 §10.3: bindings of an address-of-record, how a REGISTER changes them
//! and when they end. Does not own authentication, responses or the file that outlives a restart.

use std::collections::HashMap;
use std::net::SocketAddr;

use crate::endpoint::EndpointConfig;
use crate::flow::{ConnId, Flow};
use crate::header::{Contacts, HeaderName, NameAddr};
use crate::message::Request;
use crate::uri::Uri;
use table::{Table, Taken};

mod moving;
mod table;

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
    /// Promised to the phone.
    pub expires_unix_ms: u64,
    /// To be written down as its end: later than promised, so that a refresh that changes nothing else need not be
    /// written down to hold after a crash. Never earlier than `expires_unix_ms`.
    pub kept_until_unix_ms: u64,
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

/// What became of a REGISTER.
#[derive(Debug)]
pub(crate) struct Registered {
    /// Empty where the phone only asked.
    pub(crate) changes: Vec<Change>,
    /// What was written down before is not enough any more.
    pub(crate) save: bool,
}

#[derive(Debug)]
pub(crate) struct Registrar {
    expires_s_min: u32,
    expires_s_default: u32,
    expires_s_max: u32,
    contacts_per_user_max: usize,
    bindings_max: usize,
    table: Table,
}

/// A day's registration is not kept for two.
const KEPT_LONGER_MS_MAX: u64 = 2 * 3_600_000;
/// A binding that cannot be stored in any sane row is refused.
const CONTACT_LEN_MAX: usize = 2_048;
/// Characters of a phone's name for itself that are kept.
const USER_AGENT_LEN_MAX: usize = 256;

/// The headers of a REGISTER that make bindings.
struct Asked<'a> {
    call_id: &'a str,
    cseq: u32,
    expires_s: Option<u32>,
    user_agent: Option<&'a str>,
    contacts: Contacts,
}

impl Asked<'_> {
    fn of(request: &Request) -> Result<Asked<'_>, RegisterError> {
        let headers = &request.headers;
        let call_id = headers
            .call_id()
            .map_err(|_| RegisterError::Malformed("Call-ID"))?;
        let cseq = headers
            .cseq()
            .map_err(|_| RegisterError::Malformed("CSeq"))?
            .number;
        let contacts = headers
            .contacts()
            .map_err(|_| RegisterError::Malformed("Contact"))?;
        let user_agent = headers.get(&HeaderName::UserAgent).map(|text| {
            let end = text.char_indices().nth(USER_AGENT_LEN_MAX);
            &text[..end.map_or(text.len(), |(at, _)| at)]
        });
        Ok(Asked {
            call_id,
            cseq,
            // RFC 3261 §20.19: a value that cannot be read counts as the default.
            expires_s: headers.expires().ok().flatten(),
            user_agent,
            contacts,
        })
    }
}

impl Registrar {
    pub(crate) fn new(config: &EndpointConfig) -> Registrar {
        Registrar {
            expires_s_min: config.expires_s_min,
            expires_s_default: config.expires_s_default,
            expires_s_max: config.expires_s_max.max(config.expires_s_min),
            contacts_per_user_max: config.contacts_per_user_max,
            bindings_max: config.bindings_max,
            table: Table::default(),
        }
    }

    /// Bindings from before a restart, as far as they still hold. Their connections do not.
    pub(crate) fn restore(&mut self, now_unix_ms: u64, bindings: Vec<Binding>) {
        let mut by_user: HashMap<String, Vec<Binding>> = HashMap::new();
        let mut count = self.table.count();
        for mut binding in bindings {
            if binding.expires_unix_ms > now_unix_ms && count < self.bindings_max {
                binding.flow.conn = None;
                count += 1;
                by_user
                    .entry(binding.user.clone())
                    .or_default()
                    .push(binding);
            }
        }
        for (user, restored) in by_user {
            let mut list = self.table.take(&user);
            list.extend(restored);
            self.table.put(&user, list);
        }
    }

    /// Bindings of a user that hold, the preferred first.
    pub(crate) fn of(&self, user: &str, now_unix_ms: u64) -> Vec<Binding> {
        let mut bindings: Vec<Binding> = self.holding(user, now_unix_ms).cloned().collect();
        bindings.sort_by_key(|binding| std::cmp::Reverse(binding.q));
        bindings
    }

    /// Bindings of a user that hold, in no order.
    pub(crate) fn holding(&self, user: &str, now_unix_ms: u64) -> impl Iterator<Item = &Binding> {
        self.table
            .of(user)
            .iter()
            .filter(move |binding| binding.expires_unix_ms > now_unix_ms)
    }

    pub(crate) fn count(&self) -> usize {
        self.table.count()
    }

    /// Whether the user is registered from that address now.
    pub(crate) fn is_at(&self, user: &str, address: std::net::IpAddr, now_unix_ms: u64) -> bool {
        self.holding(user, now_unix_ms)
            .any(|binding| binding.flow.remote.ip() == address)
    }

    /// Whether a registered phone is at that address and port.
    pub(crate) fn has_phone_at(&self, remote: SocketAddr) -> bool {
        self.table.has_remote(remote)
    }

    /// Whether this very REGISTER has been obeyed: a binding says so. RFC 3261 §8.2.7: with this, a registrar needs to
    /// remember no transactions to meet retransmissions.
    pub(crate) fn has_obeyed(&self, now_unix_ms: u64, user: &str, request: &Request) -> bool {
        let (Ok(call_id), Ok(cseq)) = (request.headers.call_id(), request.headers.cseq()) else {
            return false;
        };
        self.holding(user, now_unix_ms)
            .any(|binding| binding.cseq == cseq.number && binding.call_id == call_id)
    }

    /// RFC 3261 §10.3 steps 6 to 8, for an authenticated user. All of it happens or nothing.
    pub(crate) fn register(
        &mut self,
        now_unix_ms: u64,
        user: &str,
        request: &Request,
        flow: Flow,
    ) -> Result<Registered, RegisterError> {
        let asked = Asked::of(request)?;
        if let Some(renewed) = self.renew(now_unix_ms, user, &asked, flow)? {
            return Ok(renewed);
        }
        let mut list = self.table.of(user).to_vec();
        let before = list.len();
        list.retain(|binding| binding.expires_unix_ms > now_unix_ms);
        let changes = match &asked.contacts {
            Contacts::Star => remove_all(&asked, &mut list)?,
            Contacts::List(contacts) => {
                self.change(now_unix_ms, user, &asked, contacts, flow, &mut list)?
            }
        };
        if self.table.count() - before + list.len() > self.bindings_max {
            return Err(RegisterError::Full);
        }
        let save = !changes.is_empty();
        if save {
            self.table.put(user, list);
        }
        Ok(Registered { changes, save })
    }

    /// The REGISTER that phones send all day: one contact, as it was, for longer. `None` for any other.
    fn renew(
        &mut self,
        now_unix_ms: u64,
        user: &str,
        asked: &Asked<'_>,
        flow: Flow,
    ) -> Result<Option<Registered>, RegisterError> {
        let Contacts::List(contacts) = &asked.contacts else {
            return Ok(None);
        };
        let [contact] = contacts.as_slice() else {
            return Ok(None);
        };
        let granted = self.grant(contact, asked.expires_s)?;
        if granted == 0 {
            return Ok(None);
        }
        let list = self.table.of_mut(user);
        let holds = |binding: &Binding| binding.expires_unix_ms > now_unix_ms;
        let uri = contact.uri.to_string();
        let place = list.iter().position(|known| known.contact == uri);
        let Some(at) = place.filter(|_| list.iter().all(holds)) else {
            return Ok(None);
        };
        let known = &mut list[at];
        if known.call_id == asked.call_id && asked.cseq <= known.cseq {
            return Err(RegisterError::OutOfOrder);
        }
        let path = |flow: Flow| (flow.transport, flow.local, flow.remote);
        let as_it_was = path(known.flow) == path(flow)
            && known.user_agent.as_deref() == asked.user_agent
            && known.q == preference(contact)
            && known_params(contact).eq(known
                .params
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_deref())));
        if !as_it_was {
            return Ok(None);
        }
        let lasts_ms = u64::from(granted) * 1000;
        known.expires_unix_ms = now_unix_ms.saturating_add(lasts_ms);
        known.cseq = asked.cseq;
        if known.call_id != asked.call_id {
            asked.call_id.clone_into(&mut known.call_id);
        }
        let moved = known.flow.conn != flow.conn;
        known.flow = flow;
        let save = known.kept_until_unix_ms < known.expires_unix_ms;
        if save {
            known.kept_until_unix_ms = kept_until(known.expires_unix_ms, lasts_ms);
        }
        let ends = known.expires_unix_ms;
        if moved {
            self.table.note_conn(user, flow.conn);
        }
        self.table.look_by(user, ends);
        Ok(Some(Registered {
            changes: vec![Change::Registered {
                contact: uri,
                expires_s: granted,
                refreshed: true,
            }],
            save,
        }))
    }

    /// RFC 3261 §10.3 step 7 on a copy of the user's bindings.
    fn change(
        &self,
        now_unix_ms: u64,
        user: &str,
        asked: &Asked<'_>,
        contacts: &[NameAddr],
        flow: Flow,
        list: &mut Vec<Binding>,
    ) -> Result<Vec<Change>, RegisterError> {
        if contacts.len() > self.contacts_per_user_max {
            return Err(RegisterError::TooManyContacts);
        }
        let mut changes = Vec::new();
        for contact in contacts {
            let granted = self.grant(contact, asked.expires_s)?;
            let lasts_ms = u64::from(granted) * 1000;
            let expires_unix_ms = now_unix_ms.saturating_add(lasts_ms);
            let binding = Binding {
                user: user.to_owned(),
                contact: contact.uri.to_string(),
                params: known_params(contact)
                    .map(|(name, value)| (name.to_owned(), value.map(str::to_owned)))
                    .collect(),
                instance: contact.params.value("+sip.instance"),
                reg_id: contact
                    .params
                    .value("reg-id")
                    .and_then(|id| id.parse().ok())
                    .filter(|id| *id > 0),
                q: preference(contact),
                call_id: asked.call_id.to_owned(),
                cseq: asked.cseq,
                flow,
                expires_unix_ms,
                kept_until_unix_ms: kept_until(expires_unix_ms, lasts_ms),
                user_agent: asked.user_agent.map(str::to_owned),
            };
            if binding.contact.len() > CONTACT_LEN_MAX {
                return Err(RegisterError::Malformed("Contact too long"));
            }
            let known = list
                .iter()
                .position(|known| same_contact(known, &binding, &contact.uri))
                .or_else(|| {
                    let moved = |known: &Binding| granted > 0 && same_phone(known, &binding);
                    list.iter().position(moved)
                });
            // RFC 3261 §10.3 step 7: within one Call-ID the number must grow.
            if known
                .is_some_and(|at| list[at].call_id == asked.call_id && asked.cseq <= list[at].cseq)
                && !changes
                    .iter()
                    .any(|change: &Change| change.contact() == binding.contact)
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
                    self.make_room(list, &binding, &mut changes)?;
                    changes.push(Change::Registered {
                        contact: binding.contact.clone(),
                        expires_s,
                        refreshed: false,
                    });
                    list.push(binding);
                }
            }
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

    /// When an end is to be looked for next; no binding ends before.
    pub(crate) fn next_expiry_unix_ms(&self) -> Option<u64> {
        self.table.next_end_unix_ms()
    }

    /// Takes out what has ended: user, ended contacts, remaining bindings.
    pub(crate) fn expire(&mut self, now_unix_ms: u64) -> Vec<Taken> {
        self.table.expire(now_unix_ms)
    }

    /// Takes out all bindings of users for whom `keep` is false.
    pub(crate) fn retain_users(&mut self, keep: impl Fn(&str) -> bool) -> Vec<Taken> {
        self.table.retain_users(keep)
    }

    /// The connection is closed: bindings that came over it stay, but have no way back until the phone registers again.
    pub(crate) fn stream_closed(&mut self, conn: ConnId) {
        self.table.stream_closed(conn);
    }
}

impl Change {
    fn contact(&self) -> &str {
        match self {
            Change::Registered { contact, .. } | Change::Removed { contact } => contact,
        }
    }
}

/// A phone that refreshes in time is then promised nothing that is not written down already, mostly. After a crash a phone
/// that is gone is taken to be there for as much longer; a call to it rings out.
fn kept_until(expires_unix_ms: u64, lasts_ms: u64) -> u64 {
    expires_unix_ms.saturating_add(lasts_ms.min(KEPT_LONGER_MS_MAX))
}

/// RFC 3261 §10.3 step 6: `*` stands alone, with an Expires of zero.
fn remove_all(asked: &Asked<'_>, list: &mut Vec<Binding>) -> Result<Vec<Change>, RegisterError> {
    if asked.expires_s != Some(0) {
        return Err(RegisterError::Malformed("Contact * needs Expires: 0"));
    }
    let is_late = |known: &Binding| known.call_id == asked.call_id && asked.cseq <= known.cseq;
    if list.iter().any(is_late) {
        return Err(RegisterError::OutOfOrder);
    }
    let removed = list.drain(..).map(|binding| Change::Removed {
        contact: binding.contact,
    });
    Ok(removed.collect())
}

/// RFC 5626 §6 where both name their instance and flow, RFC 3261 §19.1.4 otherwise.
fn same_contact(known: &Binding, new: &Binding, new_uri: &Uri) -> bool {
    let names_flow = |binding: &Binding| binding.instance.is_some() && binding.reg_id.is_some();
    if names_flow(known) && names_flow(new) {
        return (&known.instance, known.reg_id) == (&new.instance, new.reg_id);
    }
    same_uri(known, new_uri)
}

fn same_uri(known: &Binding, new_uri: &Uri) -> bool {
    known.contact == new_uri.to_string()
        || known
            .contact
            .parse::<Uri>()
            .is_ok_and(|uri| uri.equivalent(new_uri))
}

/// A phone that names its instance and no flow has one contact at a time: the new one is where it is now, and the old one
/// would ring into the void until it ends. Contacts of one and the same REGISTER stay apart.
fn same_phone(known: &Binding, new: &Binding) -> bool {
    let is_same_request = known.call_id == new.call_id && known.cseq == new.cseq;
    !is_same_request
        && known.instance.is_some()
        && known.instance == new.instance
        && known.reg_id.is_none()
        && new.reg_id.is_none()
        && known.flow.transport == new.flow.transport
}

/// The parameters that are given back to the phone: not those that say how long and how preferred.
fn known_params(contact: &NameAddr) -> impl Iterator<Item = (&str, Option<&str>)> {
    contact.params.iter().filter(|(name, _)| {
        !name.eq_ignore_ascii_case("expires") && !name.eq_ignore_ascii_case("q")
    })
}

fn preference(contact: &NameAddr) -> u16 {
    let q = contact.params.value("q");
    q.and_then(|q| parse_q(&q)).unwrap_or(1000)
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
