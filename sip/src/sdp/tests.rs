//! Session descriptions as phones write them.
