//! PURE. The config file written on first start. A test keeps it true: as it stands it is the default
//! config, and every key in it, commented out or not, exists.

/// The text of a fresh `offhook.toml`.
pub const TEMPLATE: &str = include_str!("template.toml");
