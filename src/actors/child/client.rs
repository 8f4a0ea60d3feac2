//! The process of a respawned client: another user, no descriptor of ours, and it ends when we do.
//! Spec: membership, section 9.1.

use std::ffi::CString;
use std::io;
use std::process::Stdio;
use std::sync::Arc;

use nix::unistd::{User, getgrouplist};
use tokio::process::{Child, Command};

use crate::resources::script::Environment;
use crate::service_manager;
use crate::sys;

/// Whom a client runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// User.
    pub uid: u32,
    /// The user's own group.
    pub gid: u32,
    /// All groups, the own one included.
    pub groups: Vec<u32>,
}

impl Account {
    /// Looks a user up. Reads files and perhaps asks a server: at start only.
    ///
    /// # Errors
    /// What the system said; [`io::ErrorKind::NotFound`] when there is no such user.
    pub fn of(user: &str) -> io::Result<Self> {
        let found = User::from_name(user)?.ok_or(io::ErrorKind::NotFound)?;
        let groups = getgrouplist(&CString::new(user)?, found.gid)?;
        Ok(Self {
            uid: found.uid.as_raw(),
            gid: found.gid.as_raw(),
            groups: groups.into_iter().map(|group| group.as_raw()).collect(),
        })
    }
}

/// Starts a command line through a shell, as the leader of a process group of its own.
///
/// Working directory, session and environment are ours, `environment` on top. Normal scheduling:
/// only the cluster thread has another class, and it starts no process. Whoever takes the child
/// must wait for it.
///
/// # Errors
/// What the system said.
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
    for name in service_manager::VARIABLES {
        shell.env_remove(name);
    }
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
