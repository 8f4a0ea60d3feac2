//! The client socket: listens, owns the client registry and every session. Lives on the main
//! thread, so that nothing a client does can hold up a heartbeat. Spec: client API.
//!
//! | Comes | From | Then |
//! |---|---|---|
//! | communication is up | root | the socket is opened |
//! | a connection | the socket | a session, unless there are too many |
//! | a frame | a session | membership is asked how things stand, the registry answers |
//! | a message of the cluster | root | the registry offers it to its clients |
//!
//! Frames wait in their clients' sockets: at most one of each client is here. Of all of them at
//! most one question and one message at a time is with membership.

mod inside;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use actix::prelude::*;
use bytes::Bytes;
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::oneshot;
use tracing::{debug, error, warn};

use crate::accounts;
use crate::actors::client_listener::inside::Inside;
use crate::actors::client_session::{self, Session};
use crate::actors::interest::Interest;
use crate::actors::messages::{AskCluster, AskMaintenance, Injected, RootEvent};
use crate::clock::Clock;
use crate::config::Config;
use crate::file_mode::{Made, set_mode};
use crate::ha_log;
use crate::notice;
use crate::protocol::client::{
    ClientId, ClientOutput, Credentials, Gone, MaintenanceRequest, Registry, RegistrySettings,
    Surroundings, frame,
};
use crate::protocol::event::Origin;
use crate::protocol::limiter::Limiter;
use crate::protocol::wire::MessageFormat;

/// Pause before the socket is opened again after an error.
const REOPEN_PAUSE: Duration = Duration::from_secs(5);

/// Pause after an accept that failed: out of descriptors, most likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a connection may take to sign on. Spec: client API, section 17.
const SIGN_ON_LIMIT: Duration = Duration::from_secs(10);

/// How long a join notice may take to come round. It takes no time unless the core began anew.
const JOIN_LIMIT: Duration = Duration::from_secs(1);

/// Pause between two looks at paused clients. Spec: client API, section 10.
const PAUSED_LOOK: Duration = Duration::from_millis(50);

/// Pause between two audits of the clients' processes. Spec: client API, section 9.
const AUDIT_PAUSE: Duration = Duration::from_secs(9);

/// Pause between two looks at suppressed log lines.
const REPORT_PAUSE: Duration = Duration::from_secs(10);

/// Messages on their way to membership at most. Clients have one each; what comes beyond are
/// answers to questions of other nodes, which ask again.
const MAX_INJECTIONS: usize = 2048;

/// Whom the clients' messages go to, and what they are told.
#[derive(Clone)]
pub struct ClientsSetup {
    /// `/run/heartbeat/register`.
    pub path: PathBuf,
    /// For the registry.
    pub settings: RegistrySettings,
    /// `msgfmt`.
    pub format: MessageFormat,
    /// Membership.
    pub cluster: Recipient<AskCluster>,
    /// The same.
    pub injected: Recipient<Injected>,
    /// The same.
    pub maintenance: Recipient<AskMaintenance>,
    /// What membership is told to deliver.
    pub interest: Interest,
}

impl ClientsSetup {
    /// From the checked files.
    #[must_use]
    pub fn of(
        config: &Config,
        path: PathBuf,
        cluster: Recipient<AskCluster>,
        injected: Recipient<Injected>,
        maintenance: Recipient<AskMaintenance>,
        interest: Interest,
    ) -> Self {
        let facility = config.log.facility.as_deref();
        let pacemaker = config.parameters.get("pacemaker");
        let settings = RegistrySettings {
            local: config.local.to_string(),
            deadtime_ms: config.timing.deadtime.as_millis(),
            keepalive_ms: config.timing.keepalive.as_millis(),
            version: crate::version::version(),
            facility: facility
                .and_then(ha_log::line::facility_number)
                .map_or(-1, |number| i32::from(number) << 3),
            pacemaker: !config.manage_resources
                && pacemaker.is_some_and(|word| !crate::config::is_false(word)),
            own_uid: nix::unistd::geteuid().as_raw(),
            admin_gid: accounts::hacluster().map(|(_, gid)| gid),
            rules: config.api_auth.clone(),
            parameters: config.parameters.clone(),
        };
        Self {
            path,
            settings,
            format: config.message_format,
            cluster,
            injected,
            maintenance,
            interest,
        }
    }
}

