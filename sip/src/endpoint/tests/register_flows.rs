//! register_flows
