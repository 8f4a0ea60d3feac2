//! The lease of service addresses: renews their lifetimes while heartbeats leave. When that is done is decided by
//! [`policy::lease`](crate::policy::lease).
//!
//! It lives on a thread of its own, in the realtime class as the cluster thread, with a socket of its own: the
//! kernel may let it wait, for the lock on addresses that other programs hold. The media ring a bell when an own
//! heartbeat has left and a renewal is due; that is a store and at times a system call that never waits.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use actix::prelude::*;
use rustix::event::{EventfdFlags, eventfd};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::{error, info, warn};

use crate::actors::threads::Realtime;
use crate::clients::control::LeaseReport;
use crate::clock::{self, Monotonic};
use crate::net::lease::{LeaseSocket, Lessor, ends, leaves_route, renewal, takes_along};
use crate::net::netlink::REQUEST_TIME;
use crate::net::placement::Assigned;
use crate::notice::{self, Speaker};
use crate::os::sys;
use crate::policy::lease::{Action, AddressCopy, Event, Lease, There};

/// Stack of the thread. All of it is resident where memory is locked.
const STACK_BYTES: usize = 256 * 1024;

/// How long the thread may take to answer a question: the kernel may let it wait.
const ANSWER: Duration = Duration::from_secs(1);

/// Nothing is due.
const NEVER: u64 = u64::MAX;

/// The lease of an address ran out, or more is known of it.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct LeaseChanged;

/// Rung when an own heartbeat has left this host. Clones share it.
#[derive(Debug, Clone)]
pub struct Bell(Arc<Rope>);

#[derive(Debug)]
struct Rope {
    wakes: OwnedFd,
    /// When a heartbeat left last, and from when on one is wanted: nanoseconds since the machine began.
    left: AtomicU64,
    due: AtomicU64,
}

impl Bell {
    fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(Rope {
            wakes: eventfd(0, EventfdFlags::CLOEXEC)?,
            left: AtomicU64::new(0),
            due: AtomicU64::new(NEVER),
        })))
    }

    /// A heartbeat was handed to a medium now. Never waits.
    pub fn heartbeat_left(&self) {
        let now = nanoseconds(clock::since_boot());
        self.0.left.store(now, Ordering::Relaxed);
        if now >= self.0.due.load(Ordering::Relaxed) {
            self.wake();
        }
    }

    fn wake(&self) {
        // It would only wait at 2^64 - 2 calls that nobody answered, and it fails for no other reason.
        let _ = rustix::io::write(&self.0.wakes, &1_u64.to_ne_bytes());
    }

    fn wait(&self) {
        let _ = rustix::io::read(&self.0.wakes, &mut [0_u8; 8]);
    }
}

/// What the thread is told or asked.
#[derive(Debug)]
enum Command {
    Holds(AddressCopy, Option<Monotonic>),
    Misses(IpAddr),
    Drops(IpAddr, oneshot::Sender<()>),
    RanOut(Vec<IpAddr>, oneshot::Sender<BTreeMap<IpAddr, Duration>>),
    Report(oneshot::Sender<LeaseReport>),
    Part(Option<Duration>, oneshot::Sender<()>),
    Stay,
    Tell(Recipient<LeaseChanged>),
}

/// The thread, for everybody else. Clones share it.
#[derive(Debug, Clone)]
pub struct LeaseThread(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    seconds: u32,
    bell: Bell,
    commands: mpsc::Sender<Command>,
    /// What was put up or found. Only the main thread uses it.
    leased: Mutex<BTreeSet<IpAddr>>,
}

