//! A message that the gateway could not take just then: when it is sent again, how often, and when not.

use super::*;
use crate::openclaw::runs::REPEAT_MAX;

fn not_now(ms: u64) -> Value {
    json!({"code": "UNAVAILABLE", "message": "one moment", "retryable": true, "retryAfterMs": ms})
}

fn given_up(ms: u64) -> RunEvent {
    RunEvent::Failed(GatewayError::Link(LinkError::NotNow {
        code: "UNAVAILABLE".to_owned(),
        retry_after: Duration::from_millis(ms),
    }))
}

impl World {
    /// Lets this time pass, and the core do what is due by then.
    fn pass(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
        if self.core.next_timeout().is_some_and(|at| at <= self.now) {
            self.core.handle(self.now, Input::Timeout);
        }
    }

    /// A message of this run is written and refused.
    fn refused(&mut self, run: &str, error: Value) -> Value {
        let sent = self.written().remove(0);
        assert_eq!(sent["params"]["idempotencyKey"], run);
        self.refuse(&sent, error);
        sent["params"].clone()
    }
}

#[test]
fn a_message_that_may_be_sent_again_is_sent_once_more_by_its_own_key() {
    let mut world = World::ready();
    world.send("r1", KEY);
    let first = world.refused("r1", not_now(400));
    world.pass(399);
    assert_eq!(world.outputs(), []);
    world.pass(1);
    let again = world.written().remove(0);
    assert_eq!(
        (&again["method"], &again["params"]),
        (&json!("chat.send"), &first)
    );
    world.answer(&again, json!({"runId": "r1", "status": "started"}));
    world.chat("r1", KEY, "final", "Yes.");
    let text = RunEvent::Text("Yes.".to_owned());
    assert_eq!(world.told(), [RunEvent::Started, text, RunEvent::Done]);
    world.pass(5_000);
    assert_eq!(world.outputs(), []);
}

#[test]
fn a_second_refusal_is_the_answer() {
    let mut world = World::ready();
    world.send("r1", KEY);
    world.refused("r1", not_now(250));
    world.pass(250);
    world.refused("r1", not_now(250));
    assert_eq!(world.told(), [given_up(250)]);
    assert_eq!(world.core.runs_open(), 0);
    // Nor is a gateway waited for that wishes a long pause.
    let longer = REPEAT_MAX.as_millis() as u64 + 1;
    world.send("r2", KEY);
    world.refused("r2", not_now(longer));
    assert_eq!(world.told(), [given_up(longer)]);
}

/// A message that is ignored becomes another run, and is still the same turn.
#[test]
fn one_turn_is_not_repeated_under_two_names() {
    let mut world = World::ready();
    world.send("r1", KEY);
    world.refused("r1", not_now(250));
    world.pass(250);
    let again = world.written().remove(0);
    world.answer(&again, json!({"status": "started"}));
    let nothing = json!({"runId": "r1", "sessionKey": KEY, "state": "final"});
    world.event("chat", nothing);
    assert_eq!(world.told(), [RunEvent::Started, RunEvent::Ignored]);
    world.send("r2", KEY);
    world.refused("r2", not_now(250));
    assert_eq!(world.told(), [given_up(250)]);
    // The next turn is another one.
    world.send("r3", KEY);
    world.refused("r3", not_now(250));
    world.pass(250);
    assert_eq!(world.written().len(), 1);
}

#[test]
fn what_was_taken_once_is_not_sent_again_by_a_refusal() {
    let mut world = World::ready();
    world.started("r1");
    world.drop_link();
    world.come_back();
    // By its key, because the link broke; the gateway is to say what has become of it.
    world.refused("r1", not_now(250));
    assert_eq!(world.told(), [given_up(250)]);
}

#[test]
fn nothing_is_sent_again_for_nobody() {
    let mut world = World::ready();
    world.send("r1", KEY);
    world.refused("r1", not_now(250));
    let run = "r1".to_owned();
    world.core.handle(world.now, Input::Abort { run });
    world.pass(250);
    // Not even an abort: the gateway has nothing of it.
    assert_eq!(world.outputs(), []);
}

#[test]
fn a_lost_link_ends_the_pause_and_not_the_message() {
    let mut world = World::ready();
    world.send("r1", KEY);
    world.refused("r1", not_now(250));
    world.drop_link();
    world.pass(250);
    assert_eq!(world.written(), [] as [Value; 0]);
    world.come_back();
    let again = world.written().remove(0);
    assert_eq!(again["params"]["idempotencyKey"], "r1");
    world.pass(250);
    assert_eq!(world.written(), [] as [Value; 0]);
}
