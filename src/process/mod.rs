//! Life and death of the daemon: which process starts which, what goes on in its place, and by
//! which files and locks.
//!
//! # Which process starts which
//!
//! A process is known by its first word. "Own image" is `/proc/self/exe`: a program that must be of
//! this version is started from it, because the file may have been exchanged since. "By path" is
//! used where the new version is wanted.
//!
//! | Process (first word) | Started by | From | Descriptors | Lock that it must have | It reports |
//! |---|---|---|---|---|---|
//! | `heartbeat`, the caller | a person, systemd | installed | 0, 1, 2 stay, all others are closed for its children | none | its exit code |
//! | `heartbeat: master control process`, the daemon | the caller ([`daemonize`]) | the caller's file | 0 null; 1 a pipe to the caller, 2 the caller's; all null once it is ready | the guardian's, taken **and released**: there is none; then the daemon's, kept | `+` on the pipe when the media are open |
//! | the same with `-f` | is the caller | | the caller's until it is ready | the same | READY=1 to systemd |
//! | the same with `-R`, after a restart in place | itself, by `exec` (`actors/root/restart.rs`) | **by path** | 0 the guardian's socket ([`Link::offer`](guardian::Link::offer)); signals held back | the daemon's, released by the `exec` and taken again within 2 s | `r` to the guardian before, `b` after its first heartbeat |
//! | `heartbeat: guardian PID` | the daemon ([`Link::start_guardian`](guardian::Link::start_guardian)) | own image, else by path | 0 one end of a pair of sockets; 1, 2 null. It opens the daemon's image and a descriptor of its process | the guardian's, within 2 s, kept | the end of its socket |
//! | the daemon with `-R`, after a death | the guardian | the last daemon's image, the file, its own image | 0 its end of a new pair; 1, 2 null | the daemon's, within 2 s; the pid file is taken over | a page for heartbeats, how long the others wait, `b`, `s`, `u`, `d` ([`guardian`]) |
//! | the same, only to release everything | the guardian | own image, else by path | the same | the daemon's, **tried once**: a dead one may hang in the kernel | the same |
//! | `heartbeat: releasing resources WHY DETAIL MS` | the guardian, by `exec` or in its own process; systemd after the end (`orphaned`) | own image, else by path | its own | the guardian's, kept over the `exec`; then the daemon's (tried once when that was killed) | 1; 0 only when there is nothing to do |
//! | `heartbeat: resource script ...`, beside a script | the daemon (`agents/child`) | own image | 0 null; 1, 2 the script's output | none | the file with the script's exit code |
//! | a script | that process, or the daemon | `/etc/ha.d/resource.d` and others | the same; its own process group | none | its exit code |
//! | a respawned client | the thread `clients`; it dies with that | `/bin/sh -c exec ...` | 0, 1, 2 null; another user | none | its exit code |
//!
//! # Which process writes what
//!
//! | In `/run` | Written by | Read by | Removed |
//! |---|---|---|---|
//! | `heartbeat.held`, `.good`, `.identity` | root and the groups, see [`handover`] | guardian, release, successor | at an orderly end, and by a complete release |
//! | `heartbeat.scripts/` | the process beside the script | the next caller of the same script | with each script |
//! | `heartbeat.addresses/` | the program that adds an address (`net/address_record.rs`) | every program that handles addresses | when the address is removed |
//! | `heartbeat.lock`, `heartbeat.guardian` | none: they are locked ([`locks`]) | | never |
//! | `heartbeat.view` | the daemon | `systole`, `systole-web`: for the group `systole-view` | by the next daemon, which makes a new one |
//! | `heartbeat.pid` | the daemon ([`pid_file`]) | every program | at an orderly end; not by a release |
//!
//! [`state_files`] lists what is kept over a restart of the machine.

pub mod daemonize;
pub mod files;
pub mod guardian;
pub mod handover;
pub mod host_addresses;
pub mod locks;
pub mod pid_file;
pub mod reload;
pub mod startup;
pub mod state_files;
pub mod unread;

/// Exit code of a process that could not do its work, and of every release: the node is down then.
pub const EXIT_GENERIC: u8 = 1;
