//! PURE.
//! Registrations of ours with another registrar, RFC 3261 §10.2: register, answer the challenge, refresh in time,
//! unregister. A refused registration is over; the program decides whether to try again.

use std::time::{Duration, Instant};

use super::transactions::{Failure, Owner};
use super::uac_invite::{CHALLENGES_MAX, add_answer, challenge_in};
use super::{Endpoint, Event, RegisterParams, RegistrationKey, TimerId};
use crate::auth::client::Challenge;
use crate::flow::{Flow, FlowTarget};
use crate::header::{Contacts, HeaderName, NameAddr};
use crate::message::{Request, Response};
use crate::method::Method;

#[derive(Debug)]
pub(super) struct Registration {
    params: RegisterParams,
    call_id: String,
    from_tag: String,
    cseq: u32,
    challenge: Option<(u16, Challenge)>,
    challenges_met: u8,
    /// What the next REGISTER asks for; 0 unregisters.
    expires_s: u32,
    refresh_at: Option<Instant>,
    owner: RegistrationOwner,
    /// The way the last REGISTER went.
    pub(super) flow: Option<Flow>,
}

/// Whom the results of a registration concern.
#[derive(Debug, Clone)]
pub(super) enum RegistrationOwner {
    Program,
    /// A trunk's line, with what it has besides `RegisterParams`.
    Line {
        line: u64,
        auth_user: Option<String>,
        /// Route value.
        proxy: Option<String>,
    },
}

impl Endpoint {
    /// Registers, and refreshes until `unregister`. Each result is told by `RegistrationResult`.
    pub fn register(&mut self, now: Instant, params: RegisterParams) -> RegistrationKey {
        self.register_for(now, params, RegistrationOwner::Program)
    }

    pub(super) fn register_for(
        &mut self,
        now: Instant,
        params: RegisterParams,
        owner: RegistrationOwner,
    ) -> RegistrationKey {
        let key = RegistrationKey(self.new_key());
        let registration = Registration {
            call_id: self.random_hex::<16>(),
            from_tag: self.new_tag(),
            cseq: self.new_cseq(),
            challenge: None,
            challenges_met: 0,
            expires_s: params.expires_s,
            refresh_at: None,
            owner,
            flow: None,
            params,
        };
        self.registrations.insert(key, registration);
        self.send_register(now, key);
        key
    }

    /// Takes the binding back. The result is `Ok(0)`.
    pub fn unregister(&mut self, now: Instant, key: RegistrationKey) {
        if let Some(registration) = self.registrations.get_mut(&key) {
            registration.expires_s = 0;
            registration.challenges_met = 0;
            self.send_register(now, key);
        }
    }

    fn send_register(&mut self, now: Instant, key: RegistrationKey) {
        let Some(target) = self
            .registrations
            .get(&key)
            .map(|registration| registration.params.flow)
        else {
            return;
        };
        let flow = self.flow_to(now, FlowTarget { ..target });
        let cnonce = self.random_hex::<8>();
        let Some(registration) = self.registrations.get_mut(&key) else {
            return;
        };
        registration.cseq += 1;
        registration.refresh_at = None;
        registration.flow = Some(flow);
        let mut request = registration.request();
        if let Some((status, challenge)) = &mut registration.challenge {
            let params = &registration.params;
            add_answer(
                &mut request,
                *status,
                challenge,
                registration.owner.auth_user().unwrap_or(&params.user),
                &params.password,
                &cnonce,
            );
        }
        self.add_product(&mut request);
        self.timers.set(TimerId::Registration(key), None);
        self.send_request(now, request, flow, Owner::Registration(key));
    }

    pub(super) fn on_register_response(
        &mut self,
        now: Instant,
        key: RegistrationKey,
        _id: u64,
        response: Response,
    ) {
        let Some(registration) = self.registrations.get_mut(&key) else {
            return;
        };
        // An answer to anything but the last REGISTER has been overtaken.
        if response.headers.cseq().map(|cseq| cseq.number) != Ok(registration.cseq) {
            return;
        }
        match response.status {
            100..=199 => {}
            200..=299 if registration.expires_s == 0 => {
                self.registration_over(now, key, Ok(0), None);
            }
            200..=299 => {
                registration.challenges_met = 0;
                let granted_s = registration.granted_s(&response);
                // Early enough for a lost packet or two, RFC 3261 §10.2.4.
                let refresh_in = Duration::from_secs(u64::from(granted_s)) * 3 / 4;
                let at = now + refresh_in.max(Duration::from_secs(1));
                registration.refresh_at = Some(at);
                self.timers.set(TimerId::Registration(key), Some(at));
                let owner = registration.owner.clone();
                self.tell_registration(now, key, owner, Ok(granted_s), None);
            }
            status @ (401 | 407) => {
                let first = registration.challenges_met == 0;
                match challenge_in(&response) {
                    // RFC 7616 §3.3: a second challenge that is not about the nonce means a wrong password; but a nonce
                    // kept from an earlier REGISTER may be refused without a word about staleness.
                    Some(challenge)
                        if registration.challenges_met < CHALLENGES_MAX
                            && (first || challenge.stale) =>
                    {
                        registration.challenges_met += 1;
                        registration.challenge = Some((status, challenge));
                        self.send_register(now, key);
                    }
                    _ => self.registration_over(now, key, Err(status), None),
                }
            }
            // RFC 3261 §10.2.8.
            423 => match response.headers.min_expires() {
                Ok(Some(min_s)) if min_s > registration.expires_s && registration.expires_s > 0 => {
                    registration.expires_s = min_s;
                    self.send_register(now, key);
                }
                _ => self.registration_over(now, key, Err(423), None),
            },
            status => {
                let wait_s = retry_after_s(&response);
                self.registration_over(now, key, Err(status), wait_s);
            }
        }
    }

