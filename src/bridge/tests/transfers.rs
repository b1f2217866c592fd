//! Calls handed on: blind, attended, to the assistant, and back.

use super::*;

#[test]
fn a_blind_transfer() {
    let mut rig = Rig::new(&[("bert", &[3]), ("carl", &[4])]);
    rig.dial("anna", "201", offer());
    rig.answer(2);
    assert_eq!(rig.transfer(2, "990", None), "transfer 2 Err(404)");
    assert_eq!(
        rig.transfer(2, "202", None),
        "transfer 2 Ok(()); call 3=10.0.0.4"
    );
    assert_eq!(rig.progress(3, 180), "notify 2 180");
    assert_eq!(rig.answer(3), "reoffer 1");
    assert_eq!(rig.reoffered(1, Ok(Some(sdp(4_000, "")))), "notify 2 200");
    assert_eq!(rig.wait(5), "hang up 2", "it did not hang up by itself");
    assert_eq!(rig.end(3, 0), "hang up 1; over talked");
    rig.rest();
}

#[test]
fn a_transfer_that_nobody_takes_goes_back() {
    for still_there in [true, false] {
        let mut rig = Rig::new(&[("bert", &[3]), ("anna", &[6])]);
        rig.dial("carl", "201", offer());
        rig.answer(2);
        rig.transfer(1, "300", None);
        assert_eq!(rig.said.join("; "), "transfer 1 Ok(()); call 3=10.0.0.3");
        if !still_there {
            assert_eq!(rig.end(1, 0), "", "the transferring phone may go");
        }
        let back = rig.end(3, 486);
        if still_there {
            assert_eq!(back, "notify 1 486");
            let leg = rig.leg(1);
            let back = rig.handle(Input::ReInvite {
                leg,
                offer: Some(sdp(4_002, "")),
            });
            assert_eq!(back, "reoffer 2", "the call goes on");
            assert_eq!(rig.end(1, 0), "hang up 2; over talked");
        } else {
            assert_eq!(back, "hang up 2; over talked");
        }
        rig.rest();
    }
}

#[test]
fn a_transfer_to_the_assistant() {
    let mut rig = Rig::new(&[("bert", &[3])]);
    rig.dial("anna", "201", offer());
    rig.answer(2);
    assert_eq!(
        rig.transfer(1, "100", None),
        "transfer 1 Ok(()); notify 1 200; hang up 1; serve standing 2 Agent None; over talked"
    );
    rig.rest();
}

/// Bert talks with Anna, asks Carl, and puts the two together. Both of his calls stand.
#[test]
fn an_attended_transfer() {
    let mut rig = Rig::new(&[("bert", &[3]), ("carl", &[4])]);
    rig.dial("anna", "201", offer());
    rig.answer(2);
    rig.dial("bert", "202", offer());
    rig.answer(4);
    assert_eq!(
        rig.transfer(1, "202", Some(3)),
        "transfer 1 Err(403)",
        "another's call"
    );
    assert_eq!(
        rig.transfer(2, "202", Some(3)),
        "transfer 2 Ok(()); over talked; reoffer 1"
    );
    assert_eq!(rig.reoffered(1, Ok(Some(sdp(4_000, "")))), "reoffer 4");
    assert_eq!(rig.reoffered(4, Ok(Some(sdp(5_000, "")))), "notify 2 200");
    assert_eq!(rig.end(2, 0), "");
    assert_eq!(rig.wait(5), "hang up 3");
    assert_eq!(rig.end(1, 0), "hang up 4; over talked");
    rig.rest();
}

/// The same while Carl's phone still rings.
#[test]
fn an_attended_transfer_before_the_answer() {
    let mut rig = Rig::new(&[("bert", &[3]), ("carl", &[4])]);
    rig.dial("anna", "201", offer());
    rig.answer(2);
    rig.dial("bert", "202", offer());
    assert_eq!(
        rig.transfer(2, "202", Some(3)),
        "transfer 2 Ok(()); reject 3 487; over"
    );
    assert_eq!(rig.answer(4), "reoffer 1");
    assert_eq!(rig.reoffered(1, Ok(Some(sdp(4_000, "")))), "notify 2 200");
    rig.end(2, 0);
    assert_eq!(rig.end(4, 0), "hang up 1; over talked");
    rig.rest();
}
