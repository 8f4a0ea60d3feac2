//! A resource that cannot be stopped, or a `failfast` client that died: the machine must go, so that another node may take over.
//! Spec: resources, section 9.4; membership, section 12.
//!
//! Legacy kills itself and calls `/sbin/reboot -nf`, then `/sbin/init 6`. We call them first and
//! end only when one of them accepts: a node that can neither stop a resource nor reboot keeps
//! beating, because its silence would start the resource a second time elsewhere. The two paths
//! are the seam: a test puts harmless programs there.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;

use super::RootActor;
use crate::actors::child::{self, ChildSpec, OutputTarget};
use crate::notice::Severity;
use crate::resources::script::Environment;

/// Tried in this order.
const COMMANDS: [(&str, &[&str]); 2] = [("/sbin/reboot", &["-nf"]), ("/sbin/init", &["6"])];

/// Longest run of one of them.
const LIMIT: Duration = Duration::from_secs(30);

/// How long the log may take to reach the disk before.
const FLUSH: Duration = Duration::from_millis(500);

/// How long writing everything to the disks may take before.
const SYNC: Duration = Duration::from_secs(5);

/// Exit code when the machine was told to restart.
const EXIT_REBOOTING: u8 = 100;

/// Why the machine must go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reason {
    /// This resource word still runs.
    Resource(String),
    /// This `failfast` command died.
    Client(String),
}

/// Restarts the machine.
pub(super) fn reboot(root: &mut RootActor, reason: &Reason, ctx: &mut Context<RootActor>) {
    let (text, refused) = match reason {
        Reason::Resource(resource) => (
            format!("Rebooting the machine: {resource} cannot be stopped."),
            "The machine cannot be rebooted: stop the resource by hand, then heartbeat.",
        ),
        Reason::Client(command) => (
            format!("Rebooting system.  Reason: {command}"),
            "The machine cannot be rebooted: the node goes on without the client.",
        ),
    };
    root.log.line(Severity::Emerg, text);
    root.log.flush(FLUSH);
    let environment = Arc::new(Environment::default());
    let sync = matches!(reason, Reason::Client(_));
    let work = async move {
        if sync {
            // The reboot does not wait for the disks. A disk that hangs must not stop it.
            let synced = tokio::task::spawn_blocking(nix::unistd::sync);
            let _ = tokio::time::timeout(SYNC, synced).await;
        }
        for (program, args) in COMMANDS {
            let spec = ChildSpec {
                program: PathBuf::from(program),
                args: args.iter().map(|&arg| arg.to_owned()).collect(),
                environment: Arc::clone(&environment),
                directory: PathBuf::from("/"),
                capture: false,
                output: OutputTarget::default(),
                limit: LIMIT,
                kill_after: LIMIT,
                record: None,
            };
            if child::run(spec, None).await.success() {
                return true;
            }
        }
        false
    };
    ctx.spawn(work.into_actor(root).map(move |accepted, root, _| {
        if accepted {
            root.end(EXIT_REBOOTING);
        } else {
            root.log.line(Severity::Crit, refused);
        }
    }));
}
