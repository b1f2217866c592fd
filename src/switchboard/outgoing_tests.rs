//! Calls of ours by script: orders of the desk and events of the endpoint in, commands and news for the desk out. No dialog
//! is behind it; what a phone answers is an event made by hand.

use sip::{Binding, EndCause, Event, Transport};

use super::super::tests::{OFFER, Rig, engines};
use super::*;
use crate::callbacks::Channel;

struct Bench {
    rig: Rig,
    heard: mpsc::Receiver<Input>,
}

fn wish(user: &str) -> Wish {
    Wish {
        to: Recipient::User(user.to_owned()),
        user: user.to_owned(),
        channel: Channel::Call,
        say: "The tea is ready.".to_owned(),
        why: String::new(),
        number: String::new(),
        is_urgent: false,
        is_invited: false,
        not_before: 0,
        not_after: u64::MAX,
        attempts_max: 3,
        key: None,
    }
}

fn id() -> CallbackId {
    CallbackId("cb".to_owned())
}

impl Bench {
    /// `phones` of a user `a`; ports from `first` on.
    fn new(phones: u16, first: u16) -> Bench {
        let mut rig = Rig::new(EngineState::Ready(engines()), first);
        let bindings = (0..phones).map(|n| Binding {
            user: "a".to_owned(),
            contact: format!("sip:a@127.0.0.1:{}", 5_070 + n),
            params: Default::default(),
            instance: None,
            reg_id: None,
            q: 1_000,
            call_id: format!("reg-{n}"),
            cseq: 1,
            flow: Flow {
                transport: Transport::Udp,
                local: "127.0.0.1:5060".parse().expect("an address"),
                remote: format!("127.0.0.1:{}", 5_070 + n)
                    .parse()
                    .expect("an address"),
                conn: None,
            },
            expires_unix_ms: u64::MAX / 2,
            kept_until_unix_ms: u64::MAX / 2,
            user_agent: None,
        });
        rig.endpoint
            .restore_bindings(Instant::now(), bindings.collect());
        rig.board.set_accounts(vec!["a".to_owned()]);
        // The endpoint counts from one too.
        rig.calls = 1_000;
        let (tell, heard) = mpsc::channel(16);
        rig.board.set_desk(tell);
        Bench { rig, heard }
    }

    fn ring(&mut self, join_only: bool) {
        let order = Order::Ring {
            id: id(),
            wish: Box::new(wish("a")),
            ring: Duration::from_secs(20),
            listen: Duration::from_secs(10),
            join_only,
        };
        let commands = self.rig.board.order(order, &mut self.rig.endpoint);
        assert!(commands.is_empty(), "{commands:?}");
        while self.rig.endpoint.poll_output().is_some() {}
    }

    /// Calls that ring, in order.
    fn legs(&self) -> Vec<CallKey> {
        let mut legs: Vec<CallKey> = self.rig.board.outgoing.legs.keys().copied().collect();
        legs.sort_unstable();
        legs
    }

    fn ended(&mut self, call: CallKey, cause: EndCause) {
        let event = Event::CallEnded { call, cause };
        let commands = self.rig.board.event(event, &self.rig.endpoint);
        assert!(commands.is_empty(), "{commands:?}");
    }

    fn rejected(&mut self, call: CallKey, status: u16) {
        self.ended(call, EndCause::Rejected { status });
    }

    fn answered(&mut self, call: CallKey, answer: &str) -> Vec<Command> {
        let flow = Flow::udp(
            "127.0.0.1:5060".parse().expect("an address"),
            "127.0.0.1:5070".parse().expect("an address"),
        );
        let event = Event::CallAnswered {
            call,
            answer: Some(answer.to_owned()),
            flow,
        };
        self.rig.board.event(event, &self.rig.endpoint)
    }

    fn news(&mut self) -> Vec<Input> {
        std::iter::from_fn(|| self.heard.try_recv().ok()).collect()
    }

