//! `ipfail` on a node: the real decisions and the real client registry, in the daemon's process.
//! The two nodes exchange their messages over the modelled network.

use std::collections::{BTreeMap, VecDeque};

use crate::policy::ipfail::{End, Identity, Ipfail, Output};
use crate::protocol::client::{
    ClientId, ClientOutput, Credentials, Registry, RegistrySettings, Surroundings,
};
use crate::protocol::message::Message;
use crate::protocol::output::Treatment;
use crate::protocol::settings::AutoFailback;

use super::daemon::Daemon;
use super::ids::HostId;
use super::queue::Happening;
use super::world::{Micros, SECOND, World};

/// The one client.
const ID: ClientId = ClientId(1);

/// Pause before the next try when the daemon refused it, and before the first.
const PAUSE: Micros = 5 * SECOND;

/// An `ipfail`, and the registry that it has signed on with.
pub(crate) struct Client {
    process: u32,
    registry: Registry,
    ipfail: Ipfail,
    /// When its timer fires.
    armed_at: Option<Micros>,
    /// Its messages reach the core in this order.
    last_said: Micros,
}

impl World {
    /// A process has begun: its `ipfail` follows, soon after.
    pub(crate) fn ipfail_begins(&mut self, host: HostId) {
        let process = self.hosts[host].life.process;
        let ours = matches!(self.hosts[host].node, Some(Daemon::Ours(_)));
        let known = self.hosts[host].client.as_ref();
        if self.plan.features.ipfail && ours && known.is_none_or(|it| it.process != process) {
            let when = self.now + SECOND + self.internal_delay(host);
            self.at(when, Happening::Ipfail { host, process });
        }
    }

    /// Its timer, or its start.
    pub(crate) fn ipfail_turn(&mut self, host: HostId, process: u32) {
        if self.hosts[host].life.process != process || self.hosts[host].stopping {
            return;
        }
        let now = self.clock(host).instant;
        let mut said = Vec::new();
        match &mut self.hosts[host].client {
            Some(client) if client.process == process => {
                client.armed_at = None;
                client.ipfail.tick(now, &mut said);
            }
            _ => {
                let mut client = self.new_client(host, process);
                client.ipfail.connected(now, &mut said);
                self.hosts[host].client = Some(client);
            }
        }
        self.ipfail_works(host, said, VecDeque::new());
    }

    fn new_client(&self, host: HostId, process: u32) -> Client {
        let name = self.hosts[host].name.to_string();
        let settings = self.settings(host);
        let failback = match settings.auto_failback {
            AutoFailback::On => "on",
            AutoFailback::Off => "off",
            AutoFailback::Legacy => "legacy",
        };
        let mut registry = Registry::new(RegistrySettings {
            local: name.clone(),
            deadtime_ms: settings.timing.deadtime.as_millis(),
            keepalive_ms: settings.timing.keepalive.as_millis(),
            version: String::new(),
            facility: -1,
            pacemaker: false,
            own_uid: 0,
            admin_gid: None,
            rules: BTreeMap::new(),
            parameters: BTreeMap::from([("auto_failback".to_owned(), failback.to_owned())]),
        });
        let (pid, uid, gid) = (7, 0, 0);
        registry.connected_inside(ID, Credentials { pid, uid, gid });
        let who = Identity {
            host: name,
            pid: 7,
            uid,
            gid,
        };
        Client {
            process,
            registry,
            ipfail: Ipfail::new(who),
            armed_at: None,
            last_said: 0,
        }
    }

    /// A message of the cluster, for the clients.
    pub(crate) fn deliver(&mut self, host: HostId, message: &Message, treatment: Treatment) {
        let process = self.hosts[host].life.process;
        let Some(client) = &mut self.hosts[host].client else {
            return;
        };
        if client.process != process {
            self.hosts[host].client = None;
            return;
        }
        let mut out = Vec::new();
        client.registry.deliver(message, treatment, &mut out);
        self.ipfail_works(host, Vec::new(), out.into());
    }

    /// Both work until neither has more messages for the other.
    fn ipfail_works(
        &mut self,
        host: HostId,
        said: Vec<Output>,
        mut replies: VecDeque<ClientOutput>,
    ) {
        let now = self.clock(host).instant;
        let mut said = VecDeque::from(said);
        loop {
            if let Some(output) = said.pop_front() {
                match output {
                    Output::Send(message) => {
                        let Some(Daemon::Ours(node)) = &self.hosts[host].node else {
                            return;
                        };
                        let view = node.cluster_view();
                        let around = Surroundings {
                            view: &view,
                            lives: &|_| true,
                        };
                        let mut out = Vec::new();
                        if let Some(client) = &mut self.hosts[host].client {
                            client.registry.message(ID, message, &around, &mut out);
                        }
                        replies.extend(out);
                    }
                    Output::Log(severity, text) => {
                        self.note(format_args!("{host} ipfail {}: {text}", severity.word()));
                    }
                    Output::End(end) => return self.ipfail_ends(host, end),
                }
            } else if let Some(output) = replies.pop_front() {
                match output {
                    ClientOutput::Reply(_, message) => {
                        let mut out = Vec::new();
                        if let Some(client) = &mut self.hosts[host].client {
                            client.ipfail.received(message, now, &mut out);
                        }
                        said.extend(out);
                    }
                    ClientOutput::Inject(origin, message) => {
                        self.ipfail_says(host, origin, message);
                    }
                    ClientOutput::Close(_) => return self.ipfail_ends(host, End::Failed),
                    ClientOutput::QueueLimit(..)
                    | ClientOutput::Signal(..)
                    | ClientOutput::Maintain(..)
                    | ClientOutput::Warn(..) => {}
                }
            } else {
                break;
            }
        }
        self.arm_ipfail(host);
    }

    fn ipfail_says(
        &mut self,
        host: HostId,
        origin: crate::protocol::event::Origin,
        message: Message,
    ) {
        let process = self.hosts[host].life.process;
        let when = self.now + self.internal_delay(host);
        let Some(client) = &mut self.hosts[host].client else {
            return;
        };
        client.last_said = client.last_said.max(when);
        let when = client.last_said;
        self.at(
            when,
            Happening::Injected {
                host,
                process,
                origin,
                message,
            },
        );
    }

    /// The daemon starts it again, unless it asked not to be.
    fn ipfail_ends(&mut self, host: HostId, end: End) {
        self.hosts[host].client = None;
        if end == End::Failed {
            let process = self.hosts[host].life.process;
            self.at(self.now + PAUSE, Happening::Ipfail { host, process });
        }
    }

    fn arm_ipfail(&mut self, host: HostId) {
        let process = self.hosts[host].life.process;
        let Some(client) = &self.hosts[host].client else {
            return;
        };
        let Some(deadline) = client.ipfail.next_deadline() else {
            return;
        };
        let micros = deadline.since_start().as_nanos().div_ceil(1_000);
        let when = self.moment(host, u64::try_from(micros).unwrap_or(u64::MAX / 4));
        let when = when.max(self.now);
        if client.armed_at.is_some_and(|at| at <= when) {
            return;
        }
        if let Some(client) = &mut self.hosts[host].client {
            client.armed_at = Some(when);
        }
        self.at(when, Happening::Ipfail { host, process });
    }
}
