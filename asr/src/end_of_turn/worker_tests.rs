//! The queue before the model: latest wins, a bound, every question answered once.

use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;

type Answer = (u64, Result<f32, EndOfTurnError>);

/// A judge that waits to be let go, then gives the first sample.
fn gated() -> (Judge, Sender<()>, Receiver<()>) {
    let (go, gate) = channel::<()>();
    let (began, begun) = channel::<()>();
    let judge = Box::new(move |pcm: &[i16]| {
        let _ = began.send(());
        let _ = gate.recv();
        Ok(f32::from(pcm[0]))
    });
    (judge, go, begun)
}

fn ask(worker: &EndOfTurnWorker, caller: u64, value: i16, answers: &Sender<Answer>) {
    let answers = answers.clone();
    worker.submit(
        caller,
        Arc::from(vec![value]),
        Box::new(move |outcome| {
            let _ = answers.send((caller, outcome));
        }),
    );
}

#[test]
fn the_latest_question_of_a_caller_wins() {
    let (judge, go, begun) = gated();
    let worker = EndOfTurnWorker::start_judge(judge).expect("a thread");
    let (answers, got) = channel();
    ask(&worker, 1, 10, &answers);
    begun.recv().expect("the first is under way");
    ask(&worker, 2, 20, &answers);
    ask(&worker, 1, 11, &answers);
    ask(&worker, 2, 21, &answers);
    assert_eq!(got.recv(), Ok((2, Err(EndOfTurnError::Superseded))));
    for expected in [(1, 10.0), (2, 21.0), (1, 11.0)] {
        go.send(()).expect("the judge waits");
        assert_eq!(got.recv(), Ok((expected.0, Ok(expected.1))));
    }
}

#[test]
fn a_full_queue_answers_at_once_and_the_end_answers_all() {
    let (judge, go, begun) = gated();
    let worker = EndOfTurnWorker::start_judge(judge).expect("a thread");
    let (answers, got) = channel();
    ask(&worker, 0, 1, &answers);
    begun.recv().expect("the first is under way");
    for caller in 1..=WAITING_MAX as u64 {
        ask(&worker, caller, 1, &answers);
    }
    ask(&worker, 99, 1, &answers);
    assert_eq!(got.recv(), Ok((99, Err(EndOfTurnError::Busy))));
    go.send(()).expect("the judge waits");
    assert_eq!(got.recv(), Ok((0, Ok(1.0))));
    begun.recv().expect("the second is under way");
    drop(go);
    drop(worker);
    let rest: Vec<Answer> = got.try_iter().collect();
    assert_eq!(rest.len(), WAITING_MAX, "each is told once");
    assert!(
        rest.iter()
            .all(|(_, outcome)| matches!(outcome, Ok(_) | Err(EndOfTurnError::ShuttingDown)))
    );
}

#[test]
fn a_panic_costs_one_answer() {
    let mut first = true;
    let worker = EndOfTurnWorker::start_judge(Box::new(move |_| {
        assert!(!std::mem::take(&mut first), "the first one fails");
        Ok(0.5)
    }))
    .expect("a thread");
    let (answers, got) = channel();
    ask(&worker, 1, 0, &answers);
    assert!(matches!(
        got.recv(),
        Ok((1, Err(EndOfTurnError::Failed { .. })))
    ));
    ask(&worker, 1, 0, &answers);
    assert_eq!(got.recv(), Ok((1, Ok(0.5))));
}
