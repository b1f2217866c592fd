//! baresip as the phone: it is transferred by us, transfers us, and hears our keys by INFO.

use std::time::Duration;

use sip::{CallKey, EndpointConfig, Event};

use crate::line::Line;
use crate::peers::{BARESIP, take_floor};
use crate::softphone::Softphone;

/// The call that comes in, answered.
fn answered(line: &mut Line, number: &str) -> CallKey {
    let call = line.expect("the call", |event| match event {
        Event::IncomingCall { call, target, .. } if target == number => Some(*call),
        _ => None,
    });
    let sdp = line.sdp();
    line.act(|endpoint, now| endpoint.answer(now, call, sdp))
        .expect("answer");
    line.expect("its ACK", |event| {
        matches!(event, Event::CallConfirmed { call: confirmed, .. } if *confirmed == call)
            .then_some(())
    });
    call
}

#[test]
fn it_is_transferred_and_tells_us_how_it_fared() {
    let Some(_floor) = take_floor("it_is_transferred", Some(BARESIP)) else {
        return;
    };
    let mut line = Line::new(EndpointConfig::default());
    let phone = Softphone::start(&line);
    let call = line.call("phone1", phone.address);
    line.expect("an answer", |event| {
        matches!(event, Event::CallAnswered { .. }).then_some(())
    });
    let target = line.uri("200");
    line.act(|endpoint, now| endpoint.refer(now, call, target, None))
        .expect("refer");
    // It calls the number it was sent to, and reports when that is answered.
    let second = answered(&mut line, "200");
    assert_ne!(second, call);
    line.expect("the last report", |event| match event {
        Event::ReferProgress {
            status: 200,
            is_last: true,
            call: of,
        } => (*of == call).then_some(()),
        _ => None,
    });
    for key in [call, second] {
        let _ = line.act(|endpoint, now| endpoint.hangup(now, key, None));
    }
    line.run_until(Duration::from_millis(300), || false);
}

#[test]
fn it_transfers_us_and_leaves_when_that_worked() {
    let Some(_floor) = take_floor("it_transfers_us", Some(BARESIP)) else {
        return;
    };
    let mut line = Line::new(EndpointConfig::default());
    let mut phone = Softphone::start(&line);
    let number = line.uri("100").to_string();
    phone.command("dial", &number);
    let call = answered(&mut line, "100");
    let target = line.uri("300").to_string();
    phone.command("transfer", &target);
    let asked = line.expect("the transfer", |event| match event {
        Event::Transfer {
            target,
            replaces: None,
            foreign_replaces: None,
            ..
        } => target.user_decoded(),
        _ => None,
    });
    assert_eq!(asked, "300");
    line.act(|endpoint, now| endpoint.answer_transfer(now, call, Ok(())))
        .expect("answer");
    line.run_until(Duration::from_millis(200), || false);
    line.act(|endpoint, now| endpoint.transfer_progress(now, call, 180))
        .expect("progress");
    line.run_until(Duration::from_millis(200), || false);
    line.act(|endpoint, now| endpoint.transfer_progress(now, call, 200))
        .expect("progress");
    // It hangs up by itself once it has heard of the success.
    line.expect("its BYE", |event| {
        matches!(event, Event::CallEnded { .. }).then_some(())
    });
    let refused = line
        .wire
        .iter()
        .any(|message| message.starts_with("<- SIP/2.0 4"));
    assert!(!refused, "{:#?}", line.wire);
}

/// baresip 1.0.0 sends its own keys in RTP alone, but hears those of others.
#[test]
fn it_hears_our_keys_by_info() {
    let Some(_floor) = take_floor("it_hears_our_keys_by_info", Some(BARESIP)) else {
        return;
    };
    let mut line = Line::new(EndpointConfig::default());
    let phone = Softphone::start(&line);
    let call = line.call("phone1", phone.address);
    line.expect("an answer", |event| {
        matches!(event, Event::CallAnswered { .. }).then_some(())
    });
    for digit in "15#".chars() {
        line.act(|endpoint, now| endpoint.send_info_digit(now, call, digit, 200))
            .expect("a key");
    }
    let heard = line.run_until(Duration::from_secs(10), || {
        let log = phone.process.output();
        "15#"
            .chars()
            .all(|digit| log.contains(&format!("received DTMF: '{digit}'")))
    });
    assert!(heard, "{}", phone.process.tail());
    line.act(|endpoint, now| endpoint.hangup(now, call, None))
        .expect("hangup");
    line.run_until(Duration::from_millis(300), || false);
}