impl LeaseThread {
    /// Starts the thread. `seconds`: the lifetime; `deadtime`: how long the other node waits.
    ///
    /// # Errors
    /// No thread or no descriptor can be had.
    pub fn start(realtime: Realtime, seconds: u32, deadtime: Duration) -> io::Result<Self> {
        let bell = Bell::new()?;
        let (commands, told) = mpsc::channel();
        let mut work = Work {
            lease: Lease::new(seconds, deadtime),
            seconds,
            bell: bell.clone(),
            told,
            heard: 0,
            socket: None,
            seen: Vec::new(),
            tells: None,
        };
        let body = move || {
            if realtime.enabled
                && let Err(error) = sys::set_realtime(realtime.priority)
            {
                warn!(%error, "the thread of the lease cannot run in the realtime class");
            }
            // A fault must not end the renewals. The next one waits for the bell.
            while catch_unwind(AssertUnwindSafe(|| work.run())).is_err() {
                error!("the thread of the lease failed, and begins anew");
                work.socket = None;
            }
        };
        std::thread::Builder::new()
            .name("lease".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(body)?;
        info!(seconds, "service addresses get a lease");
        let leased = Mutex::default();
        Ok(Self(Arc::new(Shared {
            seconds,
            bell,
            commands,
            leased,
        })))
    }

    /// To be rung by the media.
    #[must_use]
    pub fn bell(&self) -> Bell {
        self.0.bell.clone()
    }

    /// Who is told of leases that ran out.
    pub fn tells(&self, recipient: Recipient<LeaseChanged>) {
        self.tell(Command::Tell(recipient));
    }

    /// Which of these addresses are gone because their lease ran out, and how long each must be away still.
    /// `None`: the thread does not answer.
    pub async fn ran_out(&self, addresses: Vec<IpAddr>) -> Option<BTreeMap<IpAddr, Duration>> {
        self.ask(|reply| Command::RanOut(addresses, reply)).await
    }

    /// What is renewed. `None`: the thread does not answer.
    pub async fn report(&self) -> Option<LeaseReport> {
        self.ask(Command::Report).await
    }

    /// The process is about to replace itself: see [`Event::Part`].
    pub async fn part(&self, longer: Option<Duration>) {
        if self
            .ask(|reply| Command::Part(longer, reply))
            .await
            .is_none()
        {
            warn!(
                "the thread of the lease does not answer: service addresses may be away for a moment"
            );
        }
    }

    /// It was not replaced.
    pub fn stay(&self) {
        self.tell(Command::Stay);
    }

    fn tell(&self, command: Command) {
        // The thread lives as long as the process.
        let _ = self.0.commands.send(command);
        self.0.bell.wake();
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.tell(command(reply));
        timeout(ANSWER, answer).await.ok()?.ok()
    }

    fn leased(&self) -> std::sync::MutexGuard<'_, BTreeSet<IpAddr>> {
        self.0.leased.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lessor for LeaseThread {
    fn seconds(&self) -> u32 {
        self.0.seconds
    }

    fn has(&self, address: IpAddr) -> bool {
        self.leased().contains(&address)
    }

    fn clock(&self) -> Duration {
        clock::since_boot()
    }

    fn holds(&self, found: &Assigned, since: Option<Duration>) {
        self.leased().insert(found.address);
        self.tell(Command::Holds(
            copy_of(found),
            since.map(Monotonic::from_duration),
        ));
    }

    fn misses(&self, address: IpAddr) {
        self.tell(Command::Misses(address));
    }

    fn drops(&self, address: IpAddr) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send + '_>> {
        self.leased().remove(&address);
        let (reply, answer) = oneshot::channel();
        self.tell(Command::Drops(address, reply));
        Box::pin(async {
            match timeout(REQUEST_TIME, answer).await {
                // Without the thread nothing renews it.
                Ok(_) => Ok(()),
                Err(_) => Err(io::ErrorKind::TimedOut.into()),
            }
        })
    }
}

/// What the thread owns.
struct Work {
    lease: Lease,
    seconds: u32,
    bell: Bell,
    told: mpsc::Receiver<Command>,
    /// The heartbeat that was handled last.
    heard: u64,
    socket: Option<LeaseSocket>,
    /// What the last look found.
    seen: Vec<Assigned>,
    tells: Option<Recipient<LeaseChanged>>,
}

impl Work {
    /// Ends with the process.
    fn run(&mut self) {
        loop {
            self.bell.wait();
            while let Ok(command) = self.told.try_recv() {
                self.obey(command);
            }
            let left = self.bell.0.left.load(Ordering::Relaxed);
            if left != std::mem::replace(&mut self.heard, left) {
                let at = Monotonic::from_duration(Duration::from_nanos(left));
                self.step(Event::Beat(at));
            }
            let due = self.lease.next_due();
            let due = due.map_or(NEVER, |due| nanoseconds(due.since_start()));
            self.bell.0.due.store(due, Ordering::Relaxed);
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Holds(copy, since) => self.step(Event::Holds { copy, since }),
            Command::Misses(address) => self.step(Event::Missing(address)),
            Command::Drops(address, reply) => {
                self.step(Event::Drops(address));
                let _ = reply.send(());
            }
            Command::RanOut(addresses, reply) => {
                let now = now();
                let ran_out = addresses.into_iter();
                let ran_out = ran_out.filter_map(|it| Some((it, self.lease.ran_out(it, now)?)));
                let _ = reply.send(ran_out.collect());
            }
            Command::Report(reply) => {
                let _ = reply.send(self.report());
            }
            Command::Part(longer, reply) => {
                self.part(longer);
                let _ = reply.send(());
            }
            Command::Stay => self.step(Event::Stay),
            Command::Tell(recipient) => self.tells = Some(recipient),
        }
    }

