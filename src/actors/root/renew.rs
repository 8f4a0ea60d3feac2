//! Reads the files again while the node runs. Nothing here stops anything, however bad a file is.
//! Spec: docs/protocol/config.md, 5.3 and 9.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use futures_util::future::join_all;
use tracing::error;

use super::RootActor;
use crate::actors::messages::UpdateKeys;
use crate::config::load::{self, ConfigFailure, LoadOptions, Loaded, Purpose};
use crate::config::remembered::{Answers, Recorder};
use crate::config::types::LogConfig;
use crate::ha_log::Targets;
use crate::inspect;
use crate::notice::{self, Notice, Severity};
use crate::os::paths::Paths;
use crate::process::reload::{Changes, Stamps, changed_parts, needs_stop, program_replaced};
use crate::process::unread::Marks;
use crate::protocol::auth::KeyRing;

/// How long a medium may take to hear of new keys.
const KEYS_TOLD: Duration = Duration::from_secs(1);

/// The keys and the notices about them, or the notices why there are none.
type ReadKeys = Result<(KeyRing, Vec<Notice>), Vec<Notice>>;

/// The present content of the files.
struct Reading {
    stamps: Stamps,
    changes: Changes,
    /// Another program has replaced ours.
    upgraded: bool,
    keys: Option<ReadKeys>,
    config: Option<Result<Loaded, Box<ConfigFailure>>>,
    /// What was read for the keys.
    for_keys: Answers,
    /// What was read for the rest.
    for_config: Answers,
}

/// Reads what changed since `before`. Blocks: it asks the disk and the resolver.
fn read(paths: &Paths, program: &Path, before: Stamps, options: LoadOptions) -> Reading {
    let stamps = Stamps::take(paths);
    let changes = before.changes(&stamps);
    let upgraded = program_replaced(program);
    let options = LoadOptions {
        purpose: Purpose::Reload,
        ..options
    };
    let (for_keys, for_config) = (Recorder::default(), Recorder::default());
    Reading {
        stamps,
        changes,
        upgraded,
        keys: changes.authkeys.then(|| load::load_keys(paths, &for_keys)),
        config: (changes.configuration() || changes.haresources || upgraded)
            .then(|| inspect::load(paths, &for_config, &options)),
        for_keys: for_keys.into_answers(),
        for_config: for_config.into_answers(),
    }
}

impl RootActor {
    /// Checks the files on another thread, and takes over what can be taken over.
    pub(super) fn reload(&mut self, ctx: &mut Context<Self>) {
        if !self.reloads.ask() {
            return;
        }
        let (paths, before, options) = (self.paths.clone(), self.stamps, self.load_options);
        let program = self.program.clone();
        let work = tokio::task::spawn_blocking(move || read(&paths, &program, before, options));
        ctx.spawn(work.into_actor(self).map(|read, root, ctx| {
            let again = root.reloads.done();
            match read {
                Ok(reading) => root.take_over(reading, ctx),
                Err(error) => error!(%error, "the files could not be read again"),
            }
            if again {
                root.reload(ctx);
            }
        }));
    }

