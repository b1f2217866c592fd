//! Tables for the queue, driven through scripted engines.
