//! When to speak, and with whom: the turn, the conversation, and the gateways that think.
//!
//! `turn`, `endpoint`, `interjection`, `words`, `conversation` and `phone_text` are pure and know no clock and
//! no socket. `gateways` talk to agents over the network, or answer from within. Owns no
//! sound: what is heard and what is played is told in words and ids.

pub mod approvals;
pub mod budget;
pub mod channels;
pub mod conversation;
pub mod endpoint;
pub mod gateways;
pub mod interjection;
pub mod levels;
pub mod openclaw;
pub mod phone_text;
pub mod proxy;
pub mod router;
pub mod tools;
pub mod turn;
pub mod words;

#[doc(hidden)]
pub mod fuzz;
#[doc(hidden)]
pub mod words_fuzz;
