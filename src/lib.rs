//! The program: everything that touches the world. The binary in `main.rs` is a thin start.
