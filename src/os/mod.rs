//! What the operating system is asked for: places, accounts, time limits, system calls.

pub mod accounts;
pub mod file_mode;
pub mod in_time;
pub mod paths;
pub mod sd_notify;
pub mod sys;
