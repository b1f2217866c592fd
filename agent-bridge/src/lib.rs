//! agent-bridge
