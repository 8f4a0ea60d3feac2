//! Life and death of the daemon: who starts whom, what goes on in its place, and by which files and locks.

pub mod daemonize;
pub mod files;
pub mod guardian;
pub mod handover;
pub mod locks;
pub mod pid_file;
pub mod reload;
pub mod startup;
pub mod state_files;
