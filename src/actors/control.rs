//! The daemon's side of the control socket: answers root's helper programs, in JSON lines. The
//! other side is [`crate::clients::control`]. The view socket is a second one, for those who may only look.

use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use actix::prelude::*;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use crate::actors::address_guard::AskAbsent;
use crate::actors::fencing::{AskFencing, TestFence};
use crate::actors::groups::{AskGroup, AskGroups, ClearGroup, RunChecks};
use crate::actors::lease::LeaseThread;
use crate::actors::medium::AskMedium;
use crate::actors::messages::{AskFences, AskMaintenance, AskNode, ConfirmFence, Confirmed};
#[cfg(debug_assertions)]
use crate::actors::supervise::fault::Fault;
use crate::actors::threads::Aside;
use crate::actors::watchdog::AskWatchdog;
use crate::clients::control::{
    FenceReport, LeaseReport, MAX_REQUEST_BYTES, MediumView, NodeReport, Reply, Request, View,
    WatchdogReport,
};
use crate::os::accounts;
use crate::os::file_mode::{Made, give};
use crate::protocol::event::GroupOrder;
use crate::protocol::group::GroupKey;
use crate::protocol::name::NodeName;

mod door;

use door::Door;

/// Pause after a connection that could not be accepted.
const NEXT_CONNECTION: Duration = Duration::from_millis(100);

/// How long a client may take for its request, and for reading its reply.
const CLIENT_LIMIT: Duration = Duration::from_secs(5);

/// How long membership may take for its part of a view.
const NODE_LIMIT: Duration = Duration::from_secs(2);

/// How long a medium may take for its part: the driver of a serial port may let its thread wait.
const MEDIUM_LIMIT: Duration = Duration::from_secs(1);
/// How long the watchdog may take: its driver may hang.
const WATCHDOG_LIMIT: Duration = Duration::from_millis(500);

/// Pause before the socket is opened again after an error.
const REOPEN_PAUSE: Duration = Duration::from_secs(5);

/// Longest name of a person who confirms something, in characters.
const MAX_PERSON_CHARS: usize = 100;

/// The actors to which requests are passed on.
#[derive(Clone)]
pub struct ControlTargets {
    /// The groups' dispatcher.
    pub group: Recipient<AskGroup>,
    /// The groups' dispatcher, for all groups at once.
    pub groups: Recipient<AskGroups>,
    /// The groups' dispatcher, for its monitors.
    pub checks: Recipient<RunChecks>,
    /// The same, when a person has repaired something.
    pub clear: Recipient<ClearGroup>,
    /// Membership.
    pub node: Recipient<AskNode>,
    /// Membership, for its decisions.
    pub decisions: Recipient<AskMaintenance>,
    /// The address guard, if there is one.
    pub absent: Option<Recipient<AskAbsent>>,
    /// The media between nodes.
    pub media: Vec<MediumTarget>,
    /// Fencing, if a device is configured.
    pub fencing: Option<FencingAsked>,
    /// The watchdog, if there is one, and its device.
    pub watchdog: Option<(PathBuf, Recipient<AskWatchdog>)>,
    /// The lease of addresses, if there is one.
    pub lease: Option<LeaseThread>,
}

/// A medium to be asked, and what is shown of it when it does not answer.
#[derive(Clone)]
pub struct MediumTarget {
    /// Name that its links carry.
    pub name: String,
    /// Its directives in ha.cf.
    pub kinds: Vec<String>,
    /// The medium.
    pub ask: Recipient<AskMedium>,
}

/// Who answers about fencing.
#[derive(Clone)]
pub struct FencingAsked {
    /// What is known of the devices.
    pub state: Recipient<AskFencing>,
    /// What they answer now.
    pub test: Recipient<TestFence>,
    /// Whether a person's word is waited for.
    pub confirm: Recipient<ConfirmFence>,
    /// Which dead nodes wait.
    pub waiting: Recipient<AskFences>,
}

/// Listens on the control socket or on the view socket.
pub struct ControlActor {
    path: PathBuf,
    door: Rc<Door>,
    /// The user of each connection that is served, if the kernel tells.
    served: Vec<Option<u32>>,
    /// Why the socket could not be opened, as the log has it.
    told: Option<io::ErrorKind>,
}

impl ControlActor {
    /// A listener for `path`, for root and every request; it opens the socket when it starts.
    #[must_use]
    pub fn new(path: PathBuf, targets: ControlTargets) -> Self {
        Self::with(path, Door::control(targets))
    }

