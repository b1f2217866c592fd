//! Callers of the assistant who go on to somebody else, and phones that send the assistant on.

use super::*;

impl Rig {
    /// Anna talks with the assistant and goes on.
    fn adopt(&mut self, number: &str, errand: Errand) -> String {
        let leg = self.bridges.new_leg();
        self.number(leg);
        let destination = self
            .world
            .plan
            .find(number, Some("anna"))
            .expect("a number");
        self.handle(Input::Adopt(Box::new(Adopted {
            leg,
            caller: Party::User("anna".to_owned()),
            shown: Shown::default(),
            dialled: number.to_owned(),
            destination,
            theirs: sdp(4_000, "a=sendonly\r\n"),
            ours: sdp(30_000, "").replace("10.0.0.9", "10.0.0.1"),
            session_id: 77,
            session_version: 4,
            anchor: anchor(2),
            remote: "10.0.0.2:5060".parse().expect("an address"),
            errand,
        })))
    }
}

#[test]
fn the_assistant_puts_a_caller_through() {
    let mut rig = Rig::new(&[("bert", &[3, 4])]);
    assert_eq!(
        rig.adopt("201", Errand::Move),
        "call 2=10.0.0.3; call 3=10.0.0.4"
    );
    assert!(rig.offers[0].contains("a=sendrecv"), "hold is over");
    assert_eq!(rig.progress(2, 180), "", "the caller hears the assistant");
    assert_eq!(rig.answer(3), "hang up 2 elsewhere; reoffer 1");
    let offered = rig.offers.last().expect("an offer");
    assert!(
        offered.contains("o=- 77 5 "),
        "the same session, one version on: {offered}"
    );
    assert_eq!(rig.reoffered(1, Ok(Some(sdp(4_000, "")))), "moved 1");
    assert_eq!(rig.end(1, 0), "hang up 3; over talked");
    rig.rest();
}

#[test]
fn a_caller_whom_nobody_takes_stays_with_the_assistant() {
    // Who is dialled, what becomes of the phones that ring, the last of what is done then.
    let rows: [(&str, &[u16], &str); 6] = [
        ("201", &[486], "back 1 486; over"),
        ("201", &[404], "back 1 480; over"),
        ("300", &[480, 603], "back 1 603; over"),
        // Whoever forwards to the assistant leaves the caller where they are.
        ("202", &[404], "back 1 480; over"),
        ("202", &[486], "call 3=10.0.0.3"),
        ("203", &[], "back 1 480"),
    ];
    for (number, statuses, expected) in rows {
        let mut rig = Rig::new(&[("bert", &[3]), ("carl", &[4])]);
        let mut last = rig.adopt(number, Errand::Move);
        for (n, status) in statuses.iter().enumerate() {
            last = rig.end(2 + n, *status);
        }
        assert_eq!(last, expected, "{number} {statuses:?}");
        rig.end(1, 0);
        rig.rest();
    }
}

#[test]
fn a_caller_who_rings_elsewhere_may_hang_up_and_wait_in_vain() {
    let mut rig = Rig::new(&[("bert", &[3])]);
    rig.adopt("201", Errand::Move);
    assert_eq!(rig.end(1, 0), "hang up 2; over");
    rig.rest();
    rig.adopt("201", Errand::Move);
    assert_eq!(rig.wait(21), "hang up 4; back 3 480; over");
    rig.rest();
}

/// The caller's phone refuses the description of the one who answered: it goes on as before.
#[test]
fn a_caller_whose_phone_refuses_stays_with_the_assistant() {
    let mut rig = Rig::new(&[("bert", &[3])]);
    rig.adopt("201", Errand::Move);
    rig.answer(2);
    assert_eq!(rig.reoffered(1, Err(488)), "reoffer 1", "with more codecs");
    assert_eq!(rig.reoffered(1, Err(488)), "hang up 2; back 1 488; over");
    rig.rest();
}

#[test]
fn what_an_assistant_dials_outside_is_paid_by_its_caller() {
    let mut rig = Rig::new(&[]);
    assert_eq!(
        rig.adopt("030123", Errand::Move),
        "metered 1; call 2=10.0.0.99"
    );
    assert_eq!(rig.answer(2), "reoffer 1");
    rig.reoffered(1, Ok(Some(sdp(4_000, ""))));
    rig.now += Duration::from_secs(60);
    assert_eq!(rig.end(2, 0), "hang up 1; metered 0; over talked");
    rig.rest();
}

#[test]
fn a_phone_sends_the_assistant_on() {
    let mut rig = Rig::new(&[("bert", &[3])]);
    let errand = Errand::HandOver(crate::config::Answerer::Agent);
    assert_eq!(
        rig.adopt("201", errand),
        "transfer 1 Ok(()); call 2=10.0.0.3"
    );
    assert_eq!(rig.progress(2, 180), "notify 1 180");
    assert_eq!(
        rig.answer(2),
        "notify 1 200; hang up 1; serve standing 2 Agent None; over"
    );
    rig.rest();
    rig.adopt("201", errand);
    assert_eq!(rig.end(4, 486), "notify 3 486; back 3 486; over");
    rig.rest();
}

#[test]
fn the_assistant_takes_a_phones_place() {
    let mut rig = Rig::new(&[("bert", &[3])]);
    let service = Service {
        answerer: crate::config::Answerer::Agent,
        message_for: None,
    };
    for place in [1, 2] {
        let mut rig = Rig::new(&[("bert", &[3])]);
        rig.dial("anna", "201", offer());
        let leg = rig.leg(2);
        assert!(!rig.bridges.is_talking(leg), "it rings");
        rig.answer(2);
        let leg = rig.leg(place);
        assert!(rig.bridges.is_talking(leg));
        let other = 3 - place;
        let service = service.clone();
        assert_eq!(
            rig.handle(Input::Dismiss { leg, service }),
            format!("hang up {place}; serve standing {other} Agent None; over talked")
        );
        rig.rest();
    }
    rig.dial("anna", "201", offer());
    let leg = rig.leg(1);
    assert_eq!(rig.handle(Input::Dismiss { leg, service }), "", "it rings");
    rig.end(1, 487);
    rig.rest();
}
