//! The program against real peers on loopback: baresip and Linphone are the softphones, SIPp the impolite stranger.
//! Everything is real here, the binary, the sockets, the models and the clock; so waits are bounded, nothing asserts how
//! fast something is, and the tests run one after the other because a call needs its processor; `tests/run.sh` lets those with
//! OpenClaw, which wait most, run in a process beside.
//!
//! A peer that is not installed is skipped by name; OFFHOOK_REQUIRE_PEERS=1 makes that a failure.
//!
//! Here: the harness (`offhook`, `baresip`, `linphone_phone`, `drill`, `sipp`, `process`, `peers`, `sound`,
//! `telegram_stand_in`, `texts`) and, by subject, the tests.

mod baresip;
mod browser;
mod drill;
mod linphone_phone;
mod offhook;
mod peers;
mod process;
mod sipp;
mod sound;
mod telegram_stand_in;
mod texts;

mod audio_api;
mod barge_in;
mod between;
mod browser_phone;
mod callback;
mod callback_openclaw;
mod calls;
mod lifetime;
mod linphone;
mod matrix;
mod messages;
mod openclaw;
mod page;
mod passing;
mod pauses;
mod registration;
mod secure;
mod strangers;
mod talk;
mod telegram;
mod transports;
mod wyoming;
