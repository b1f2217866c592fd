//! What one side offers and how it reaches the other.

use super::*;

#[test]
fn early_media_is_passed_on() {
    let mut rig = Rig::new(&[("bert", &[3, 4])]);
    rig.dial("anna", "201", offer());
    let early = |rig: &mut Rig, leg: usize| {
        let leg = rig.leg(leg);
        let sdp = Some(sdp(5_000, ""));
        rig.handle(Input::Progress {
            leg,
            status: 183,
            sdp,
        })
    };
    assert_eq!(early(&mut rig, 2), "183 sdp to 1");
    assert_eq!(early(&mut rig, 3), "", "one at a time is heard");
    assert_eq!(rig.end(2, 480), "");
    assert_eq!(early(&mut rig, 3), "183 sdp to 1");
    assert_eq!(rig.answer(3), "answer 1");
    assert_eq!(rig.end(3, 0), "hang up 1; over talked");
    rig.rest();
}

#[test]
fn offers_pass_both_ways() {
    let mut rig = Rig::new(&[("bert", &[3])]);
    rig.dial("anna", "201", offer());
    rig.answer(2);
    let hold = Some(sdp(4_000, "a=sendonly\r\n"));
    let (one, two) = (rig.leg(1), rig.leg(2));
    let reinvite = |rig: &mut Rig, leg, offer: &Option<String>| {
        rig.handle(Input::ReInvite {
            leg,
            offer: offer.clone(),
        })
    };
    assert_eq!(reinvite(&mut rig, one, &hold), "reoffer 2");
    assert_eq!(
        reinvite(&mut rig, two, &hold),
        "refuse 2 491",
        "one at a time"
    );
    assert_eq!(
        rig.reoffered(2, Ok(Some(sdp(5_000, "a=recvonly\r\n")))),
        "accept 1"
    );
    assert_eq!(
        reinvite(&mut rig, one, &hold),
        "accept 1",
        "a refresh stays between us"
    );
    assert_eq!(reinvite(&mut rig, two, &offer()), "reoffer 1");
    assert_eq!(
        rig.reoffered(1, Err(415)),
        "reoffer 1",
        "with codecs of ours"
    );
    assert_eq!(rig.reoffered(1, Err(415)), "refuse 2 415");
    assert_eq!(reinvite(&mut rig, one, &None), "reoffer 2 without offer");
    assert_eq!(rig.reoffered(2, Ok(Some(sdp(5_000, "")))), "accept 1");
    let answer = Some(sdp(4_000, ""));
    assert_eq!(
        rig.handle(Input::Confirmed { leg: one, answer }),
        "acknowledge 2"
    );
    assert_eq!(rig.end(2, 0), "hang up 1; over talked");
    rig.rest();
}

#[test]
fn a_late_offer_crosses() {
    let mut rig = Rig::new(&[("bert", &[3])]);
    assert_eq!(
        rig.dial("anna", "201", None),
        "call 2=10.0.0.3 without offer"
    );
    assert_eq!(rig.answer(2), "answer 1");
    let leg = rig.leg(1);
    let answer = Some(sdp(4_000, ""));
    assert_eq!(
        rig.handle(Input::Confirmed { leg, answer }),
        "acknowledge 2"
    );
    rig.end(1, 0);
    rig.rest();
    assert_eq!(
        rig.dial("anna", "201", None),
        "call 4=10.0.0.3 without offer"
    );
    rig.answer(4);
    let leg = rig.leg(3);
    assert_eq!(
        rig.handle(Input::Confirmed { leg, answer: None }),
        "hang up 4; hang up 3"
    );
    assert_eq!(rig.end(3, 0), "hang up 4; over talked");
    rig.rest();
}

#[test]
fn media_that_cannot_be_joined_ends_the_call() {
    let mut rig = Rig::new(&[("bert", &[3])]);
    rig.dial("anna", "201", offer());
    let leg = rig.leg(2);
    let answer = Some("nonsense".to_owned());
    let said = rig.handle(Input::Answered { leg, answer });
    assert!(said.starts_with("hang up 2; reject 1 4"), "{said}");
    rig.end(1, 488);
    rig.rest();
    let said = rig.dial("anna", "201", Some("nonsense".to_owned()));
    assert!(said.starts_with("reject 3 4"), "{said}");
    rig.rest();
}
