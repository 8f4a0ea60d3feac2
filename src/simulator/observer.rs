//! What a run tells those who watch it.

use std::fmt::{self, Write as _};

use crate::protocol::event::{Action, GroupOrder};

use super::ids::{GroupId, HostId};
use super::world::Micros;

/// Watches a run. It changes nothing in it. `now`: microseconds of virtual time.
pub trait Observer {
    /// Something that a person who reads the run wants to know.
    fn note(&self, now: Micros, text: fmt::Arguments<'_>) {
        let _ = (now, text);
    }

    /// A core gives an action, before it is carried out.
    fn action(&self, now: Micros, host: HostId, action: &Action) {
        let _ = (now, host, action);
    }

    /// A second host begins to run a group.
    fn overlap(&self, now: Micros, group: GroupId) {
        let _ = (now, group);
    }

    /// A group that runs nothing here begins to start, or any group to stop.
    fn script(&self, now: Micros, host: HostId, group: GroupId, what: GroupOrder) {
        let _ = (now, host, group, what);
    }
}

/// Nobody watches.
#[derive(Debug, Clone, Copy)]
pub struct Nobody;

impl Observer for Nobody {}

/// An action in a line, for people.
pub fn line_of(action: &Action) -> String {
    let mut line = String::new();
    let message = match action {
        Action::Transmit(message) => Some(("->", message)),
        Action::Deliver { message, .. } => Some(("for clients:", message)),
        Action::RunHook(message) => Some(("hook:", message)),
        Action::Notice(notice) => return format!("{}: {notice}", notice.severity().word()),
        other => return format!("{other:?}"),
    };
    if let Some((what, message)) = message {
        line.push_str(what);
        for field in message.fields() {
            let name = String::from_utf8_lossy(&field.name);
            let usual = ["src", "srcuuid", "destuuid", "ts", "ld", "ttl", "systole"];
            if let (false, Some(text)) = (usual.contains(&&*name), message.text(&name)) {
                let _ = write!(line, " {name}={text}");
            }
        }
    }
    line
}
