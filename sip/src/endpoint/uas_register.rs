//! PURE.
//! The registrar's conversation: a REGISTER that has been authenticated, its 200 or refusal, and bindings that end. The
//! bindings themselves live in `registrar`.

use std::time::{Duration, Instant};

use super::receive::Incoming;
use super::{Endpoint, Event, LogLevel, Output, TimerId, UnregisteredWhy};
use crate::flow::Flow;
use crate::header::HeaderName;
use crate::message::{Message, Request};
use crate::registrar::{Binding, Change, RegisterError, Registered, contact_value};

/// Bindings are looked through for ended ones at most so often.
const EXPIRY_GRAIN: Duration = Duration::from_secs(1);

impl Endpoint {
    /// RFC 3261 §10.3, from step 4.
    ///
    /// Answered without a transaction, as §8.2.7 allows: a REGISTER that comes twice is known by the binding it made
    /// (`register_again`) or by its used nonce, and a table of transactions would be the registrar's largest.
    pub(super) fn on_register(&mut self, now: Instant, user: &str, incoming: Incoming) {
        let Incoming {
            request,
            flow,
            reply_to,
            ..
        } = incoming;
        // Step 4 and 5: an account may change the bindings of its own name and no other.
        let own = request
            .headers
            .to()
            .is_ok_and(|to| to.uri.user_decoded().as_deref() == Some(user));
        if !own {
            return self.reply(reply_to, &request, 403, []);
        }
        let unix_ms = self.unix_ms(now);
        let Registered { changes, save } =
            match self.registrar.register(unix_ms, user, &request, flow) {
                Ok(registered) => registered,
                Err(error) => return self.refuse_register(reply_to, &request, error),
            };
        self.keep_flow(now, flow, &changes);
        self.confirm_register(now, user, &request, flow, reply_to, save);
        let user_agent = request.headers.get(&HeaderName::UserAgent);
        for change in changes {
            let user = user.to_owned();
            self.event(match change {
                Change::Registered {
                    contact,
                    expires_s,
                    refreshed,
                } => Event::Registered {
                    user,
                    contact,
                    flow,
                    user_agent: user_agent.map(str::to_owned),
                    expires_s,
                    refreshed,
                },
                Change::Removed { contact } => Event::Unregistered {
                    user,
                    contact,
                    why: UnregisteredWhy::Asked,
                },
            });
        }
        self.watch_bindings(now);
    }

    /// The same REGISTER once more, after it has been obeyed: the same answer, once it is true on disk. False if no
    /// binding knows of it.
    pub(super) fn register_again(
        &mut self,
        now: Instant,
        user: &str,
        request: &Request,
        flow: Flow,
        reply_to: Flow,
    ) -> bool {
        let obeyed = self.registrar.has_obeyed(self.unix_ms(now), user, request);
        if obeyed {
            self.stats.retransmissions_absorbed += 1;
            self.confirm_register(now, user, request, flow, reply_to, true);
        }
        obeyed
    }

    /// A request that is proven to be this user's: the phone that sent it is where it came from.
    pub(super) fn follow_phone(&mut self, now: Instant, user: &str, flow: Flow, request: &Request) {
        let unix_ms = self.unix_ms(now);
        let Some(moved) = self.registrar.follow(unix_ms, user, request, flow) else {
            return;
        };
        let registered = Change::Registered {
            contact: moved.contact.clone(),
            expires_s: moved.left_s,
            refreshed: true,
        };
        self.keep_flow(now, flow, &[registered]);
        self.outputs.push_back(Output::SaveBindings {
            user: user.to_owned(),
            bindings: self.registrar.of(user, unix_ms),
            then: Vec::new(),
        });
        self.event(Event::Registered {
            user: user.to_owned(),
            contact: moved.contact,
            flow,
            user_agent: request
                .headers
                .get(&HeaderName::UserAgent)
                .map(str::to_owned),
            expires_s: moved.left_s,
            refreshed: true,
        });
    }

    /// RFC 3261 §10.3 step 8.
    fn confirm_register(
        &mut self,
        now: Instant,
        user: &str,
        request: &Request,
        flow: Flow,
        reply_to: Flow,
        save: bool,
    ) {
        let unix_ms = self.unix_ms(now);
        let tag = self.stateless_tag(request);
        let mut response = self.response(request, 200, &tag);
        for (name, value) in self.outbound_headers(request, flow) {
            response.headers.push(name, value);
        }
        for binding in self.registrar.holding(user, unix_ms) {
            response
                .headers
                .push(HeaderName::Contact, contact_value(binding, unix_ms));
        }
        let packet = Message::Response(response).to_bytes();
        if !save {
            return self.transmit(reply_to, packet);
        }
        let before = self.outputs.len();
        self.transmit(reply_to, packet);
        let then = self.outputs.split_off(before).into();
        self.outputs.push_back(Output::SaveBindings {
            user: user.to_owned(),
            bindings: self.registrar.of(user, unix_ms),
            then,
        });
    }

    fn refuse_register(&mut self, reply_to: Flow, request: &Request, error: RegisterError) {
        let header = match &error {
            RegisterError::TooBrief { expires_s_min } => {
                Some((HeaderName::MinExpires, expires_s_min.to_string()))
            }
            RegisterError::Full => Some((HeaderName::RetryAfter, "60".to_owned())),
            _ => None,
        };
        let status = match error {
            RegisterError::Malformed(why) => {
                let text = format!("REGISTER of {reply_to} not understood: {why}");
                self.log(LogLevel::Info, text);
                400
            }
            RegisterError::TooBrief { .. } => 423,
            RegisterError::OutOfOrder => 500,
            RegisterError::TooManyContacts => 403,
            RegisterError::Full => 503,
        };
        self.reply(reply_to, request, status, header);
    }

    pub(super) fn on_bindings_timer(&mut self, now: Instant) {
        self.bindings_due = None;
        for (user, contacts, bindings) in self.registrar.expire(self.unix_ms(now)) {
            self.unregistered(user, contacts, bindings, UnregisteredWhy::Expired);
        }
        self.watch_bindings(now);
    }

    /// Wakes for the next end of a binding.
    pub(super) fn watch_bindings(&mut self, now: Instant) {
        let next = self
            .registrar
            .next_expiry_unix_ms()
            .map(|unix_ms| self.instant_of(unix_ms));
        // A time that is set already is no later than the grain allows.
        if next.is_none() || next < self.bindings_due || self.bindings_due.is_none() {
            let at = next.map(|at| at.max(now + EXPIRY_GRAIN));
            self.bindings_due = at;
            self.timers.set(TimerId::Bindings, at);
        }
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
            then: Vec::new(),
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
