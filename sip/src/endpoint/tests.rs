//! The endpoint, tested as a whole: two of them on a seeded network and virtual time (`world`), and one against messages
//! written by hand (`peer`).

mod amplification;
mod bounds;
mod call_flows;
mod change_flows;
mod digest_flows;
mod early_flows;
mod flows;
mod lossy;
mod lossy_sessions;
mod moved_calls;
mod peer;
mod raw;
mod raw_routes;
mod raw_sessions;
mod raw_uac;
mod register_flows;
mod replacing;
mod stage;
mod strangers;
mod targets;
mod texts;
mod timer_flows;
mod transfers;
mod trunks;
mod usages;
mod world;
