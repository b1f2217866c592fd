//! The plan under SIGKILL.

use std::collections::VecDeque;

use super::*;

/// SIGKILL before any of the steps: of two requests none is lost, nobody is rung for what they heard, and no request rings
/// more often than it may.
#[test]
fn killed_between_any_two_steps() {
    let mut kill_at = 0;
    loop {
        let mut rig = Rig::new(config(), "2026-11-21T12:00:00Z");
        let mut steps = 0;
        let mut was_killed = false;
        let mut rings: HashMap<CallbackId, u32> = HashMap::new();
        let mut heard: Vec<CallbackId> = Vec::new();
        let mut taken: Vec<CallbackId> = Vec::new();
        // Inputs of the world, by when they come.
        let mut world: VecDeque<(UnixMs, Input)> = VecDeque::new();
        for id in ["a", "b"] {
            let wish = wish("anna", id, rig.now);
            let _ = rig.plan.ask(rig.now, CallbackId(id.to_owned()), wish);
        }
        for _ in 0..200 {
            // One output at a time, and perhaps never this one.
            while let Some(output) = rig.plan.poll_output() {
                if !was_killed && steps == kill_at {
                    was_killed = true;
                    rig.restart(config());
                    // Calls end with the program.
                    world.clear();
                    continue;
                }
                steps += 1;
                match &output {
                    Output::Save { record, .. } if !taken.contains(&record.id) => {
                        taken.push(record.id.clone());
                    }
                    Output::Ring { id, .. } => {
                        let count = rings.entry(id.clone()).or_default();
                        *count += 1;
                        assert!(*count <= 3, "{id:?} rings too often, kill {kill_at}");
                        assert!(!heard.contains(id), "{id:?} was heard, kill {kill_at}");
                        let (id, now) = (id.clone(), rig.now);
                        if *count == 1 && id.0 == "a" {
                            let outcome = Outcome::NoAnswer;
                            world.push_back((now + 20_000, Input::Ended { id, outcome }));
                        } else {
                            let call = "call".to_owned();
                            let began = Input::Began {
                                id: id.clone(),
                                call,
                            };
                            world.push_back((now + 3_000, began));
                            let told = Input::Told {
                                id: id.clone(),
                                complete: true,
                            };
                            world.push_back((now + 8_000, told));
                            let outcome = Outcome::Heard;
                            world.push_back((now + 30_000, Input::Ended { id, outcome }));
                        }
                    }
                    _ => {}
                }
                rig.carry_out(output);
            }
            world.make_contiguous().sort_by_key(|(due, _)| *due);
            let due = world.front().map(|(due, _)| *due);
            match (due, rig.plan.next_timeout()) {
                (Some(due), timeout) if timeout.is_none_or(|timeout| due <= timeout) => {
                    let (due, input) = world.pop_front().expect("looked at");
                    rig.now = rig.now.max(due);
                    if let Input::Told { id, .. } = &input
                        && let State::Talking { .. } = rig.plan.record(id).expect("known").state
                    {
                        // Written down within moments; a kill before that is one of the steps.
                        rig.plan.handle(rig.now, input.clone());
                        if was_killed || steps != kill_at {
                            heard.push(id.clone());
                        }
                        continue;
                    }
                    rig.plan.handle(rig.now, input);
                }
                (_, Some(timeout)) => {
                    rig.now = rig.now.max(timeout);
                    rig.plan.handle(rig.now, Input::Timeout);
                }
                _ => break,
            }
        }
        for id in &taken {
            let record = rig.plan.record(id).expect("not lost");
            assert!(record.state.is_over(), "kill {kill_at}: {record:?}");
            let notices = rig.notices.iter().filter(|notice| notice.callback == *id);
            let is_left = matches!(record.state, State::Left { .. });
            assert_eq!(
                notices.count(),
                usize::from(is_left),
                "kill {kill_at}: {record:?}"
            );
        }
        if !was_killed {
            assert!(steps > 10, "{steps}");
            break;
        }
        kill_at += 1;
    }
}
