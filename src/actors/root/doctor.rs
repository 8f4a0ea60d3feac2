//! Has the doctor look at the files and the host, once after a start and after a reload. A program of its own does it, at
//! the lowest priority and with a time limit: nothing here waits for it, and no heartbeat does.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tracing::debug;

use super::RootActor;
use crate::agents::child::{self, ChildSpec, OutputTarget};
use crate::agents::script::Environment;
use crate::doctor::{Level, Report};
use crate::notice::Severity;

/// Pause before it looks: the start has more urgent work.
const AFTER: Duration = Duration::from_secs(5);

/// Longest run; it takes a fraction of a second.
const LIMIT: Duration = Duration::from_secs(20);

/// Pause between TERM and KILL.
const KILL_AFTER: Duration = Duration::from_secs(2);

/// Where the package has the program.
const PLACE: &str = "/usr/sbin/systole";

impl RootActor {
    /// Asks for a look soon. Of a node that only releases nothing is asked.
    pub(super) fn call_the_doctor(&self, ctx: &mut Context<Self>) {
        if self.only_releases {
            return;
        }
        ctx.run_later(AFTER, |root, ctx| {
            if !root.stopping {
                let looks = look(root.program.clone()).into_actor(root);
                ctx.spawn(looks.map(|report, root, _| {
                    if let Some(report) = report {
                        root.tell_of(&report);
                    }
                }));
            }
        });
    }

    fn tell_of(&self, report: &Report) {
        let text = format!("doctor: {} (systole doctor)", report.counts());
        self.log.line(Severity::Info, text);
        let errors = report.findings.iter();
        for finding in errors.filter(|finding| finding.severity == Level::Error) {
            let text = format!("doctor found {finding}. To fix it: {}", finding.fix);
            self.log.line(Severity::Warn, text);
        }
    }
}

/// `None`: the program is not there, or gives no answer.
async fn look(own: PathBuf) -> Option<Report> {
    let find = tokio::task::spawn_blocking(move || {
        // Beside our own program while neither is installed.
        let beside = own.parent().map(|directory| directory.join("systole"));
        let places = beside.into_iter().chain([PathBuf::from(PLACE)]);
        places.into_iter().find(|path| child::is_program(path))
    });
    let program = find.await.ok()??;
    let spec = ChildSpec {
        program,
        args: ["doctor", "--json", "--unhurried"]
            .map(str::to_owned)
            .into(),
        environment: Arc::new(Environment::default()),
        directory: Some(PathBuf::from("/")),
        capture: true,
        output: OutputTarget::default(),
        limit: LIMIT,
        kill_after: KILL_AFTER,
        record: None,
        last_words: false,
        told: None,
        alone: false,
    };
    let report = child::run(spec, ()).await;
    let read = serde_json::from_slice(&report.stdout);
    if let Err(error) = &read {
        debug!(%error, code = report.code(), "the doctor gave no answer");
    }
    read.ok()
}
