//! Do we hear ourselves? Our own speech is sent back by a simulated phone, and the program's own voice activity detector
//! and recogniser listen to what the echo canceller leaves. Prints tables: false starts of speech per minute of our
//! speech, words heard in the echo, what becomes of real interruptions, of speech without echo, and the cost of a frame.
//!
//! `cargo bench --bench echo`; after `--`, `quick` takes a part of the clips, and `alone`, `unsteady`, `interruptions`, `quiet`
//! or `cost` single tables.

#[path = "echo/line.rs"]
mod line;
#[path = "echo/measure.rs"]
mod measure;

use measure::{Maker, Ours, Untreated};

fn main() {
    let quick = std::env::args().any(|a| a == "quick");
    let makers: [Maker<'_>; 2] = [
        ("untreated", || Box::new(Untreated)),
        ("canceller", || Box::new(Ours::new())),
    ];
    measure::all(&makers, quick);
}