    fn step(&mut self, event: Event) {
        for action in self.lease.handle(event, now()) {
            self.perform(action);
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Look => {
                let began = now();
                if self.look() {
                    let there = self.there();
                    self.step(Event::Looked { began, there });
                }
            }
            Action::Renew(copies, seconds) => {
                let (done, refused) = self.change(&copies, Some(seconds));
                self.step(Event::Renewed { done, refused });
            }
            Action::Endless(copies) => {
                let (_, refused) = self.change(&copies, None);
                if let Some(error) = refused {
                    warn!(error, "an address keeps its lifetime");
                }
            }
            Action::Remove(copies) => self.remove(&copies),
            Action::Changed => {
                if let Some(tells) = &self.tells {
                    tells.do_send(LeaseChanged);
                }
            }
            Action::Say(severity, text) => notice::say(Speaker::Daemon, severity, &text),
        }
    }

    /// Nobody judges how long it took: the process is about to end.
    fn part(&mut self, longer: Option<Duration>) {
        if !self.look() {
            return;
        }
        for action in self.lease.handle(Event::Part(longer), now()) {
            match action {
                Action::Renew(copies, seconds) => drop(self.change(&copies, Some(seconds))),
                other => self.perform(other),
            }
        }
    }

    fn connected(&mut self) -> io::Result<&mut LeaseSocket> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => LeaseSocket::open()?,
        };
        Ok(self.socket.insert(socket))
    }

    /// Reads the addresses of this host. Whether that was possible.
    fn look(&mut self) -> bool {
        match self.connected().and_then(LeaseSocket::addresses) {
            Ok(seen) => {
                self.seen = seen;
                true
            }
            Err(error) => {
                self.socket = None;
                warn!(%error, "the addresses of this host cannot be read: no lease is renewed");
                false
            }
        }
    }

    fn there(&self) -> Vec<There> {
        let held: BTreeSet<AddressCopy> = self.lease.held().collect();
        let seen = self.seen.iter();
        let held = seen.filter(|it| held.contains(&copy_of(it)));
        held.map(|it| There {
            copy: copy_of(it),
            ends: ends(it),
            takes_along: takes_along(it, &self.seen, &|path| std::fs::read(path).ok())
                .into_iter()
                .map(copy_of)
                .collect(),
        })
        .collect()
    }

    /// Those of the copies that the last look has seen.
    fn among(&self, copies: &[AddressCopy]) -> Vec<Assigned> {
        let seen = self.seen.iter();
        seen.filter(|it| copies.contains(&copy_of(it)))
            .cloned()
            .collect()
    }

    /// Gives addresses another lifetime. Those for which the kernel has said yes, and why it refused another one.
    fn change(
        &mut self,
        copies: &[AddressCopy],
        seconds: Option<u32>,
    ) -> (Vec<AddressCopy>, Option<String>) {
        let those = self.among(copies);
        let leased: BTreeSet<IpAddr> = self.lease.held().map(|it| it.address).collect();
        let message = |it: &Assigned| {
            let place = (it.index, it.address, it.prefix);
            let leaves = leaves_route(place, &self.seen, &|other| leased.contains(&other));
            renewal(it, seconds, leaves)
        };
        let messages = those.iter().map(message).collect();
        let answers = self.connected().and_then(|socket| socket.change(messages));
        let answers = match answers {
            Ok(answers) => answers,
            Err(error) => {
                self.socket = None;
                return (Vec::new(), Some(error.to_string()));
            }
        };
        let (mut done, mut refused) = (Vec::new(), None);
        for (it, answer) in those.iter().zip(answers) {
            match answer {
                Ok(()) => done.push(copy_of(it)),
                Err(error) => refused = Some(format!("{}: {error}", it.address)),
            }
        }
        (done, refused)
    }

    fn remove(&mut self, copies: &[AddressCopy]) {
        let those = self.among(copies);
        let seconds = self.seconds;
        for it in &those {
            let address = it.address;
            warn!(%address, seconds, "removed: it came back after its lease had run out");
        }
        let removed = self.connected().and_then(|socket| socket.remove(&those));
        let refused = match removed {
            Ok(answers) => answers.into_iter().find_map(Result::err),
            Err(error) => {
                self.socket = None;
                Some(error)
            }
        };
        let gone = |error: &io::Error| error.raw_os_error() == Some(libc::EADDRNOTAVAIL);
        if let Some(error) = refused.filter(|error| !gone(error)) {
            error!(%error, "an address whose lease ran out cannot be removed");
        }
    }

    fn report(&self) -> LeaseReport {
        let view = self.lease.view();
        let names = |those: BTreeSet<IpAddr>| those.iter().map(ToString::to_string).collect();
        LeaseReport {
            seconds: self.seconds,
            renewed: names(view.renewed),
            without: names(view.endless),
            ran_out: names(view.ran_out),
        }
    }
}

