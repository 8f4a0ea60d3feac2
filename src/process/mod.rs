//! Life and death of the daemon: who starts whom, what goes on in its place, and by which files and locks.

pub mod daemonize;
pub mod guardian;
pub mod pid_file;
pub mod reload;
pub mod run_file;
pub mod startup;
pub mod state_files;
