//! `systole top`: its screens of recorded views, hostile ones, and the program on a pseudo-terminal.
//!
//! Each file in `views` is what a node of a real pair told, and the time: `{"now":UNIX,"view":{...},"decisions":[...]}`, from
//! `systole view` and `systole why --json`. `SYSTOLE_WRITE=1` writes the screens that belong to them.
#![allow(
    clippy::disallowed_methods,
    reason = "a test drives real programs and waits for them by the real clock"
)]
#![allow(missing_docs, unreachable_pub, reason = "a test program")]

#[path = "../common/pty.rs"]
mod pty;

mod hostile;
mod program;
mod screens;
