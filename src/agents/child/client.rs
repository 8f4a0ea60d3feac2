//! The process of a respawned client: it runs as another user, has none of our descriptors, and
//! ends when we end.
//! Spec: docs/protocol/membership.md, 9.1.

use std::io;
use std::process::Stdio;
use std::sync::Arc;

use tokio::process::{Child, Command};

use crate::agents::script::Environment;
use crate::os::accounts::Account;
use crate::os::sd_notify;
use crate::os::sys;

/// Starts a command line through a shell, as the leader of its own process group.
///
/// Working directory, session and environment are ours, plus `environment`. Normal scheduling: only
/// the cluster thread has another class, and it starts no process. The caller must wait for the
/// child.
///
/// # Errors
/// The error of the system.
pub fn start(
    command: &str,
    environment: &Arc<Environment>,
    account: &Account,
) -> io::Result<Child> {
    let mut shell = Command::new("/bin/sh");
    shell
        .arg("-c")
        .arg(format!("exec {command}"))
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    for name in sd_notify::VARIABLES {
        shell.env_remove(name);
    }
    // See [`super::spawn`].
    shell.env_remove("PWD");
    for (name, value) in environment.iter() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    sys::run_as(
        shell.as_std_mut(),
        account.uid,
        account.gid,
        account.groups.clone(),
    );
    shell.spawn()
}