    pub(super) fn on_register_failure(
        &mut self,
        now: Instant,
        key: RegistrationKey,
        failure: Failure,
    ) {
        let status = match failure {
            // RFC 3261 §8.1.3.1.
            Failure::NoAnswer => 408,
            Failure::Transport => 503,
        };
        self.registration_over(now, key, Err(status), None);
    }

    pub(super) fn on_registration_timer(&mut self, now: Instant, key: RegistrationKey) {
        self.send_register(now, key);
    }

    fn registration_over(
        &mut self,
        now: Instant,
        key: RegistrationKey,
        result: Result<u32, u16>,
        retry_after_s: Option<u32>,
    ) {
        if let Some(registration) = self.registrations.remove(&key) {
            self.timers.set(TimerId::Registration(key), None);
            self.tell_registration(now, key, registration.owner, result, retry_after_s);
        }
    }

    /// Nobody is told, and whatever comes back is dropped.
    pub(super) fn forget_registration(&mut self, key: RegistrationKey) {
        self.registrations.remove(&key);
        self.timers.set(TimerId::Registration(key), None);
    }

    fn tell_registration(
        &mut self,
        now: Instant,
        key: RegistrationKey,
        owner: RegistrationOwner,
        result: Result<u32, u16>,
        retry_after_s: Option<u32>,
    ) {
        match owner {
            RegistrationOwner::Program => self.event(Event::RegistrationResult { key, result }),
            RegistrationOwner::Line { line, .. } => {
                self.on_line_result(now, line, key, result, retry_after_s);
            }
        }
    }
}

impl RegistrationOwner {
    fn auth_user(&self) -> Option<&str> {
        match self {
            RegistrationOwner::Program => None,
            RegistrationOwner::Line { auth_user, .. } => auth_user.as_deref(),
        }
    }
}

/// RFC 3261 §20.33, without its comment and parameters.
fn retry_after_s(response: &Response) -> Option<u32> {
    let value = response.headers.get(&HeaderName::RetryAfter)?;
    let end = value.find([' ', ';', '(']).unwrap_or(value.len());
    value[..end].parse().ok()
}

impl Registration {
    /// RFC 3261 §10.2, without Via.
    fn request(&self) -> Request {
        let mut registrar = self.params.registrar.clone();
        registrar.user = None;
        let mut own = registrar.clone();
        own.user = crate::uri::Uri::sip(Some(&self.params.user), registrar.host.clone(), None).user;
        let own = NameAddr::new(own);
        let mut request = Request::new(Method::Register, registrar);
        if let RegistrationOwner::Line {
            proxy: Some(proxy), ..
        } = &self.owner
        {
            request.headers.push(HeaderName::Route, proxy.as_str());
        }
        request.headers.push(HeaderName::MaxForwards, "70");
        request.headers.push(
            HeaderName::From,
            own.clone().with_tag(&self.from_tag).to_string(),
        );
        request.headers.push(HeaderName::To, own.to_string());
        request
            .headers
            .push(HeaderName::CallId, self.call_id.as_str());
        request
            .headers
            .push(HeaderName::CSeq, format!("{} REGISTER", self.cseq));
        request
            .headers
            .push(HeaderName::Contact, format!("<{}>", self.params.contact));
        request
            .headers
            .push(HeaderName::Expires, self.expires_s.to_string());
        request
    }

    /// What the registrar gave our contact, RFC 3261 §10.2.4.
    fn granted_s(&self, response: &Response) -> u32 {
        let of_contact = match response.headers.contacts() {
            Ok(Contacts::List(contacts)) => contacts
                .iter()
                .find(|contact| contact.uri.equivalent(&self.params.contact))
                // One that was rewritten on the way, by a NAT's gateway for instance, is still ours if it is the only one.
                .or(contacts.first().filter(|_| contacts.len() == 1))
                .and_then(|contact| contact.params.value("expires")?.parse().ok()),
            _ => None,
        };
        of_contact
            .or(response.headers.expires().ok().flatten())
            .unwrap_or(self.expires_s)
    }
}
