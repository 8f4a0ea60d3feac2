//! The two accounts that the legacy package makes. Looked up at start only.

use nix::unistd::{Group, User};

/// User that owns logs and run-time directories.
pub const USER: &str = "hacluster";
/// Group of the clients.
pub const GROUP: &str = "haclient";

/// Numbers of `hacluster` and `haclient`; `None` when one of them does not exist.
#[must_use]
pub fn hacluster() -> Option<(u32, u32)> {
    let user = User::from_name(USER).ok().flatten()?;
    let group = Group::from_name(GROUP).ok().flatten()?;
    Some((user.uid.as_raw(), group.gid.as_raw()))
}