    /// A listener for `path` that only tells what is so, and takes no order from anybody. Who may open it is
    /// settled by its mode: root, and the group [`accounts::VIEWERS`].
    #[must_use]
    pub fn views(path: PathBuf, targets: ControlTargets) -> Self {
        Self::with(path, Door::views(targets))
    }

    fn with(path: PathBuf, door: Door) -> Self {
        Self {
            path,
            door: Rc::new(door),
            served: Vec::new(),
            told: None,
        }
    }

    fn open(&mut self, ctx: &mut Context<Self>) {
        if !self.door.only_tells() {
            return self.open_for(None, ctx);
        }
        // A name service may hang.
        let found = Aside::default().run(accounts::viewers).into_actor(self);
        ctx.spawn(found.map(|group, act, ctx| act.open_for(group.ok().flatten(), ctx)));
    }

    /// `group`: who may connect beside root.
    fn open_for(&mut self, group: Option<u32>, ctx: &mut Context<Self>) {
        match listen(&self.path, group) {
            Ok(listener) => {
                let connections = futures_util::stream::unfold(listener, |listener| async {
                    let accepted = listener.accept().await.map(|(stream, _)| stream);
                    Some((Accepted(accepted), listener))
                });
                ctx.add_stream(connections);
                self.told = None;
            }
            Err(error) => {
                // It is tried again and again; the log has it once.
                if self.told.replace(error.kind()) != Some(error.kind()) {
                    self.door.not_opened(&self.path, &error);
                }
                ctx.run_later(REOPEN_PAUSE, Self::open);
            }
        }
    }
}

/// A connection, or why there is none.
struct Accepted(io::Result<UnixStream>);

impl Actor for ControlActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.open(ctx);
    }
}

impl Supervised for ControlActor {
    fn restarting(&mut self, _: &mut Self::Context) {
        self.served.clear();
    }
}

impl StreamHandler<Accepted> for ControlActor {
    fn handle(&mut self, accepted: Accepted, ctx: &mut Self::Context) {
        let stream = match accepted.0 {
            Ok(stream) => stream,
            Err(error) => {
                let path = self.path.display();
                warn!(%path, %error, "no connection on a socket");
                // Most likely no descriptor is free: do not spin.
                ctx.wait(sleep(NEXT_CONNECTION).into_actor(self));
                return;
            }
        };
        let uid = door::user_of(&stream);
        if let Some(pause) = self.door.pause() {
            ctx.wait(sleep(pause).into_actor(self));
        }
        if !self.door.lets_in(&stream, &self.served) {
            return;
        }
        self.served.push(uid);
        let work = serve(stream, Rc::clone(&self.door)).into_actor(self);
        ctx.spawn(work.map(move |served, act, _| {
            if let Some(at) = act.served.iter().position(|it| *it == uid) {
                act.served.swap_remove(at);
            }
            if let Err(error) = served {
                let path = act.path.display();
                debug!(%path, %error, "a connection ended early");
            }
        }));
    }

    fn finished(&mut self, ctx: &mut Self::Context) {
        ctx.run_later(REOPEN_PAUSE, Self::open);
    }
}

