//! Accepted work that is watched until it is over: asked about at intervals, told where somebody is on the line, and
//! otherwise handed to the owner's side. Owns the intervals and how long they go on.
//!
//! A program that is stopped forgets the work it watched; the work itself goes on. A tool that must be heard of in any
//! case asks for a call itself (`POST /api/calls`).

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::JobWatch;
use super::http::{Endpoint, Status};

/// Answers in a row that could not be had before the work counts as lost.
const UNKNOWN_MAX: u32 = 60;

/// How work ended, and what its tool said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    pub is_good: bool,
    pub text: String,
}

/// Until it is over. Bounded by `JobWatch::longest`.
pub(super) async fn watch(endpoint: &Endpoint, job: &str, rule: &JobWatch) -> Ended {
    let began = Instant::now();
    let mut unknown = 0;
    loop {
        sleep(rule.every).await;
        let status = endpoint.status(job).await;
        if let Some(ended) = judge(status, &mut unknown, began.elapsed(), rule.longest) {
            return ended;
        }
    }
}

fn judge(status: Status, unknown: &mut u32, waited: Duration, longest: Duration) -> Option<Ended> {
    let lost = |text: &str| {
        Some(Ended {
            is_good: false,
            text: text.to_owned(),
        })
    };
    match status {
        Status::Done(text) => {
            return Some(Ended {
                is_good: true,
                text,
            });
        }
        Status::Failed(text) => {
            return Some(Ended {
                is_good: false,
                text,
            });
        }
        Status::AtWork => *unknown = 0,
        Status::Unknown => *unknown += 1,
    }
    if *unknown >= UNKNOWN_MAX {
        return lost("It can't be reached any more.");
    }
    match waited >= longest {
        true => lost("It takes too long, and is not watched any more."),
        false => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_watched_until_it_is_over_or_lost() {
        let s = Duration::from_secs;
        let (mut unknown, longest) = (0, s(100));
        assert_eq!(judge(Status::AtWork, &mut unknown, s(1), longest), None);
        for _ in 0..UNKNOWN_MAX - 1 {
            assert_eq!(judge(Status::Unknown, &mut unknown, s(1), longest), None);
        }
        // One good answer in between, and it counts anew.
        assert_eq!(judge(Status::AtWork, &mut unknown, s(1), longest), None);
        for _ in 0..UNKNOWN_MAX - 1 {
            assert_eq!(judge(Status::Unknown, &mut unknown, s(1), longest), None);
        }
        let lost = judge(Status::Unknown, &mut unknown, s(1), longest).expect("lost");
        assert!(!lost.is_good);
        assert!(judge(Status::AtWork, &mut 0, s(100), longest).is_some_and(|end| !end.is_good));
        let done = Status::Done("Good.".into());
        assert!(judge(done, &mut 0, s(100), longest).is_some_and(|end| end.is_good));
    }
}
