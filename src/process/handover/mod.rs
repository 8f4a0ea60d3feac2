//! What a daemon leaves to whoever goes on in its place: a successor after a sudden death or after a
//! restart in place, a guardian, the program that releases everything.
//!
//! | File in `/run` | What | Written | Read by |
//! |---|---|---|---|
//! | `heartbeat.held` | the node's state ([`NodeState`]): what it holds, which groups may run, which orders are in hand | before an order goes on and before its outcome goes back ([`StateFile`]); by `actors/root/held.rs` | guardian, release, successor; `heartbeat -k` looks whether any of the three is there |
//! | `heartbeat.good` | the files in use ([`LastGood`](crate::process::reload::LastGood)): configuration, keys, accounts | at the start, and when keys are reloaded | successor after a death, release |
//! | `heartbeat.identity` | generation and uuid ([`RunningIdentity`](crate::process::state_files::RunningIdentity)) | at each generation | successor after a death |
//!
//! They are three files: the first is emptied when it cannot be written, or when it is too long, and the daemon that
//! then releases everything still needs the other two. Nothing but an orderly end and a complete release
//! takes all of them away: where the first is missing or empty after a death, everything may run. The second holds keys and may be long, and is
//! written rarely.
//!
//! What of the state travels on which road:
//!
//! | Fact | After a death, and by `exec` | After a panic of the core (in memory) |
//! |---|---|---|
//! | what is held, whether all is released or frozen, the open standby, whether foreign groups go home | [`Duty`](crate::node::resume::Duty), told by membership at each change | the same |
//! | groups that may run, unfinished orders | orders and outcomes, as root hands them on | the same, as membership gives and hears them |
//! | whether something may run of which nobody knows | the file that could not be read, until everything is released | not: only a daemon that releases everything has it |
//! | whether the process replaces itself | root, with the last write before `exec` | - |
//! | whose each group is | haresources at the start, and what was left or came | not: the file is the same |
//! | options of the process | [`Called`] | - |
//!
//! Not handed on: why things were decided (`systole why`), pauses after a failed start, dead times that
//! peers announced (only over a panic), and a debug level that a signal has changed.
//!
//! # The file of the node's state
//!
//! One file in two languages. The words of a command line, one a line: a guardian of an earlier version
//! may still be there in the first seconds after an upgrade, and it passes lines on and understands none.
//! Among them, before `--`, where every version ignores what it does not know, stands the whole state
//! as JSON, in pieces (`systole: state ...`). A reader takes the JSON, and the words where there is
//! none or it cannot be read. An older program overwrites the file as a whole: old words never stand beside
//! new JSON.
//!
//! | Reads | Written by 381d4ec | by the version before this | by this version | by a later one | by one that this cannot understand (`readable_by`) |
//! |---|---|---|---|---|---|
//! | a guardian of 381d4ec | - | passes the lines on | passes the lines on | the same | the same, as long as words are written |
//! | a daemon of 381d4ec or of the version before | its words | its words | its words; the rest is ignored | the same | the same |
//! | this version | words; whose the groups are is unknown | words | JSON | JSON; unknown fields are ignored | words; JSON alone: everything is released |
//!
//! A daemon that begins with `-R` goes by JSON on its command line (`guardian = "off"`, or a file that could
//! not be written). Without it the file's JSON counts when the words beside it are those of the command
//! line; else somebody else was meant: a person gave the words, or the file was written anew meanwhile. Then
//! the words count.

pub mod file;
pub mod state;
pub mod words;

pub use file::{Kept, StateFile, read};
pub use state::{Called, GroupState, NodeState, Road};
