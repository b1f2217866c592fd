//! Models on disk and over a network of one machine.