/// A frame of a client. `done` goes when it was dealt with.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Heard {
    pub(super) id: ClientId,
    pub(super) body: Bytes,
    pub(super) done: oneshot::Sender<()>,
}

/// A connection ended by itself.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Ended {
    pub(super) id: ClientId,
    pub(super) why: Gone,
}

impl From<MaintenanceRequest> for AskMaintenance {
    fn from(request: MaintenanceRequest) -> Self {
        match request {
            MaintenanceRequest::Freeze => Self::Freeze,
            MaintenanceRequest::Thaw => Self::Thaw,
            MaintenanceRequest::Why => Self::Why,
        }
    }
}

/// Owns the registry and the sessions.
pub struct ClientsActor {
    setup: ClientsSetup,
    registry: Registry,
    sessions: BTreeMap<ClientId, Rc<Session>>,
    next_id: u64,
    /// The client that is part of the daemon.
    inside: Inside,
    listening: bool,
    /// The socket shall be open.
    wanted: bool,
    frames: VecDeque<Heard>,
    /// Frames of paused clients.
    held: VecDeque<Heard>,
    injections: VecDeque<Injected>,
    /// What administrators want of membership; one of each client at most.
    orders: VecDeque<(ClientId, MaintenanceRequest)>,
    /// A question or a message is with membership.
    busy: bool,
    limiter: Limiter,
    clock: Clock,
}

/// A connection, or why there is none.
struct Accepted(io::Result<UnixStream>);

impl ClientsActor {
    /// Opens nothing before it is told [`RootEvent::CommUp`].
    #[must_use]
    pub fn new(setup: ClientsSetup) -> Self {
        Self {
            registry: Registry::new(setup.settings.clone()),
            setup,
            sessions: BTreeMap::new(),
            next_id: 0,
            inside: Inside::default(),
            listening: false,
            wanted: false,
            frames: VecDeque::new(),
            held: VecDeque::new(),
            injections: VecDeque::new(),
            orders: VecDeque::new(),
            busy: false,
            limiter: Limiter::default(),
            clock: Clock::start(),
        }
    }

