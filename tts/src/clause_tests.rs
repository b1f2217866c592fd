//! Tests of this crate's room beside it.