fn listen(path: &Path, group: Option<u32>) -> io::Result<UnixListener> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    match std::fs::symlink_metadata(path) {
        // A dead socket of an earlier run; the pid file shows that it is dead.
        Ok(data) if data.file_type().is_socket() => std::fs::remove_file(path)?,
        Ok(_) => return Err(io::ErrorKind::AlreadyExists.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(path)?;
    let mode = if group.is_some() { 0o660 } else { 0o600 };
    give(path, Made::Socket, group, mode)?;
    Ok(listener)
}

async fn serve(mut stream: UnixStream, door: Rc<Door>) -> io::Result<()> {
    let (read, mut write) = stream.split();
    let mut line = Vec::new();
    let limit = u64::try_from(MAX_REQUEST_BYTES).unwrap_or(u64::MAX);
    let mut read = BufReader::new(read.take(limit));
    timeout(CLIENT_LIMIT, read.read_until(b'\n', &mut line)).await??;
    let text = if door.only_tells() {
        // Also for a client that has gone: its question is asked, and the next one gets the same answer.
        door.answer(&line).await?
    } else {
        // A client that disconnects does not wait for an outcome any more.
        let mut rest = [0; 64];
        let mut gone = read.into_inner().into_inner();
        tokio::select! {
            biased;
            text = door.answer(&line) => text?,
            _ = gone.read(&mut rest) => return Ok(()),
        }
    };
    timeout(CLIENT_LIMIT, write.write_all(&text)).await??;
    Ok(())
}

async fn answer(request: Request, targets: &ControlTargets) -> Reply {
    let (key, wants) = match request {
        Request::View => return view(targets).await,
        Request::Why => return why(targets).await,
        Request::Fence => return fence(targets).await,
        Request::FenceTest { node } => return test_fence(targets, &node).await,
        Request::FenceConfirm { node, by } => return confirm(targets, &node, by).await,
        Request::MonitorRun { key } => {
            let answer = targets.checks.send(RunChecks(GroupKey::new(&key))).await;
            return match answer {
                Ok(Ok(checks)) => Reply::Checks { checks },
                Ok(Err(reason)) => refused(reason),
                Err(error) => refused(error),
            };
        }
        Request::Clear { key } => {
            let answer = targets.clear.send(ClearGroup(GroupKey::new(&key))).await;
            return match answer {
                Ok(Ok(())) => Reply::Cleared,
                Ok(Err(reason)) => refused(reason),
                Err(error) => refused(error),
            };
        }
        #[cfg(debug_assertions)]
        Request::Panic { actor } => return fail(actor.as_deref(), Fault::Panic),
        #[cfg(debug_assertions)]
        Request::Hang { actor } => return fail(Some(&actor), Fault::Hang),
        Request::GroupStart { key } => (key, Some(GroupOrder::Start)),
        Request::GroupStop { key } => (key, Some(GroupOrder::Stop)),
        Request::GroupStatus { key } => (key, None),
    };
    let key = GroupKey::new(&key);
    match targets.group.send(AskGroup { key, wants }).await {
        Ok(answer) => Reply::Group(answer),
        Err(error) => Reply::Refused {
            reason: format!("the groups do not answer: {error}"),
        },
    }
}

#[cfg(debug_assertions)]
fn fail(actor: Option<&str>, with: Fault) -> Reply {
    use crate::actors::supervise::fault;
    if let Some(name) = actor {
        fault::inject(name, with);
    }
    Reply::Refused {
        reason: fault::actors().join("\n"),
    }
}

async fn view(targets: &ControlTargets) -> Reply {
    // Whoever asks waits for the slowest part, not for one after the other.
    let absent = async {
        let guard = targets.absent.as_ref()?;
        let absent = timeout(NODE_LIMIT, guard.send(AskAbsent)).await;
        Some(absent.ok().and_then(Result::ok).unwrap_or_default())
    };
    let (node, groups, absent, fencing, watchdog, lease) = tokio::join!(
        timeout(NODE_LIMIT, targets.node.send(AskNode)),
        targets.groups.send(AskGroups),
        absent,
        known_fencing(targets),
        watchdog(targets),
        lease(targets),
    );
    let mut groups = groups.unwrap_or_default();
    if let Some(absent) = absent {
        for group in &mut groups {
            let addresses = absent.get(&GroupKey::new(&group.key));
            let addresses = addresses.into_iter().flatten();
            group.absent = addresses.map(ToString::to_string).collect();
        }
    }
    let node = node.ok().and_then(Result::ok);
    if let Some(node) = &node {
        for group in &mut groups {
            group.find(node);
        }
    }
    Reply::View(View {
        media: media(&targets.media, node.as_ref()).await,
        node,
        groups,
        fencing,
        watchdog,
        lease,
    })
}

/// All media, asked at once.
async fn media(targets: &[MediumTarget], node: Option<&NodeReport>) -> Vec<MediumView> {
    let asked = targets.iter().map(|medium| async {
        let answer = timeout(MEDIUM_LIMIT, medium.ask.send(AskMedium)).await;
        answer.ok().and_then(Result::ok).unwrap_or_else(|| {
            let why = "its thread does not answer: the driver may let it wait";
            let why = Some(why.to_owned());
            let view = MediumView::new(medium.name.clone(), medium.kinds.clone(), why);
            vec![view]
        })
    });
    let views = futures_util::future::join_all(asked).await;
    let mut views: Vec<_> = views.into_iter().flatten().collect();
    judge(&mut views, node);
    views
}

/// Whose messages arrive on each medium: membership says it of each link. Media of one interface share a link, and a medium
/// that receives less than its link does says so.
fn judge(views: &mut [MediumView], node: Option<&NodeReport>) {
    let names: Vec<_> = views.iter().map(|view| view.name.clone()).collect();
    for view in views {
        let link = node.and_then(|node| node.receives.get(&view.name).copied());
        let shared = names.iter().filter(|name| **name == view.name).count() > 1;
        let own = view.receives.filter(|_| shared);
        view.receives = link.map(|link| own.map_or(link, |own| own.min(link)));
    }
}

const NO_DEVICE: &str = "ha.cf has no stonith or stonith_host line for this node";

fn refused(reason: impl ToString) -> Reply {
    Reply::Refused {
        reason: reason.to_string(),
    }
}

async fn known_fencing(targets: &ControlTargets) -> Option<FenceReport> {
    let fencing = targets.fencing.as_ref()?;
    let (state, waiting) = tokio::join!(
        timeout(NODE_LIMIT, fencing.state.send(AskFencing)),
        timeout(NODE_LIMIT, fencing.waiting.send(AskFences)),
    );
    let mut report = state.ok()?.ok()?;
    report.waiting = waiting.ok().and_then(Result::ok);
    Some(report)
}

async fn fence(targets: &ControlTargets) -> Reply {
    match (&targets.fencing, known_fencing(targets).await) {
        (None, _) => Reply::Fence(FenceReport::default()),
        (Some(_), Some(report)) => Reply::Fence(report),
        (Some(_), None) => refused("the devices' actor does not answer"),
    }
}

/// As long as the devices take: each of them has a time limit.
async fn test_fence(targets: &ControlTargets, node: &str) -> Reply {
    let (Some(fencing), node) = (&targets.fencing, NodeName::new(node)) else {
        return refused(NO_DEVICE);
    };
    let node = match node {
        Ok(node) => node,
        Err(error) => return refused(error),
    };
    match fencing.test.send(TestFence(node)).await {
        Ok(Ok(report)) => Reply::Fence(report),
        Ok(Err(reason)) => refused(reason),
        Err(error) => refused(error),
    }
}

async fn confirm(targets: &ControlTargets, node: &str, by: String) -> Reply {
    let Some(fencing) = &targets.fencing else {
        return refused(NO_DEVICE);
    };
    let node = match NodeName::new(node) {
        Ok(node) => node,
        Err(error) => return refused(error),
    };
    let shown = by
        .chars()
        .filter(|c| !c.is_control())
        .take(MAX_PERSON_CHARS);
    let by = shown.collect();
    let name = node.clone();
    let asked = fencing.confirm.send(ConfirmFence { node, by });
    match timeout(NODE_LIMIT, asked).await {
        Ok(Ok(Confirmed::Counts)) => Reply::Confirmed,
        Ok(Ok(Confirmed::NotAwaited)) => refused(format!("nothing waits until {name} is fenced")),
        Ok(Ok(Confirmed::Unknown)) => refused(format!("ha.cf names no node {name}")),
        Ok(Err(_)) | Err(_) => refused("membership does not answer"),
    }
}

async fn lease(targets: &ControlTargets) -> Option<LeaseReport> {
    targets.lease.as_ref()?.report().await
}

async fn watchdog(targets: &ControlTargets) -> Option<WatchdogReport> {
    let (device, actor) = targets.watchdog.as_ref()?;
    let answer = timeout(WATCHDOG_LIMIT, actor.send(AskWatchdog)).await;
    let answer = answer.ok().and_then(Result::ok);
    Some(answer.unwrap_or_else(|| WatchdogReport {
        device: device.display().to_string(),
        armed: false,
        interval_s: None,
        trouble: Some("its driver does not answer".to_owned()),
    }))
}

async fn why(targets: &ControlTargets) -> Reply {
    let asked = targets.decisions.send(AskMaintenance::Why);
    match timeout(NODE_LIMIT, asked).await {
        Ok(Ok(Ok(decisions))) => Reply::Decisions {
            decisions: decisions.into_iter().map(Into::into).collect(),
        },
        Ok(Ok(Err(refused))) => Reply::Refused {
            reason: refused.to_string(),
        },
        Ok(Err(_)) | Err(_) => Reply::Refused {
            reason: "membership does not answer".to_owned(),
        },
    }
}

#[cfg(test)]
pub(crate) mod tests;
