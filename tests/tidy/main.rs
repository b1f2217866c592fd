//! The house rules as a test: who may depend on whom, what a pure file may not touch, file headers and lengths, words
//! that say nothing, and documents that must not drift from the program. One rule per test, all its offences at once.

mod dependencies;
mod documents;
mod names;
mod pure;
mod sources;
mod tree;