    fn open(&mut self, ctx: &mut Context<Self>) {
        if !self.wanted || self.listening {
            return;
        }
        match listen(&self.setup.path) {
            Ok(listener) => {
                let connections = futures_util::stream::unfold(listener, |listener| async {
                    let accepted = listener.accept().await.map(|(stream, _)| stream);
                    if accepted.is_err() {
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                    Some((Accepted(accepted), listener))
                });
                ctx.add_stream(connections);
                self.listening = true;
            }
            Err(error) => {
                let path = self.setup.path.display();
                error!(%path, %error, "cannot open the client socket");
                ctx.run_later(REOPEN_PAUSE, Self::open);
            }
        }
    }

    fn accept(&mut self, stream: UnixStream, ctx: &mut Context<Self>) -> Result<(), String> {
        let peer = stream.peer_cred().map_err(|error| error.to_string())?;
        let credentials = Credentials {
            pid: peer.pid().unwrap_or(0),
            uid: peer.uid(),
            gid: peer.gid(),
        };
        let id = self.new_id();
        self.registry.connected(id, credentials)?;
        self.setup.interest.set(self.registry.interest());
        let session = Session::new(stream, credentials.pid);
        self.sessions.insert(id, Rc::clone(&session));
        // A task of its own: a fault in it ends this client alone.
        actix::spawn(client_session::serve(session, id, ctx.address()));
        ctx.run_later(SIGN_ON_LIMIT, move |act, ctx| {
            if act.registry.is_signed_on(id) == Some(false) {
                let why = Gone::Failed("did not sign on".to_owned());
                act.cut_off(id, &why, ctx);
            }
        });
        Ok(())
    }

    fn new_id(&mut self) -> ClientId {
        let id = ClientId(self.next_id);
        self.next_id = self.next_id.saturating_add(1);
        id
    }

    /// Works off what waits, one thing at a time.
    fn pump(&mut self, ctx: &mut Context<Self>) {
        if self.busy {
            return;
        }
        if let Some(injected) = self.injections.pop_front() {
            self.busy = true;
            let work = self.setup.injected.send(injected).into_actor(self);
            ctx.spawn(work.map(|sent, act, ctx| {
                if let Err(error) = sent {
                    debug!(%error, "membership did not take a client's message");
                }
                act.busy = false;
                act.pump(ctx);
            }));
        } else if let Some((id, request)) = self.orders.pop_front() {
            self.busy = true;
            let asked = AskMaintenance::from(request);
            let work = self.setup.maintenance.send(asked).into_actor(self);
            ctx.spawn(work.map(move |answer, act, ctx| {
                act.busy = false;
                let answer = match answer {
                    Ok(answer) => answer.map_err(|refused| refused.to_string()),
                    Err(error) => Err(format!("membership does not answer: {error}")),
                };
                let mut out = Vec::new();
                act.registry.maintained(id, request, answer, &mut out);
                act.perform(out, ctx);
                act.pump(ctx);
            }));
        } else if let Some(heard) = self.frames.pop_front() {
            self.busy = true;
            let work = self.setup.cluster.send(AskCluster).into_actor(self);
            ctx.spawn(work.map(|view, act, ctx| {
                act.busy = false;
                match view {
                    Ok(view)
                        if view.paused && act.registry.is_signed_on(heard.id) == Some(true) =>
                    {
                        if act.held.is_empty() {
                            ctx.run_later(PAUSED_LOOK, |act, ctx| {
                                act.frames.append(&mut act.held);
                                act.pump(ctx);
                            });
                        }
                        act.held.push_back(heard);
                    }
                    Ok(view) => {
                        let around = Surroundings {
                            view: &view,
                            lives: &process_lives,
                        };
                        act.take(heard, &around, ctx);
                    }
                    Err(error) => {
                        let why = Gone::Failed(format!("membership does not answer: {error}"));
                        act.cut_off(heard.id, &why, ctx);
                    }
                }
                act.pump(ctx);
            }));
        }
    }

    fn take(&mut self, heard: Heard, around: &Surroundings<'_>, ctx: &mut Context<Self>) {
        let mut out = Vec::new();
        match frame::decode(&heard.body) {
            Ok(message) => self.registry.message(heard.id, message, around, &mut out),
            Err(error) => self
                .registry
                .no_message(heard.id, &error.to_string(), &mut out),
        }
        self.perform(out, ctx);
        let id = heard.id;
        if let Some(session) = self.sessions.get(&id)
            && self.registry.is_signed_on(id) == Some(true)
            && session.set_signed_on()
        {
            ctx.run_later(JOIN_LIMIT, move |act, ctx| {
                let mut out = Vec::new();
                act.registry.answer_overdue(id, &mut out);
                act.perform(out, ctx);
            });
        }
        let _ = heard.done.send(());
    }

    fn perform(&mut self, outputs: Vec<ClientOutput>, ctx: &mut Context<Self>) {
        // Before a client is told that it is signed on.
        self.setup.interest.set(self.registry.interest());
        let mut lost = Vec::new();
        for output in outputs {
            match output {
                ClientOutput::Reply(id, message) if self.inside.is(id) => {
                    self.inside.hear(message);
                }
                ClientOutput::Reply(id, message) => {
                    let Some(session) = self.sessions.get(&id) else {
                        continue;
                    };
                    match frame::encode(&message, self.setup.format) {
                        Ok(frame) => {
                            if let Err(why) = session.send(frame) {
                                lost.push((id, why));
                            }
                        }
                        Err(error) => warn!(%error, "a message cannot be written to a client"),
                    }
                }
                ClientOutput::Close(id) if self.inside.is(id) => self.inside.close(),
                ClientOutput::Close(id) => {
                    if let Some(session) = self.sessions.remove(&id) {
                        session.close();
                    }
                }
                ClientOutput::Inject(origin, message) => self.inject(origin, message, ctx),
                ClientOutput::QueueLimit(id, limit) => {
                    if let Some(session) = self.sessions.get(&id) {
                        session.set_queue_limit(limit);
                    }
                }
                ClientOutput::Signal(id, signal) => {
                    if let Some(session) = self.sessions.get(&id) {
                        session.set_signal(signal);
                    }
                }
                ClientOutput::Maintain(id, request) => {
                    self.orders.push_back((id, request));
                    ctx.notify(Pump);
                }
                ClientOutput::Warn(kind, text) => {
                    if self.limiter.pass(kind, self.clock.now().instant) {
                        warn!("{text}");
                    }
                }
            }
        }
        for (id, why) in lost {
            self.cut_off(id, &why, ctx);
        }
        self.admit_inside_soon(ctx);
    }

    fn inject(
        &mut self,
        origin: Origin,
        message: crate::protocol::message::Message,
        ctx: &mut Context<Self>,
    ) {
        if self.injections.len() >= MAX_INJECTIONS {
            if self
                .limiter
                .pass("messages dropped", self.clock.now().instant)
            {
                warn!("too many messages of clients at once: dropped one");
            }
            return;
        }
        self.injections.push_back(Injected { origin, message });
        // Not at once: outputs that stand behind this one come first to their client.
        ctx.notify(Pump);
    }

    /// A client that has to go, or has gone.
    fn cut_off(&mut self, id: ClientId, why: &Gone, ctx: &mut Context<Self>) {
        let mut out = vec![ClientOutput::Close(id)];
        self.registry.gone(id, why, &mut out);
        self.perform(out, ctx);
    }

    fn audit(&mut self, ctx: &mut Context<Self>) {
        let gone: Vec<_> = self
            .registry
            .processes()
            .filter(|(_, pid)| !process_lives(*pid))
            .collect();
        for (id, _) in gone {
            self.cut_off(id, &Gone::DiedAudit, ctx);
        }
        ctx.run_later(AUDIT_PAUSE, Self::audit);
    }

    fn report(&mut self, ctx: &mut Context<Self>) {
        for line in self.limiter.report(self.clock.now().instant) {
            notice::log(&line);
        }
        ctx.run_later(REPORT_PAUSE, Self::report);
    }
}

/// Work off what waits.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Pump;

fn process_lives(pid: i32) -> bool {
    pid > 0 && kill(Pid::from_raw(pid), None) != Err(Errno::ESRCH)
}

/// Spec: client API, section 1.
fn listen(path: &std::path::Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    // Who may reach it is decided by the directory and by apiauth.
    set_mode(path, Made::Socket, 0o777)?;
    Ok(listener)
}

impl Actor for ClientsActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.audit(ctx);
        self.report(ctx);
        // After a fault of ours: the clients sign on again.
        self.open(ctx);
    }
}

