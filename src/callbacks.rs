//! Call-backs: the assistant calls a user because something is to be said. Here: what a request is, what becomes of it, and
//! when (`plan`, PURE); the task around that (`desk`). Not here: how a phone is made to ring (`switchboard/outgoing`), what
//! is said after the first words (`call`), the routes (`api`, `mcp`).

pub mod boundary;
pub mod desk;
pub mod plan;
pub mod quiet;
mod rows;

pub use boundary::*;
pub use desk::{Desk, DeskError};
pub use plan::Plan;
