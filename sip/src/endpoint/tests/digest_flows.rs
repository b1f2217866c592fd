//! digest_flows
