//! Typed header values: what is read, what is printed back, what is refused.
