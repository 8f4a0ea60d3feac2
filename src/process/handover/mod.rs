//! What a daemon leaves to the process that goes on in its place: a successor after a sudden death
//! or after a restart in place, a guardian, or the program that releases everything.
//!
//! | File in `/run` | What | Written | Read by |
//! |---|---|---|---|
//! | `heartbeat.held` | the node's state ([`NodeState`]): what it holds, which groups may run, which orders are in hand | before an order goes on and before its outcome goes back ([`StateFile`]); by `actors/groups/held.rs` | guardian, release, successor; `heartbeat -k` checks whether any of the three exists |
//! | `heartbeat.good` | the files in use ([`LastGood`](crate::process::reload::LastGood)): configuration, keys, accounts | at the start, and when keys are reloaded | successor after a death, release |
//! | `heartbeat.identity` | generation and uuid ([`RunningIdentity`](crate::process::state_files::RunningIdentity)) | at each generation | successor after a death |
//!
//! They are three files because the first is emptied when it cannot be written, or when it is too
//! long, and the daemon that then releases everything still needs the other two. Only an orderly
//! end and a complete release remove all of them: if the first is missing or empty after a death,
//! everything may run. The second holds keys and may be long, and is written rarely.
//!
//! Which fact is handed over by which road:
//!
//! | Fact | After a death, and by `exec` | After a panic of the core (in memory) |
//! |---|---|---|
//! | what is held, whether all is released or frozen, the open standby, whether foreign groups go back to their owner | [`Duty`](crate::node::resume::Duty), sent by membership at each change | the same |
//! | groups that may run, unfinished orders | orders and outcomes, as the groups hand them on | the same, as membership gives and receives them |
//! | whether unknown groups may run | from the file that could not be read, until everything is released | no: only a daemon that releases everything has it |
//! | whether the process replaces itself | root, with the last write before `exec` | - |
//! | the owner of each group | haresources at the start, and which groups were left or came | no: the file is the same |
//! | options of the process | [`Called`] | - |
//!
//! Not handed over: the causes of decisions (`systole why`), pauses after a failed start, dead
//! times that peers announced (only after a panic), and a debug level that a signal has changed.
//!
//! # The file of the node's state
//!
//! The file contains the state twice. First as the words of a command line, one per line: a
//! guardian of an earlier version may still run in the first seconds after an upgrade, and it
//! passes the lines on without understanding them. Among the words, before `--`, where every
//! version ignores what it does not know, is the whole state as JSON, in pieces (`systole: state
//! ...`). A reader uses the JSON, and the words if there is no JSON or it cannot be read. An older
//! program overwrites the whole file, so old words are never beside new JSON.
//!
//! The oldest version that may have written it or may read it (`tests/lab/older.rs` runs it) writes
//! words only.
//!
//! | Reader | Written by the oldest version | by the version before this | by this version | by a later one | by one that this cannot understand (`readable_by`) |
//! |---|---|---|---|---|---|
//! | a guardian of the oldest version | - | passes the lines on | passes the lines on | the same | the same, as long as words are written |
//! | a daemon of the oldest version or of the one before this | its words | its words | its words; the rest is ignored | the same | the same |
//! | this version | words; the owners of the groups are unknown | words | JSON | JSON; unknown fields are ignored | words; JSON alone: everything is released |
//!
//! A daemon that begins with `-R` uses JSON on its command line (`guardian = "off"`, or a file that
//! could not be written). Without that, the file's JSON counts if the words beside it are those of
//! the command line. Otherwise the file is not meant: a person gave the words, or the file was
//! written anew meanwhile. Then the words count.

pub mod file;
pub mod state;
pub mod words;

pub use file::{Kept, StateFile, read};
pub use state::{Called, GroupState, NodeState, Road};
