//! Looks now and then whether a file was changed and is not in force, and says so: in the log, and through membership
//! in `systole status` and `systole check`.

use actix::prelude::*;

use super::RootActor;
use crate::actors::messages::FilesNotInForce;
use crate::actors::threads::Aside;
use crate::clock::Clock;
use crate::notice;
use crate::process::reload::Stamps;
use crate::process::unread::{self, Marks, Unread};

/// What was seen. One look at a time: each would keep a thread while the disk hangs.
#[derive(Debug)]
pub(super) struct Watch {
    clock: Clock,
    in_force: Marks,
    seen: Option<Stamps>,
    looking: bool,
    /// A file can be a pipe, or its disk hang, for ever: the end of the program waits for what `spawn_blocking` started.
    aside: Aside,
    unread: Unread,
    /// Membership was told that there are some.
    told: bool,
}

impl Watch {
    pub(super) fn new(in_force: Marks) -> Self {
        Self {
            clock: Clock::start(),
            in_force,
            seen: None,
            looking: false,
            aside: Aside::default(),
            unread: Unread::default(),
            told: false,
        }
    }

    /// Other content is in force now.
    pub(super) const fn in_force(&mut self, marks: Marks) {
        self.in_force = marks;
        self.seen = None;
    }

    /// The last look is no longer waited for.
    pub(super) fn is_lost(&mut self) {
        self.looking = false;
        self.aside = Aside::default();
    }
}

impl RootActor {
    /// Looks at the files on another thread, and says what is due.
    pub(super) fn look_for_unread(&mut self, ctx: &mut Context<Self>) {
        self.tell_unread();
        if std::mem::replace(&mut self.unread.looking, true) {
            return;
        }
        let (paths, marks, seen) = (self.paths.clone(), self.unread.in_force, self.unread.seen);
        let look = move || unread::look(&paths, &marks, seen.as_ref());
        let work = self.unread.aside.run(look).into_actor(self);
        ctx.spawn(work.map(move |found, root, _| {
            let watch = &mut root.unread;
            watch.looking = false;
            // What is in force may have changed meanwhile.
            if let (Ok(Some((stamps, names))), true) = (found, watch.in_force == marks) {
                watch.seen = Some(stamps);
                watch.unread.found(names, watch.clock.now().instant);
                root.tell_unread();
            }
        }));
    }

    fn tell_unread(&mut self) {
        let watch = &mut self.unread;
        let now = watch.clock.now().instant;
        if let Some(line) = watch.unread.line(now) {
            notice::log(&line);
        }
        let names = watch.unread.overdue(now);
        // Again and again: membership may have begun anew.
        if std::mem::replace(&mut watch.told, !names.is_empty()) || watch.told {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            self.membership.do_send(FilesNotInForce(names));
        }
    }
}