    /// Takes everything over or nothing: one bad file leaves the others as they were too. What was refused, or waits for
    /// a restart, is found changed again by the next reload.
    fn take_over(&mut self, reading: Reading, ctx: &mut Context<Self>) {
        if !reading.changes.any() && !reading.upgraded {
            self.say("Configuration unchanged.");
            return;
        }
        self.call_the_doctor(ctx);
        let config = match reading.config.transpose() {
            Ok(config) => config,
            Err(failure) => return self.refuse(&failure.lines),
        };
        if let Some(loaded) = &config
            && let Some(why) = needs_stop(&self.config, loaded, &self.paths)
        {
            return self.refuse(&[Notice::OtherError { text: why }]);
        }
        match reading.keys {
            None => {}
            Some(Ok((keys, remarks))) => {
                self.say("Rereading authentication file.");
                remarks.iter().for_each(notice::log);
                self.stamps.take_keys_of(&reading.stamps);
                self.successor
                    .update_keys(reading.for_keys, &reading.stamps);
                self.hand_keys_on(Arc::new(keys), ctx);
            }
            Some(Err(complaints)) => {
                self.say("Rereading authentication file.");
                complaints.iter().for_each(notice::log);
                let text = "Authentication reparsing error: the old keys stay in use.";
                self.log.line(Severity::Error, text);
                return;
            }
        }
        match config {
            None => {}
            Some(_) if reading.upgraded => {
                self.say("The program was replaced by another: restarting with that one.");
                self.restart(ctx);
            }
            Some(loaded) if reading.changes.configuration() => self.take_config(loaded.config, ctx),
            Some(loaded) if self.config.groups == loaded.config.groups => {
                self.stamps.take_haresources_of(&reading.stamps);
                let answers = reading.for_config;
                self.successor.update_haresources(answers, &reading.stamps);
            }
            Some(_) => {
                // The whole core uses owners and groups: a new process begins with them, and what
                // runs goes on.
                self.say("Configuration changed: haresources");
                self.restart(ctx);
            }
        }
        let answers = &self.successor.files.answers;
        self.unread.in_force(Marks::in_force(answers, &self.paths));
    }

    fn refuse(&self, lines: &[Notice]) {
        lines.iter().for_each(notice::log);
        let pid = std::process::id();
        self.say(format!("Config errors: Heartbeat pid {pid} NOT restarted"));
    }

    /// Membership signs with new keys when every medium verifies with them: what this node sends comes back to it on
    /// some. A medium that hangs is not waited for.
    fn hand_keys_on(&mut self, keys: Arc<KeyRing>, ctx: &mut Context<Self>) {
        self.keys_untold = Some(Arc::clone(&keys));
        let news = || UpdateKeys(Arc::clone(&keys));
        let media = join_all(self.media.iter().map(|medium| medium.send(news())));
        let serials = join_all(self.serials.iter().map(|port| port.send(news())));
        let pings = join_all(self.pings.iter().map(|ping| ping.send(news())));
        let told = async {
            let all = async { tokio::join!(media, serials, pings) };
            let _ = tokio::time::timeout(KEYS_TOLD, all).await;
        };
        ctx.spawn(told.into_actor(self).map(move |(), root, _| {
            // Unless newer ones came meanwhile.
            if let Some(keys) = root.keys_untold.take_if(|it| Arc::ptr_eq(it, &keys)) {
                root.membership.do_send(UpdateKeys(keys));
            }
        }));
    }

    /// `ha.cf` or `systole.toml` was touched or changed, and is good: the process replaces itself. Only a new process
    /// gives the new log to scripts and clients, which have the paths in their environment; and no
    /// list of what may change without a restart can be wrong. A mere touch counts: it is the way
    /// to ask for a restart, for example after an upgrade.
    fn take_config(&mut self, new: crate::config::Config, ctx: &mut Context<Self>) {
        let changed = changed_parts(&self.config, &new);
        if !changed.is_empty() {
            self.say(format!("Configuration changed: {}", changed.join(", ")));
        }
        if self.config.log != new.log {
            self.take_log(new.log);
        }
        self.restart(ctx);
    }

    /// The daemon's own lines use the new log at once: a restart may have to wait for a script.
    fn take_log(&mut self, new: LogConfig) {
        // Unless USR1 or USR2 have changed it meanwhile.
        if self.config.log.debug != new.debug {
            self.log.set_debug(new.debug);
        }
        self.log.aim(Targets::from_config(&new, false));
        let mut running = (*self.config).clone();
        running.log = new;
        self.config = Arc::new(running);
    }

    fn say(&self, text: impl Into<String>) {
        self.log.line(Severity::Info, text);
    }
}
