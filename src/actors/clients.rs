//! The client socket: listens, owns the client registry and every session. Lives on the main
//! thread, so that nothing a client does can delay a heartbeat.
//! Spec: docs/protocol/client-api.md.
//!
//! | Comes | From | Then |
//! |---|---|---|
//! | communication is up | root | the socket is opened |
//! | a connection | the socket | a session, unless there are too many |
//! | a frame | a session | membership is asked for the state of the cluster, the registry answers |
//! | a message of the cluster | membership | the registry offers it to its clients |
//! | such messages were dropped | membership | every client that is signed on is disconnected, and begins anew |
//!
//! Frames wait in their clients' sockets: at most one of each client is here. At most one question
//! and one message of all of them is with membership at a time.

mod inside;
mod queue;
mod session;
mod setup;
mod socket;

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use actix::prelude::*;
use bytes::BytesMut;
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use tokio::net::UnixStream;
use tokio_util::codec::Encoder as _;
use tracing::warn;

use crate::actors::codecs::ClientEncoder;
use crate::actors::messages::{Injected, ToClients};
use crate::clock::{self, Clock};
use crate::notice;
use crate::protocol::client::{
    ClientId, ClientOutput, Credentials, Gone, MaintenanceRequest, Registry, Surroundings, frame,
};
use crate::protocol::limiter::Limiter;

use inside::Inside;
use queue::Pump;
use session::{Ended, GoingOut, Heard, Session};
pub use setup::ClientsSetup;

/// How long a connection may take to sign on. Spec: docs/protocol/client-api.md, 17.
const SIGN_ON_LIMIT: Duration = Duration::from_secs(10);

/// How long a join notice may take to come back. It takes no time unless the core began anew.
const JOIN_LIMIT: Duration = Duration::from_secs(1);

/// Pause between two audits of the clients' processes: less than the nine seconds of legacy, together with other work.
/// Spec: docs/protocol/client-api.md, 9.
const AUDIT_PAUSE: Duration = Duration::from_secs(5);

/// Pause between two checks for suppressed log lines.
const REPORT_PAUSE: Duration = Duration::from_secs(10);

/// Owns the registry and the sessions.
pub struct ClientsActor {
    setup: ClientsSetup,
    registry: Registry,
    sessions: BTreeMap<ClientId, Rc<Session>>,
    next_id: u64,
    /// The client that is part of the daemon.
    inside: Inside,
    listening: bool,
    /// The socket is to be open.
    wanted: bool,
    frames: VecDeque<Heard>,
    /// Frames of paused clients.
    held: VecDeque<Heard>,
    injections: VecDeque<Injected>,
    /// Requests of administrators to membership; at most one of each client.
    orders: VecDeque<(ClientId, MaintenanceRequest)>,
    /// A question or a message is with membership.
    busy: bool,
    limiter: Limiter,
    clock: Clock,
}

impl ClientsActor {
    /// Opens nothing before it is told [`ToClients::Open`].
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

    fn accept(&mut self, stream: UnixStream, ctx: &mut Context<Self>) -> Result<(), String> {
        let peer = stream.peer_cred().map_err(|error| error.to_string())?;
        let credentials = Credentials {
            pid: peer.pid().unwrap_or(0),
            uid: peer.uid(),
            gid: peer.gid(),
        };
        let id = self.new_id();
        let refused = |why| {
            format!(
                "process {}, uid {}: {why}",
                credentials.pid, credentials.uid
            )
        };
        self.registry.connected(id, credentials).map_err(refused)?;
        self.setup.interest.set(self.registry.interest());
        let (session, read) = Session::new(stream, credentials.pid);
        self.sessions.insert(id, Rc::clone(&session));
        // A task of its own: a fault in it ends this client alone.
        let (heard, ended) = (ctx.address().recipient(), ctx.address().recipient());
        let going_out = GoingOut {
            format: self.setup.format,
            compression: self.setup.compression,
            lines: self.setup.lines.clone(),
        };
        actix_rt::spawn(session::serve(session, read, id, going_out, heard, ended));
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

    fn take(&mut self, heard: Heard, around: &Surroundings<'_>, ctx: &mut Context<Self>) {
        let mut out = Vec::new();
        match frame::decode(&heard.body) {
            Ok(message) => {
                let too_large = heard.too_large.map(|error| error.to_string());
                let refused = too_large
                    .is_some_and(|why| self.registry.refuse(heard.id, &message, &why, &mut out));
                if !refused {
                    self.registry.message(heard.id, message, around, &mut out);
                }
            }
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
        let mut encoder = ClientEncoder::new(self.setup.format);
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
                    let mut frame = BytesMut::new();
                    match encoder.encode(&message, &mut frame) {
                        Ok(()) => {
                            if let Err(why) = session.send(frame.freeze()) {
                                lost.push((id, why));
                            }
                        }
                        Err(error) => {
                            let (client, kind) = (id.0, message.kind());
                            warn!(client, kind, %error, "a message cannot be written to a client");
                        }
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

    /// Ends the session of a client that has to go, or has gone.
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
        ctx.run_later(clock::until_common(AUDIT_PAUSE), Self::audit);
    }

    fn report(&mut self, ctx: &mut Context<Self>) {
        for line in self.limiter.report(self.clock.now().instant) {
            notice::log(&line);
        }
        ctx.run_later(clock::until_common(REPORT_PAUSE), Self::report);
    }
}

fn process_lives(pid: i32) -> bool {
    pid > 0 && kill(Pid::from_raw(pid), None) != Err(Errno::ESRCH)
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
        // Never reuse a number: a late message of an old session would end a new one.
        again.next_id = self.next_id;
        *self = again;
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

impl Handler<ToClients> for ClientsActor {
    type Result = ();

    fn handle(&mut self, news: ToClients, ctx: &mut Self::Context) {
        match news {
            ToClients::Open => {
                self.wanted = true;
                self.open(ctx);
                self.admit_inside();
            }
            ToClients::Deliver {
                message, treatment, ..
            } => {
                let mut out = Vec::new();
                self.registry.deliver(&message, treatment, &mut out);
                self.perform(out, ctx);
            }
            ToClients::Missed => {
                let mut out = Vec::new();
                self.registry.missed(&mut out);
                self.perform(out, ctx);
            }
        }
    }
}