    fn outcome(&mut self) -> Option<Outcome> {
        match self.news().as_slice() {
            [Input::Ended { outcome, .. }] => Some(outcome.clone()),
            [] => None,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn what_phones_that_do_not_answer_come_to() {
    let rows: [(&[u16], Outcome); 6] = [
        (&[486, 480], Outcome::Busy),
        (&[480, 486], Outcome::Busy),
        (&[480, 480], Outcome::NoAnswer),
        (&[603, 486], Outcome::Declined),
        (&[408, 603], Outcome::Declined),
        (
            &[488],
            Outcome::Failed("the phone refused the call (488)".to_owned()),
        ),
    ];
    for (at, (statuses, expected)) in rows.into_iter().enumerate() {
        let phones = statuses.len() as u16;
        let mut bench = Bench::new(phones, 46_000 + 20 * at as u16);
        bench.ring(false);
        let legs = bench.legs();
        assert_eq!(legs.len(), statuses.len());
        for (leg, status) in legs.iter().zip(statuses) {
            assert_eq!(bench.outcome(), None, "{statuses:?}");
            bench.rejected(*leg, *status);
        }
        assert_eq!(bench.outcome(), Some(expected), "{statuses:?}");
        assert!(bench.rig.board.outgoing.rings.is_empty());
    }
    let mut bench = Bench::new(0, 46_180);
    bench.ring(false);
    assert_eq!(bench.outcome(), Some(Outcome::NoPhone));
    bench.ring(true);
    assert_eq!(bench.outcome(), Some(Outcome::NotReady));
}

#[tokio::test]
async fn the_first_who_answers_has_the_call() {
    let mut bench = Bench::new(3, 46_200);
    bench.ring(false);
    let legs = bench.legs();
    let commands = bench.answered(legs[1], OFFER);
    let others: Vec<CallKey> = commands
        .iter()
        .filter_map(|command| match command {
            Command::Hangup {
                call,
                reason: Some(reason),
            } if reason.contains("elsewhere") => Some(*call),
            _ => None,
        })
        .collect();
    assert_eq!(commands.len(), 2, "{commands:?}");
    assert!(others.contains(&legs[0]) && others.contains(&legs[2]));
    let news = bench.news();
    let [Input::Began { call, .. }] = news.as_slice() else {
        panic!("{news:?}")
    };
    assert!(!call.is_empty(), "it has a record");
    // Another phone picks up in the same moment: its call is not ours any more, and the endpoint ends it.
    assert!(bench.answered(legs[0], OFFER).is_empty());
    // All of it was heard; then they hang up.
    bench.rig.board.was_told(legs[1], 1, true);
    let told = bench.news();
    assert!(
        matches!(told.as_slice(), [Input::Told { complete: true, .. }]),
        "{told:?}"
    );
    bench.rig.board.over(legs[1], Ending::Other);
    assert_eq!(bench.outcome(), Some(Outcome::Heard));
}

#[tokio::test]
async fn what_became_of_the_first_words() {
    let rows = [
        (true, Ending::Other, Outcome::Heard),
        (true, Ending::Silent, Outcome::Silent),
        (false, Ending::Other, Outcome::Cut),
        (false, Ending::Machine, Outcome::Machine),
    ];
    for (at, (complete, ending, expected)) in rows.into_iter().enumerate() {
        let mut bench = Bench::new(1, 46_300 + 20 * at as u16);
        bench.ring(false);
        let leg = bench.legs()[0];
        bench.answered(leg, OFFER);
        bench.rig.board.was_told(leg, 1, complete);
        bench.news();
        bench.rig.board.over(leg, ending);
        assert_eq!(bench.outcome(), Some(expected));
    }
}

#[tokio::test]
async fn an_answer_without_common_media_lets_the_others_ring() {
    let mut bench = Bench::new(2, 46_400);
    bench.ring(false);
    let legs = bench.legs();
    let commands = bench.answered(
        legs[0],
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n",
    );
    assert!(
        matches!(commands.as_slice(), [Command::Hangup { call, .. }] if *call == legs[0]),
        "{commands:?}"
    );
    assert_eq!(bench.outcome(), None);
    bench.rejected(legs[1], 480);
    assert!(bench.outcome().is_some());
}

#[tokio::test]
async fn who_is_in_a_call_already_is_told_there() {
    let mut bench = Bench::new(1, 46_450);
    let commands = bench.rig.dial("a", "100", Some(OFFER));
    let Some(Command::Answer { call, .. }) = commands.first() else {
        panic!("{commands:?}")
    };
    bench.ring(false);
    assert!(bench.legs().is_empty(), "nothing rings");
    let began = bench.news();
    assert!(
        matches!(began.as_slice(), [Input::Began { .. }]),
        "{began:?}"
    );
    bench.rig.board.was_told(*call, 1, true);
    assert_eq!(bench.outcome(), Some(Outcome::Heard));
    // Something that was never said because they hung up is told another time.
    bench.ring(true);
    bench.news();
    bench.rig.board.over(*call, Ending::Other);
    assert_eq!(bench.outcome(), Some(Outcome::NotReady));
}

#[tokio::test]
async fn glare_becomes_their_call() {
    for is_up in [true, false] {
        let mut bench = Bench::new(2, 46_500 + 40 * u16::from(is_up));
        bench.ring(false);
        let legs = bench.legs();
        let commands = bench.rig.dial("a", "100", Some(OFFER));
        let stopped = commands.iter().filter(
            |command| matches!(command, Command::Hangup { call, .. } if legs.contains(call)),
        );
        assert_eq!(stopped.count(), 2, "{commands:?}");
        let Some(Command::Answer { call, .. }) = commands.last() else {
            panic!("{commands:?}")
        };
        let call = *call;
        // The phone's own answers to what we have called off are nobody's concern.
        bench.rejected(legs[0], 486);
        assert_eq!(bench.outcome(), None);
        if is_up {
            let event = Event::CallConfirmed { call, answer: None };
            bench.rig.board.event(event, &bench.rig.endpoint);
            let news = bench.news();
            assert!(
                matches!(
                    news.as_slice(),
                    [Input::Began { .. }, Input::CallsIn { .. }]
                ),
                "{news:?}"
            );
        } else {
            bench.rig.board.over(call, Ending::Other);
            assert_eq!(bench.outcome(), Some(Outcome::NotReady));
        }
    }
}

#[tokio::test]
async fn what_is_called_off_stops_ringing() {
    let mut bench = Bench::new(2, 46_600);
    bench.ring(false);
    let order = Order::HangUp { id: id() };
    let commands = bench.rig.board.order(order, &mut bench.rig.endpoint);
    assert_eq!(commands.len(), 2, "{commands:?}");
    assert_eq!(bench.outcome(), Some(Outcome::Cancelled));
    assert!(bench.legs().is_empty());
    // A program that stops: it rings another time.
    bench.ring(false);
    let commands = bench.rig.board.drain(&bench.rig.endpoint);
    assert_eq!(commands.len(), 2, "{commands:?}");
    assert_eq!(bench.outcome(), Some(Outcome::NotReady));
    bench.ring(false);
    assert_eq!(bench.outcome(), Some(Outcome::NotReady));
}

#[tokio::test]
async fn who_is_meant() {
    let mut bench = Bench::new(0, 46_650);
    let mut resolve = |to: &str| {
        let (reply, mut answer) = oneshot::channel();
        let order = Order::Resolve {
            to: to.to_owned(),
            reply,
        };
        bench.rig.board.order(order, &mut bench.rig.endpoint);
        answer.try_recv().expect("an answer")
    };
    let anna = Ok(Resolved {
        to: Recipient::User("a".to_owned()),
        user: "a".to_owned(),
    });
    // The only account is the owner's.
    assert_eq!(resolve(""), anna);
    assert_eq!(resolve("A"), anna);
    for wrong in ["100", "nobody", "+15550100"] {
        assert!(resolve(wrong).is_err(), "{wrong}");
    }
}