fn copy_of(it: &Assigned) -> AddressCopy {
    AddressCopy {
        index: it.index,
        address: it.address,
        prefix: it.prefix,
    }
}

fn now() -> Monotonic {
    Monotonic::from_duration(clock::since_boot())
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix::test]
    async fn the_thread_answers_and_is_woken_by_a_heartbeat() {
        let realtime = Realtime {
            enabled: false,
            priority: None,
            memreserve_kb: 0,
        };
        let lease = LeaseThread::start(realtime, 1, Duration::from_secs(2)).expect("a thread");
        let report = lease.report().await.expect("an answer");
        assert_eq!(
            report,
            LeaseReport {
                seconds: 1,
                ..LeaseReport::default()
            }
        );
        // An address that no host has: nothing is changed, and it counts as removed by somebody.
        let nowhere = IpAddr::from([192, 0, 2, 200]);
        let copy = AddressCopy {
            index: 1,
            address: nowhere,
            prefix: 32,
        };
        lease.tell(Command::Holds(copy, None));
        assert_eq!(
            lease.report().await.expect("an answer").renewed,
            ["192.0.2.200"]
        );
        for _ in 0..200 {
            lease.bell().heartbeat_left();
            if lease.report().await.expect("an answer").renewed.is_empty() {
                break;
            }
        }
        assert_eq!(lease.report().await.expect("an answer").renewed, [""; 0]);
        assert_eq!(lease.ran_out(vec![nowhere]).await, Some(BTreeMap::new()));
        lease.part(None).await;
        lease.stay();
        lease.drops(nowhere).await.expect("nothing renews it");
        while lease.0.bell.0.due.load(Ordering::Relaxed) != NEVER {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}
