//! PURE.
//! The registrar's conversation: a REGISTER that has been authenticated, its 200 or refusal, and bindings that end. The
//! bindings themselves live in `registrar`.

use std::time::{Duration, Instant};

use super::receive::Incoming;
use super::{Endpoint, Event, LogLevel, Output, TimerId, UnregisteredWhy};
use crate::header::HeaderName;
use crate::registrar::{Binding, Change, RegisterError, contact_value};

/// Bindings are looked through for ended ones at most so often.
const EXPIRY_GRAIN: Duration = Duration::from_secs(1);

impl Endpoint {
    /// RFC 3261 §10.3, from step 4.
    pub(super) fn on_register(&mut self, now: Instant, user: &str, incoming: Incoming) {
        let Incoming {
            request,
            flow,
            reply_to,
            key,
            merge,
        } = incoming;
        let tag = self.new_tag();
        let id = self.open_server(&request, key, merge, reply_to, tag.clone());
        // Step 4 and 5: an account may change the bindings of its own name and no other.
        let own = request
            .headers
            .to()
            .is_ok_and(|to| to.uri.user_decoded().as_deref() == Some(user));
        if !own {
            let response = self.response(&request, 403, &tag);
            self.respond(now, id, response);
            return;
        }
        let unix_ms = self.unix_ms(now);
        let changes = match self.registrar.register(unix_ms, user, &request, flow) {
            Ok(changes) => changes,
            Err(error) => {
                let (status, header) = match error {
                    RegisterError::Malformed(why) => {
                        self.log(
                            LogLevel::Info,
                            format!("REGISTER of {flow} not understood: {why}"),
                        );
                        (400, None)
                    }
                    RegisterError::TooBrief { expires_s_min } => (
                        423,
                        Some((HeaderName::MinExpires, expires_s_min.to_string())),
                    ),
                    RegisterError::OutOfOrder => (500, None),
                    RegisterError::TooManyContacts => (403, None),
                    RegisterError::Full => (503, Some((HeaderName::RetryAfter, "60".to_owned()))),
                };
                let mut response = self.response(&request, status, &tag);
                if let Some((name, value)) = header {
                    response.headers.push(name, value);
                }
                self.respond(now, id, response);
                return;
            }
        };
        let bindings = self.registrar.of(user, unix_ms);
        if !changes.is_empty() {
            self.outputs.push_back(Output::SaveBindings {
                user: user.to_owned(),
                bindings: bindings.clone(),
            });
        }
        self.keep_flow(now, flow, &changes);
        let mut response = self.response(&request, 200, &tag);
        for (name, value) in self.outbound_headers(&request, flow) {
            response.headers.push(name, value);
        }
        for binding in &bindings {
            response
                .headers
                .push(HeaderName::Contact, contact_value(binding, unix_ms));
        }
        self.respond(now, id, response);
        let user_agent = request
            .headers
            .get(&HeaderName::UserAgent)
            .map(str::to_owned);
        for change in changes {
            let user = user.to_owned();
            self.event(match change {
                Change::Registered {
                    contact,
                    expires_s,
                    refreshed,
                } => {
                    let user_agent = user_agent.clone();
                    Event::Registered {
                        user,
                        contact,
                        flow,
                        user_agent,
                        expires_s,
                        refreshed,
                    }
                }
                Change::Removed { contact } => Event::Unregistered {
                    user,
                    contact,
                    why: UnregisteredWhy::Asked,
                },
            });
        }
        let first = bindings.iter().map(|binding| binding.expires_unix_ms).min();
        if let Some(at) = first.map(|unix_ms| self.instant_of(unix_ms))
            && self.bindings_due.is_none_or(|due| at < due)
        {
            self.set_bindings_timer(Some(at));
        }
    }

    pub(super) fn on_bindings_timer(&mut self, now: Instant) {
        self.bindings_due = None;
        for (user, contacts, bindings) in self.registrar.expire(self.unix_ms(now)) {
            self.unregistered(user, contacts, bindings, UnregisteredWhy::Expired);
        }
        self.watch_bindings(now);
    }

    pub(super) fn watch_bindings(&mut self, now: Instant) {
        let next = self
            .registrar
            .next_expiry_unix_ms()
            .map(|unix_ms| self.instant_of(unix_ms));
        self.set_bindings_timer(next.map(|at| at.max(now + EXPIRY_GRAIN)));
    }

    fn set_bindings_timer(&mut self, at: Option<Instant>) {
        self.bindings_due = at;
        self.timers.set(TimerId::Bindings, at);
    }

    pub(super) fn unregistered(
        &mut self,
        user: String,
        contacts: Vec<String>,
        bindings: Vec<Binding>,
        why: UnregisteredWhy,
    ) {
        self.outputs.push_back(Output::SaveBindings {
            user: user.clone(),
            bindings,
        });
        for contact in contacts {
            self.event(Event::Unregistered {
                user: user.clone(),
                contact,
                why,
            });
        }
    }
}
