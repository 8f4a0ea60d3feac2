//! The command line: option letters, what is printed, status and stop. Spec: tools, section 1.

pub mod options;
pub mod talk;

pub use options::{Command, Held, OptionError, Options};
