//! PURE.
//! How calls end, and what comes due in them: BYE, timers, lost connections, and the moment nothing of a call is needed
//! any more. RFC 3261 §13.3.1.4 and §15. Does not own the phases of a call (see `invite`).

use std::time::Instant;

use super::transactions::{ClientMachine, Owner};
use super::{CallKey, EndCause, Endpoint, Event, TimerId};
use crate::flow::ConnId;
use crate::header::HeaderName;
use crate::invite::{Call, CallFired, OwedTo, PendingReinvite, Phase, ReofferStep};
use crate::method::Method;
use crate::session_timer::TimerFired;

impl Endpoint {
    pub(super) fn on_call_timer(&mut self, now: Instant, key: CallKey) {
        let timers = self.config.timers;
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        match call.on_timeout(now, &timers) {
            CallFired::Nothing => {}
            CallFired::ResendAnswer => {
                if let Some((flow, packet)) = call
                    .unacked
                    .as_ref()
                    .map(|answer| (answer.flow, answer.packet.clone()))
                {
                    self.stats.retransmissions_sent += 1;
                    self.transmit(flow, packet);
                }
            }
            CallFired::AckMissing => {
                // RFC 3261 §13.3.1.4: the dialog stands, the session does not: BYE.
                let told = !call.is_live();
                call.unacked = None;
                self.send_bye(now, key, None);
                if !told {
                    self.event(Event::CallEnded {
                        call: key,
                        cause: EndCause::AckTimeout,
                    });
                }
            }
            CallFired::RepeatProvisional => self.on_repeat_provisional(now, key),
            CallFired::Reliable(fired) => self.on_reliable_timer(now, key, fired),
            CallFired::Session(TimerFired::Expired) => self.on_session_expired(now, key),
            CallFired::Session(_) => self.on_session_refresh(now, key),
            CallFired::RangOut => match call.phase {
                Phase::Incoming { .. } => {
                    // RFC 3261 §13.3.1: 487 for an INVITE that expired.
                    self.refuse_invite(now, key, 487, Vec::new());
                    self.end_call(
                        now,
                        key,
                        EndCause::Failed {
                            status: 487,
                            why: "rang too long".to_owned(),
                        },
                    );
                }
                Phase::Calling { transaction, .. } => {
                    self.cancel(now, key, transaction, EndCause::RangOut);
                }
                _ => {}
            },
            CallFired::ReinviteLeft => {
                // The program owes an answer it will not give, or cannot: then what asked for it goes all the same.
                if self.answer_reinvite(now, key, Err(500)).is_err() {
                    self.let_go(now, key);
                }
            }
            CallFired::OfferLeft => self.on_offer_left(now, key),
            CallFired::ReofferAgain => self.try_reoffer(now, key),
            CallFired::ReofferLate => self.on_reoffer_late(now, key),
        }
        self.watch_call(key);
    }

    /// RFC 3261 §15.1.1; whoever calls this tells the program.
    pub(super) fn send_bye(&mut self, now: Instant, key: CallKey, reason: Option<String>) {
        self.rehome(now, key);
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        self.ending += usize::from(call.phase != Phase::Closing);
        call.phase = Phase::Closing;
        call.unacked = None;
        self.let_go(now, key);
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let reason = reason.or_else(|| call.parting_reason.take());
        let flow = call.flow;
        let Some(dialog) = &mut call.dialog else {
            return;
        };
        let (mut bye, target) = (dialog.request(Method::Bye), dialog.remote_target.clone());
        if let Some(reason) = reason {
            bye.headers.push(HeaderName::Reason, reason);
        }
        self.add_product(&mut bye);
        self.add_known_answer(key, &mut bye);
        let flow = self.living_flow(now, flow, &target);
        self.send_request(now, bye, flow, Owner::Bye(key));
        self.watch_call(key);
    }

    /// The program's last word about a call. What the protocol still needs of it stays until done.
    pub(super) fn end_call(&mut self, now: Instant, key: CallKey, cause: EndCause) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let told = !call.is_live();
        self.ending += usize::from(call.phase != Phase::Closing);
        call.phase = Phase::Closing;
        self.let_go(now, key);
        self.watch_call(key);
        if !told {
            self.event(Event::CallEnded { call: key, cause });
        }
        self.drop_call_if_done(key);
    }

    /// Ends everything inside a call that still waits for somebody, but the INVITE itself.
    pub(super) fn let_go(&mut self, now: Instant, key: CallKey) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        call.stop_ringing();
        let reoffer = call.reoffer.take();
        let (owed, pending) = (call.owed.take(), call.reinvite.take());
        // The peer of a call that is over owes a final response to what we asked; one that never sends it is not waited
        // for.
        if let Some(ReofferStep::Sent { transaction, .. }) = reoffer.map(|reoffer| reoffer.step)
            && let Some(entry) = self.clients.get_mut(transaction)
            && let ClientMachine::Invite(machine) = &mut entry.machine
        {
            machine.give_up_by(now);
            self.reschedule_client(transaction);
        }
        // A 2xx that waits for our answer is acknowledged without one: RFC 3261 §13.2.2.4 wants the ACK in any case.
        if let Some(owed) = owed
            && owed.to == OwedTo::Ack
        {
            self.send_ack(key, owed.cseq, None);
        }
        // RFC 3261 §15.1.2: what the peer asked and nobody answered ends with the call.
        if let Some(PendingReinvite {
            transaction,
            request,
            ..
        }) = pending
        {
            self.respond_plainly(now, transaction, &request, 487);
        }
    }

    pub(super) fn drop_call_if_done(&mut self, key: CallKey) {
        let Some(call) = self.calls.get(&key) else {
            return;
        };
        let is_needed =
            call.transactions > 0 || call.unacked.is_some() || call.usages.need_dialog();
        if call.phase == Phase::Closing && !is_needed {
            self.timers.set(TimerId::Call(key), None);
            self.timers.set(TimerId::Usages(key), None);
            let Some(call) = self.calls.remove(&key) else {
                return;
            };
            self.ending = self.ending.saturating_sub(1);
            let early = call.early.into_iter().map(|early| early.dialog);
            for dialog in early.chain(call.dialog) {
                self.dialogs.remove(&dialog.id);
            }
            self.forget_dialog(key);
        }
    }

    /// A connection is gone. A call that rings over it cannot be answered any more; one that stands may outlive it.
    pub(super) fn on_calls_stream_closed(&mut self, now: Instant, conn: ConnId) {
        let ringing = |call: &&Call| {
            call.flow.conn == Some(conn) && matches!(call.phase, Phase::Incoming { .. })
        };
        let mut keys: Vec<CallKey> = self
            .calls
            .values()
            .filter(ringing)
            .map(|call| call.key)
            .collect();
        keys.sort_unstable();
        for key in keys {
            self.refuse_invite(now, key, 480, Vec::new());
            self.end_call(now, key, EndCause::TransportFailed);
        }
    }

    /// Calls whose other end is reached over this connection, or was when it broke and over no other since; the oldest
    /// first.
    pub fn calls_on(&self, conn: ConnId) -> Vec<CallKey> {
        let calls = self.calls.values();
        let of_stream = calls.filter(|call| call.flow.conn == Some(conn));
        let mut keys: Vec<CallKey> = of_stream.map(|call| call.key).collect();
        keys.sort_unstable();
        keys
    }

    pub(super) fn watch_call(&mut self, key: CallKey) {
        let deadline = self.calls.get(&key).and_then(Call::next_timeout);
        self.timers.set(TimerId::Call(key), deadline);
        self.watch_usages(key);
    }
}
