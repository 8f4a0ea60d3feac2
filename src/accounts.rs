//! The two accounts that the legacy package makes. Looked up once, at start: the name service may
//! hang later, and those who ask then may not wait.

use std::sync::OnceLock;

use nix::unistd::{Group, User};

/// User that owns logs and run-time directories.
pub const USER: &str = "hacluster";
/// Group of the clients.
pub const GROUP: &str = "haclient";

/// Numbers of `hacluster` and `haclient`, as this process first found them; `None` when one of
/// them did not exist.
#[must_use]
pub fn hacluster() -> Option<(u32, u32)> {
    static FOUND: OnceLock<Option<(u32, u32)>> = OnceLock::new();
    *FOUND.get_or_init(look_up)
}

fn look_up() -> Option<(u32, u32)> {
    let user = User::from_name(USER).ok().flatten()?;
    let group = Group::from_name(GROUP).ok().flatten()?;
    Some((user.uid.as_raw(), group.gid.as_raw()))
}
