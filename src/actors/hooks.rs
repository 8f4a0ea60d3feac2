//! Notification scripts: `harc` and `rc.d`, one at a time. No other work waits for them.
//! Spec: docs/protocol/resources.md, 9.6.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tracing::{debug, info, warn};

use crate::actors::messages::RunHook;
use crate::agents::child::{self, ChildSpec, ExitReport, OutputTarget};
use crate::agents::script::{Environment, hook_name};
use crate::config::Config;
use crate::os::in_time::is_directory;
use crate::os::paths::Paths;
use crate::protocol::field::{self, kind};

/// Messages that may wait for their script. A cluster of many nodes and links that dies at once
/// brings some dozens; further messages are dropped and logged.
pub const MAX_WAITING: usize = 256;

/// Longest run of one script. `mach_down` waits for the daemon's takeover, other scripts send mail;
/// a script that hangs must not prevent the others from running.
const TIME_LIMIT: Duration = Duration::from_secs(600);

/// What the hooks need.
#[derive(Debug, Clone)]
pub struct HookContext {
    /// Where `harc` and `rc.d` are.
    pub paths: Paths,
    /// Of every script, before the fields of the message are added.
    pub environment: Environment,
    /// Whether our helper programs are installed. Without them the shipped scripts would reach the
    /// legacy `ResourceManager`, which runs resource scripts beside us.
    pub helpers: bool,
    /// Where the output is written.
    pub output: OutputTarget,
    /// Longest run of one script.
    pub limit: Duration,
    /// From TERM to KILL.
    pub kill_after: Duration,
}

impl HookContext {
    /// Made from the configuration. `debug` is the present debug level. Reads the disk.
    #[must_use]
    pub fn of(config: &Config, paths: &Paths, debug: u8) -> Self {
        let helpers = is_directory(&paths.helper_dir);
        let own_path = std::env::var("PATH").unwrap_or_default();
        let environment = Environment::of_daemon(config, paths, debug, helpers)
            .for_scripts(config)
            .with_shell_library(paths, &own_path);
        Self {
            paths: paths.clone(),
            environment,
            helpers,
            output: OutputTarget::of(config, paths),
            limit: TIME_LIMIT.min(config.settings.script_time_limit),
            kill_after: config.settings.script_kill_after,
        }
    }
}

/// Runs notification scripts in the order of their messages.
pub struct HooksActor {
    context: Arc<HookContext>,
    waiting: VecDeque<RunHook>,
    busy: bool,
    dropped: u64,
}

impl HooksActor {
    /// An idle queue.
    #[must_use]
    pub fn new(context: HookContext) -> Self {
        Self {
            context: Arc::new(context),
            waiting: VecDeque::new(),
            busy: false,
            dropped: 0,
        }
    }

    fn next(&mut self, ctx: &mut Context<Self>) {
        if self.busy {
            return;
        }
        let Some(hook) = self.waiting.pop_front() else {
            if self.dropped > 0 {
                warn!(
                    count = self.dropped,
                    "notification scripts were not run: too many waited"
                );
                self.dropped = 0;
            }
            return;
        };
        self.busy = true;
        let work = run_one(Arc::clone(&self.context), hook).into_actor(self);
        ctx.spawn(work.map(|(), act, ctx| {
            act.busy = false;
            act.next(ctx);
        }));
    }
}

impl Actor for HooksActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.next(ctx);
    }
}

impl Supervised for HooksActor {
    fn restarting(&mut self, _: &mut Self::Context) {
        self.busy = false;
    }
}

impl Handler<RunHook> for HooksActor {
    type Result = ();

    fn handle(&mut self, hook: RunHook, ctx: &mut Self::Context) {
        if self.waiting.len() >= MAX_WAITING {
            if self.dropped == 0 {
                let kind = hook.message.kind();
                warn!(
                    kind,
                    waiting = MAX_WAITING,
                    "too many notification scripts wait: dropping"
                );
            }
            self.dropped = self.dropped.saturating_add(1);
            return;
        }
        self.waiting.push_back(hook);
        self.next(ctx);
    }
}

/// Whether the shipped script of this message calls a program that starts or stops groups.
fn moves_groups(hook: &RunHook) -> bool {
    match hook.message.kind() {
        Some(kind::STATUS) => hook.message.text(field::ST) == Some("dead"),
        Some(kind::IP_REQUEST | kind::IP_REQUEST_RESP | kind::HB_TAKEOVER) => true,
        Some(_) | None => false,
    }
}

async fn run_one(context: Arc<HookContext>, hook: RunHook) {
    let Some((file, word)) = hook.message.kind().and_then(hook_name) else {
        return;
    };
    if !context.helpers && moves_groups(&hook) {
        warn!(
            %word,
            missing = %context.paths.helper_dir.display(),
            "notification script not run: it would run resource scripts beside the daemon"
        );
        return;
    }
    // The directory is read anew each time, so that a new script counts at once.
    let listed = context.paths.rc_d().join(file);
    let script = context.paths.rc_d().join(&word);
    let harc = context.paths.harc();
    let looked = tokio::task::spawn_blocking(move || {
        if !listed.exists() {
            return None;
        }
        Some(if child::is_program(&harc) {
            harc
        } else {
            script
        })
    });
    let Ok(Some(program)) = looked.await else {
        return;
    };
    let environment = context.environment.clone();
    let spec = ChildSpec {
        args: vec![word.clone()],
        environment: Arc::new(environment.for_hook(&hook.message, hook.own_status.as_str())),
        directory: None,
        capture: false,
        output: context.output.clone(),
        limit: context.limit,
        kill_after: context.kill_after,
        record: None,
        last_words: false,
        told: None,
        alone: false,
        program,
    };
    debug!(%word, "running a notification script");
    let program: PathBuf = spec.program.clone();
    let report: ExitReport = child::run(spec, ()).await;
    if report.overdue {
        warn!(%word, program = %program.display(), "notification script ran too long and was ended");
    } else if !report.success() {
        let program = program.display();
        info!(%word, %program, code = report.code(), "notification script failed");
    }
}

#[cfg(test)]
mod tests;
