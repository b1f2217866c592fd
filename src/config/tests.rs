//! The config reader as tables.
