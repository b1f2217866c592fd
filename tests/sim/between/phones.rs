//! The phones: what each answers, and what its person does.

use super::*;

impl World {
    pub(super) fn phone_event(&mut self, n: usize, event: Event) {
        let now = self.now;
        let phone = &mut self.phones[n];
        match event {
            Event::IncomingCall { call, offer, .. } => {
                phone.began += 1;
                phone.calls.push((call, false));
                let is_usable = |offer: &String| offer_answer::answer(offer, &phone.local).is_ok();
                if !offer.as_ref().is_none_or(is_usable) {
                    let _ = phone.endpoint.reject(now, call, 488, Vec::new());
                    return self_drain(phone, &mut self.net, now);
                }
                match phone.manner {
                    Manner::Busy => drop(phone.endpoint.reject(now, call, 486, Vec::new())),
                    Manner::RingOn => drop(phone.endpoint.provisional(now, call, 180, None)),
                    Manner::AnswerAfter(after) => {
                        let _ = phone.endpoint.provisional(now, call, 180, None);
                        phone.ringing.push((now + after, call, offer));
                    }
                    Manner::EarlyThenAnswer(after) => {
                        let early = offer.as_deref().and_then(|offer| {
                            Some(offer_answer::answer(offer, &phone.local).ok()?.0)
                        });
                        let _ = phone.endpoint.provisional(now, call, 183, early);
                        phone.ringing.push((now + after, call, offer));
                    }
                }
            }
            Event::CallAnswered { call, answer, .. } => {
                phone.answered += 1;
                assert!(answer.is_some(), "an answer has a description");
                stands(phone, call);
            }
            Event::CallConfirmed { call, .. } => stands(phone, call),
            Event::ReInvite { call, offer } => {
                phone.local.session_version += 1;
                let answer = match offer {
                    Some(offer) => offer_answer::answer(&offer, &phone.local)
                        .map(|(sdp, _)| sdp)
                        .map_err(|error| error.to_status()),
                    None => Ok(offer_answer::offer(&phone.local)),
                };
                let _ = phone.endpoint.answer_reinvite(now, call, answer);
            }
            Event::CallEnded { call, .. } => {
                phone.ended += 1;
                phone.calls.retain(|(known, _)| *known != call);
                phone.ringing.retain(|(_, known, _)| *known != call);
            }
            _ => {}
        }
        self_drain(&mut self.phones[n], &mut self.net, now);
    }

    pub(super) fn act(&mut self) {
        let now = self.now;
        for n in 0..self.phones.len() {
            let phone = &mut self.phones[n];
            let due: Vec<_> = phone
                .ringing
                .extract_if(.., |(at, ..)| *at <= now)
                .collect();
            for (_, call, offer) in due {
                let sdp = match offer {
                    Some(offer) => offer_answer::answer(&offer, &phone.local)
                        .map(|(sdp, _)| sdp)
                        .ok(),
                    None => Some(offer_answer::offer(&phone.local)),
                };
                let _ = match sdp {
                    Some(sdp) => phone.endpoint.answer(now, call, sdp),
                    None => phone.endpoint.reject(now, call, 488, Vec::new()),
                };
            }
            while phone.acts.front().is_some_and(|(at, _)| *at <= now) {
                let Some((_, act)) = phone.acts.pop_front() else {
                    break;
                };
                phone_act(phone, n, now, act, &mut self.tally);
            }
            self_drain(phone, &mut self.net, now);
        }
    }
}

fn stands(phone: &mut Phone, call: CallKey) {
    if let Some(known) = phone.calls.iter_mut().find(|(known, _)| *known == call) {
        known.1 = true;
    }
}

fn phone_act(phone: &mut Phone, n: usize, now: Instant, act: Act, tally: &mut Tally) {
    let host = || Host::Name("offhook".to_owned());
    let standing: Vec<CallKey> = phone
        .calls
        .iter()
        .filter(|(_, stands)| *stands)
        .map(|(call, _)| *call)
        .collect();
    match act {
        Act::Dial(number) => {
            tally.dialled += 1;
            let params = CallParams {
                credentials: Some((PHONES[n].to_owned(), Secret::new(PASSWORD))),
                ..CallParams::new(
                    Uri::sip(Some(number), host(), None),
                    World::way(n),
                    NameAddr::new(Uri::sip(Some(PHONES[n]), host(), None)),
                    World::contact(n),
                    offer_answer::offer(&phone.local),
                )
            };
            let call = phone.endpoint.call(now, params);
            phone.began += 1;
            phone.calls.push((call, false));
        }
        Act::HangUp => {
            if let Some((call, _)) = phone.calls.first().copied() {
                let _ = phone.endpoint.hangup(now, call, None);
            }
        }
        Act::Reoffer => {
            if let Some(call) = standing.first() {
                tally.reoffers += 1;
                phone.local.session_version += 1;
                let offer = offer_answer::offer(&phone.local).replace("sendrecv", "sendonly");
                let _ = phone.endpoint.reoffer(now, *call, Some(offer));
            }
        }
        Act::Transfer(number) => {
            if let Some(call) = standing.first() {
                tally.transfers += 1;
                let target = Uri::sip(Some(number), host(), None);
                let _ = phone.endpoint.refer(now, *call, target, None);
            }
        }
        Act::Join => {
            if let [first, second, ..] = standing.as_slice() {
                tally.transfers += 1;
                let target = Uri::sip(Some("anybody"), host(), None);
                let _ = phone.endpoint.refer(now, *first, target, Some(*second));
            }
        }
    }
}

pub(super) fn self_drain(phone: &mut Phone, net: &mut Net, now: Instant) {
    while let Some(output) = phone.endpoint.poll_output() {
        match output {
            Output::Datagram { flow, data } => net.send(
                now,
                Packet {
                    from: flow.local,
                    to: flow.remote,
                    data,
                },
            ),
            Output::Event(event) => phone.todo.push_back(event),
            _ => {}
        }
    }
}
