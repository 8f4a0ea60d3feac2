//! The two accounts that the legacy package makes, and those of respawned clients. Looked up once,
//! at the start: the name service may hang later, and later callers must not wait.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::io;
use std::sync::OnceLock;

use nix::unistd::{Group, Uid, User, getgrouplist};
use serde::{Deserialize, Serialize};

/// User that owns logs and run-time directories.
pub const USER: &str = "hacluster";
/// Group of the clients.
pub const GROUP: &str = "haclient";
/// Group of those who may look at a node and give no order.
pub const VIEWERS: &str = "systole-view";

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

/// Number of the group [`VIEWERS`], if there is one. Asks the name service.
#[must_use]
pub fn viewers() -> Option<u32> {
    let group = Group::from_name(VIEWERS).ok().flatten()?;
    Some(group.gid.as_raw())
}

/// Name of a user. Asks the name service.
#[must_use]
pub fn name_of_user(uid: u32) -> Option<String> {
    let user = User::from_uid(Uid::from_raw(uid)).ok().flatten()?;
    Some(user.name)
}

/// The identity as which a client runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// User.
    pub uid: u32,
    /// The user's own group.
    pub gid: u32,
    /// All groups, the own one included.
    pub groups: Vec<u32>,
}

impl Account {
    /// Looks a user up. Reads files and perhaps asks a server: only at the start.
    ///
    /// # Errors
    /// The error of the system; [`io::ErrorKind::NotFound`] if there is no such user.
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

/// Users by their names; `None`: there is no such user. A successor after a sudden death uses what
/// was looked up before: a name service that hangs must not keep it from sending heartbeats.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accounts(BTreeMap<String, Option<Account>>);

impl Accounts {
    /// Looks up those of `users` that are not known yet. Reads files and perhaps asks a server.
    pub fn look_up<'a>(&mut self, users: impl IntoIterator<Item = &'a str>) {
        for user in users {
            if !self.0.contains_key(user) {
                self.0.insert(user.to_owned(), Account::of(user).ok());
            }
        }
    }

    /// The known data of a user.
    #[must_use]
    pub fn of(&self, user: &str) -> Option<&Account> {
        self.0.get(user)?.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answer that there is no such user is kept too: asking again may hang.
    #[test]
    fn no_user_is_looked_up_twice() {
        let mut before = Accounts::default();
        before.look_up(["root", "no such user"]);
        let root = before.of("root").cloned();
        assert_eq!(root.as_ref().map(|it| (it.uid, it.gid)), Some((0, 0)));
        assert_eq!(before.of("no such user"), None);
        let text = serde_json::to_string(&before).unwrap();
        let kept = text.replace("no such user", "nobody").replace(":0", ":7");
        let mut next: Accounts = serde_json::from_str(&kept).unwrap();
        next.look_up(["root", "nobody"]);
        assert_eq!(next.of("root").map(|it| it.uid), Some(7));
        assert_eq!(next.of("nobody"), None, "it is not asked for again");
    }
}
