//! What the bridges want, carried out: calls at the endpoint, ports at the relay, records, and callers handed to the
//! assistant. Decides nothing.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use super::*;

impl Switchboard {
    /// When the bridges want to be woken.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.bridging.next_timeout()
    }

    pub fn timeout(&mut self, endpoint: &Endpoint) -> Vec<Command> {
        match self.bridging.next_timeout() {
            Some(due) if due <= Instant::now() => self.bridging.input(Input::Timeout, endpoint),
            _ => Vec::new(),
        }
    }

    /// Something the relay has to say about a call.
    pub fn relay_quiet(
        &mut self,
        relay: RelayId,
        side: Option<Side>,
        endpoint: &Endpoint,
    ) -> Vec<Command> {
        self.bridging
            .input(Input::RelayQuiet { relay, side }, endpoint)
    }

    /// Carries out what a bridge wants.
    pub fn perform(&mut self, output: Output, endpoint: &mut Endpoint) -> Vec<Command> {
        let way = match &output {
            Output::Call { leg, target, .. } => Some((*leg, target.flow)),
            _ => None,
        };
        let now = Instant::now();
        let left = self.bridging.joint.perform(now, output, endpoint);
        if let Some((leg, flow)) = way
            && let Some(call) = self.bridging.joint.call_of(leg)
        {
            let flow = Flow {
                transport: flow.transport,
                local: flow.local,
                remote: flow.remote,
                conn: None,
            };
            let user_agent = None;
            self.bridging.known.insert(call, Known { flow, user_agent });
        }
        match left {
            Some(output) => self.perform_here(output, endpoint),
            None => Vec::new(),
        }
    }

    fn perform_here(&mut self, output: Output, endpoint: &Endpoint) -> Vec<Command> {
        match output {
            Output::OpenRelay {
                relay,
                addresses,
                streams,
            } => return self.open_relay(relay, addresses, streams, endpoint),
            Output::Connect {
                relay,
                side,
                stream,
                peer,
                anchor,
                is_fax,
            } => self
                .bridging
                .connect(relay, side, stream, &peer, anchor, is_fax),
            Output::Transcode {
                relay,
                stream,
                peers,
            } => {
                let cname = &self.config.host_name;
                self.bridging.transcode(relay, stream, &peers, cname);
            }
            Output::CloseRelay { relay, bridge } => self.bridging.close(relay, bridge),
            Output::Serve {
                leg,
                service,
                caller,
                dialled,
                standing,
                offer,
            } => return self.serve(leg, service, &caller, dialled, standing, offer),
            Output::GiveBack { leg, status } => self.given_back(leg, status),
            Output::Moved { leg } => self.moved(leg),
            Output::Begun {
                bridge,
                caller,
                dialled,
                remote,
                ..
            } => self.begun(bridge, &caller, dialled, remote),
            Output::Talking {
                bridge,
                relay,
                parties,
            } => self.bridging.talking(bridge, relay, &parties),
            Output::Refused {
                caller,
                dialled,
                status,
                why,
            } => {
                let user = self.bridging.name(&caller);
                info!(%user, number = %dialled, status, "call refused: {why}");
            }
            Output::Over { bridge, end } => self.bridging.over(bridge, &end),
            Output::Metered {
                user,
                day,
                calls,
                seconds,
            } => {
                for (name, by) in [(CALLS, calls), (SECONDS, seconds)] {
                    if by > 0 {
                        self.recorder.keep(Lasting::Count {
                            name: format!("{name}{user}"),
                            day: i64::from(day),
                            by: u64::from(by),
                        });
                    }
                }
            }
            other => debug!(?other, "nobody carries this out"),
        }
        Vec::new()
    }

    fn open_relay(
        &mut self,
        relay: RelayId,
        addresses: [IpAddr; 2],
        streams: usize,
        endpoint: &Endpoint,
    ) -> Vec<Command> {
        let ports = match self.bridging.config.relays.open(addresses, streams) {
            Ok(mut handle) => {
                let ports = [handle.ports(RelaySide::A), handle.ports(RelaySide::B)];
                if let Some(events) = handle.take_events() {
                    self.watch(relay, events);
                }
                self.bridging.relays.insert(relay, handle);
                Some(ports)
            }
            Err(error) => {
                warn!(%error, "no ports for a call between phones");
                None
            }
        };
        self.bridging
            .input(Input::RelayOpened { relay, ports }, endpoint)
    }

    /// Events of a relayed call on their way here; the task ends with the relay.
    fn watch(
        &self,
        relay: RelayId,
        mut events: tokio::sync::mpsc::Receiver<crate::relay::RelayNotice>,
    ) {
        let commands = self.commands.clone();
        tokio::spawn(async move {
            while let Some(notice) = events.recv().await {
                let quiet = match notice.event {
                    RelayEvent::NoPackets { side, .. } if notice.stream == 0 => Some(Some(side)),
                    RelayEvent::Failed => Some(None),
                    event => {
                        debug!(?event, "relayed media");
                        None
                    }
                };
                if let Some(side) = quiet {
                    let side = side.map(|side| match side {
                        RelaySide::A => Side::A,
                        RelaySide::B => Side::B,
                    });
                    let quiet = Command::RelayQuiet { relay, side };
                    if commands.send(quiet).await.is_err() {
                        return;
                    }
                }
            }
        });
    }

    fn begun(&mut self, bridge: BridgeId, caller: &Party, number: String, remote: SocketAddr) {
        self.calls_total += 1;
        let user = self.bridging.name(caller);
        let recorder: &Recorder = &self.recorder;
        let record = recorder.call_started(CallStart {
            id: call_id(),
            user: user.clone(),
            number: number.clone(),
            remote: remote.to_string(),
            user_agent: None,
            conversation: String::new(),
            codec: "relayed".to_owned(),
        });
        info!(%user, %number, "call between phones rings");
        let running = Running {
            record,
            user,
            number,
            since: Instant::now(),
            summary: Summary::default(),
        };
        self.bridging.running.insert(bridge, running);
    }

    /// Counts a message, unless this caller has left as many as allowed.
    pub(in crate::switchboard) fn may_leave_message(&mut self, caller: &str) -> bool {
        let may = self.messages_left(caller) > 0;
        if may {
            self.count_message(caller);
        }
        may
    }

    /// So many more may this caller leave today.
    pub(in crate::switchboard) fn messages_left(&self, caller: &str) -> u32 {
        let most = self.bridging.plan().voicemail().messages_per_caller_per_day;
        let counted = self.bridging.messages.get(caller);
        let counted = counted.filter(|(day, _)| *day == today());
        most.saturating_sub(counted.map_or(0, |(_, count)| *count))
    }

    pub(in crate::switchboard) fn count_message(&mut self, caller: &str) {
        let today = today();
        let messages = &mut self.bridging.messages;
        // Callers are accounts and trunks; those of other days need not be remembered.
        messages.retain(|_, (day, _)| *day == today);
        let (_, count) = messages.entry(caller.to_owned()).or_insert((today, 0));
        *count += 1;
        self.recorder.keep(Lasting::Count {
            name: format!("{MESSAGES}{caller}"),
            day: i64::from(today),
            by: 1,
        });
    }

    /// A caller whom nobody else answered, or who is transferred to us.
    #[allow(clippy::too_many_arguments, reason = "what `Output::Serve` is made of")]
    fn serve(
        &mut self,
        leg: crate::bridge::LegId,
        service: Service,
        caller: &Party,
        dialled: String,
        standing: bool,
        offer: Option<String>,
    ) -> Vec<Command> {
        let Some(call) = self.bridging.joint.release(leg) else {
            return Vec::new();
        };
        let Some(known) = self.bridging.known.remove(&call) else {
            let reason = Some(cause(500, "unknown dialog"));
            return vec![Command::Hangup { call, reason }];
        };
        let user = self.bridging.name(caller);
        if service.message_for.is_some() && !self.may_leave_message(&user) {
            info!(%user, "no more messages are taken from this caller today");
            return vec![Command::Reject {
                call,
                status: 480,
                headers: Vec::new(),
            }];
        }
        let line = Line {
            user,
            target: dialled,
            party: caller.clone(),
            shown: self.bridging.shown_of(caller),
            flow: known.flow,
            service: service.answerer,
            since: Instant::now(),
            record: None,
            state: LineState::Waiting(Box::new(Waiting {
                message_for: service.message_for,
                offer,
                user_agent: known.user_agent,
                standing,
            })),
        };
        self.admit(call, line)
    }
}
