//! The operating system: paths, accounts, time limits, system calls.

pub mod accounts;
pub mod blocked_signals;
pub mod execute;
pub mod file_mode;
pub mod in_time;
pub mod paths;
pub mod pressure;
pub mod sd_notify;
pub mod sys;