impl Supervised for ClientsActor {
    fn restarting(&mut self, _: &mut Self::Context) {
        for session in self.sessions.values() {
            session.close();
        }
        self.inside.close();
        let mut again = Self::new(self.setup.clone());
        again.setup.interest.set(0);
        again.wanted = self.wanted;
        // Never a number twice, or a late word of an old session would end a new one.
        again.next_id = self.next_id;
        *self = again;
    }
}

impl StreamHandler<Accepted> for ClientsActor {
    fn handle(&mut self, accepted: Accepted, ctx: &mut Self::Context) {
        let refused = match accepted.0 {
            Ok(stream) => self.accept(stream, ctx),
            Err(error) => Err(error.to_string()),
        };
        if let Err(why) = refused
            && self
                .limiter
                .pass("connections refused", self.clock.now().instant)
        {
            warn!("connection on the client socket refused: {why}");
        }
    }

    fn finished(&mut self, ctx: &mut Self::Context) {
        self.listening = false;
        ctx.run_later(REOPEN_PAUSE, Self::open);
    }
}

impl Handler<Heard> for ClientsActor {
    type Result = ();

    fn handle(&mut self, heard: Heard, ctx: &mut Self::Context) {
        self.frames.push_back(heard);
        self.pump(ctx);
    }
}

impl Handler<Ended> for ClientsActor {
    type Result = ();

    fn handle(&mut self, ended: Ended, ctx: &mut Self::Context) {
        self.cut_off(ended.id, &ended.why, ctx);
    }
}

impl Handler<Pump> for ClientsActor {
    type Result = ();

    fn handle(&mut self, _: Pump, ctx: &mut Self::Context) {
        self.pump(ctx);
    }
}

impl Handler<RootEvent> for ClientsActor {
    type Result = ();

    fn handle(&mut self, event: RootEvent, ctx: &mut Self::Context) {
        match event {
            RootEvent::CommUp => {
                self.wanted = true;
                self.open(ctx);
                self.admit_inside();
            }
            RootEvent::Deliver { message, treatment } => {
                let mut out = Vec::new();
                self.registry.deliver(&message, treatment, &mut out);
                self.perform(out, ctx);
            }
            _ => {}
        }
    }
}
