//! The store when its process is killed.
