//! PURE.
//! The transaction layer, RFC 3261 §17 with the corrections of RFC 6026. One machine per file; each holds its timers, is
//! told the time and says what to do in a word. Does not own messages, sockets or the tables that find a transaction
//! (see `key` and `endpoint`).

pub(crate) mod client;
pub(crate) mod client_invite;
pub(crate) mod key;
pub(crate) mod server;
pub(crate) mod server_invite;
#[cfg(test)]
mod tests;

/// What a machine wants after one of its timers fired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fired {
    /// Too early, or nothing to do now.
    Nothing,
    /// Send the stored packet again.
    Resend,
    /// Nobody answered: tell the user; the transaction is over.
    TimedOut,
    /// Over, in good order.
    Ended,
}

/// What a client machine wants done with a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Received {
    /// Give it to the user.
    Pass,
    /// Give it to the user, and acknowledge it with the transaction's own ACK.
    PassAndAck,
    /// The same final response again: only acknowledge it again.
    Ack,
    /// Known already.
    Absorb,
}
