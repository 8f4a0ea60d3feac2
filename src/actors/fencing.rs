//! The fencing devices of this node: tries them one after the other when a node is to be reset, and
//! asks at the start and every hour whether they work.
//!
//! The work is done by tasks beside the actor, which report to it: a panic here loses no reset that
//! is under way. Devices are tried in the reverse order of their lines, because the legacy program
//! uses the last one alone.
//!
//! | When | What |
//! |---|---|
//! | an order | a check that runs is broken off; each device that can reset the node, until one says that it is done |
//! | an order to learn of an earlier one | a reset of this process: its answer; else the program that an earlier process has left is waited for |
//! | a while after the start | a program of an earlier process that nobody has asked for is ended |
//! | the order is called off | the program is ended; nothing is answered |
//! | start, and an hour after the end of a check | each device: does it work, which hosts can it reset |
//! | a device that does not work, or a check that was broken off | again in a minute |
//! | every few seconds | what is known goes to the core |
//!
//! Spec: docs/protocol/resources.md, 10.3.

mod check;
mod reset;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::watch;
use tracing::{debug, warn};

use crate::actors::messages::{CallOffAll, CallOffFence, FenceDevicesKnown, FenceNode, NodeFenced};
use crate::actors::supervise::{RestartPolicy, supervise};
use crate::agents::fence::{Device, FenceContext, Hosts, end_earlier_resets};
use crate::clients::control::{FenceDeviceReport, FenceReport};
use crate::clock::{self, wall_unix_s};
use crate::config::Config;
use crate::config::fencing::FenceDevice;
use crate::os::in_time::is_directory;
use crate::os::paths::Paths;
use crate::policy::fencing::{FenceAnswer, FenceOrder, FenceTask};
use crate::protocol::name::NodeName;
use check::Checked;

/// Pause between the end of a check and the next one.
const CHECK: Duration = Duration::from_secs(3600);

/// The same after a check that was broken off.
const CHECK_AGAIN: Duration = Duration::from_secs(60);

/// How long after the start the core has asked for every reset that an earlier one has left.
const LEFT: Duration = Duration::from_secs(5);

/// Pause between two reports to the core.
const TELL: Duration = Duration::from_secs(5);

/// Most devices that are asked. A cluster has a few for each node.
const MAX_DEVICES: usize = 64;

/// Whom the actor tells.
#[derive(Clone)]
pub struct FencingTargets {
    /// Answers to orders.
    pub answers: Recipient<NodeFenced>,
    /// What is known of the devices.
    pub devices: Recipient<FenceDevicesKnown>,
}

/// Asks for the state of the devices.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "FenceReport")]
pub struct AskFencing;

/// Asks every device now, and what a reset of this node would run.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<FenceReport, String>")]
pub struct TestFence(pub NodeName);

/// What is known of one device.
#[derive(Debug, Clone, Default)]
struct Known {
    /// Hosts that it has named, in any answer since the start.
    hosts: Option<Hosts>,
    works: Option<bool>,
    asked_unix_s: Option<u64>,
    /// The same since the machine began.
    asked: Option<Duration>,
    took: Option<Duration>,
    trouble: Option<String>,
}

/// An order that is being carried out.
struct Running {
    node: NodeName,
    /// The order that it answers: that of the core that runs now.
    answers: FenceOrder,
    call_off: watch::Sender<bool>,
}

/// Drives the devices of one node.
pub struct FencingActor {
    context: Arc<FenceContext>,
    /// In the order in which they are tried.
    devices: Vec<Device>,
    targets: FencingTargets,
    known: Vec<Known>,
    running: BTreeMap<FenceOrder, Running>,
    /// Whether a check runs.
    checking: bool,
    /// Breaks off checks and tests.
    break_off: watch::Sender<bool>,
    longest: Duration,
}

/// What a task found out about a device.
#[derive(Message)]
#[rtype(result = "()")]
struct Learned {
    device: usize,
    what: Checked,
}

/// A device said which hosts it can reset.
#[derive(Message)]
#[rtype(result = "()")]
struct Named {
    device: usize,
    hosts: Hosts,
}

/// A device took so long for a good answer.
#[derive(Message)]
#[rtype(result = "()")]
struct Took(Duration);

/// The end of a task that carried out an order. `None`: it was called off.
#[derive(Message)]
#[rtype(result = "()")]
struct Finished {
    order: FenceOrder,
    answer: Option<FenceAnswer>,
}

/// The end of a check.
#[derive(Message)]
#[rtype(result = "()")]
struct CheckEnded {
    whole: bool,
}

/// Starts the actor on this thread, if there is a device, or if dead nodes are reset by their
/// watchdogs: people are told of both. `shim`: see [`FenceContext`]. Looks at the disk for a moment.
#[must_use]
pub fn start(
    config: &Config,
    paths: &Paths,
    debug: u8,
    shim: Option<PathBuf>,
    targets: FencingTargets,
) -> Option<Addr<FencingActor>> {
    if config.fence_devices.is_empty() && config.settings.fence_by_watchdog.is_none() {
        fences_nobody(paths);
        return None;
    }
    let helpers = is_directory(&paths.helper_dir);
    let context = FenceContext::of(config, paths, debug, helpers, shim);
    let lines = config.fence_devices.clone();
    let here = actix_rt::Arbiter::current();
    let policy = RestartPolicy::new("fencing");
    Some(supervise(&here, policy, move |_| {
        FencingActor::new(lines, context, targets)
    }))
}

/// A daemon that resets nobody, because it only releases or has no devices any more, leaves no reset that an earlier one has begun: nobody
/// would call it off when the node is back.
pub fn fences_nobody(paths: &Paths) {
    end_earlier(paths.scripts(), Vec::new());
}

fn end_earlier(records: PathBuf, but: Vec<NodeName>) {
    actix_rt::spawn(async move { end_earlier_resets(&records, &but).await });
}

impl FencingActor {
    /// An actor for these lines of ha.cf.
    #[must_use]
    pub fn new(lines: Vec<FenceDevice>, context: FenceContext, targets: FencingTargets) -> Self {
        let context = Arc::new(context);
        if lines.len() > MAX_DEVICES {
            let (lines, limit) = (lines.len(), MAX_DEVICES);
            warn!(
                lines,
                limit, "too many fencing devices: only the last ones are used"
            );
        }
        let lines = lines.into_iter().rev().take(MAX_DEVICES);
        let devices: Vec<Device> = lines
            .map(|line| Device::new(line, Arc::clone(&context)))
            .collect();
        Self {
            known: vec![Known::default(); devices.len()],
            context,
            devices,
            targets,
            running: BTreeMap::new(),
            checking: false,
            break_off: watch::Sender::new(false),
            longest: Duration::ZERO,
        }
    }

    /// Other nodes for which there is a device.
    fn can_reset(&self) -> BTreeSet<NodeName> {
        let others = self.context.nodes.iter();
        let others = others.filter(|node| **node != self.context.local);
        let can = |node: &&NodeName| {
            self.known.iter().any(|known| match &known.hosts {
                Some(hosts) => hosts.plug_of(node).is_some(),
                None => true,
            })
        };
        others.filter(can).cloned().collect()
    }

    fn tell(&self) {
        self.targets.devices.do_send(FenceDevicesKnown {
            can_reset: self.can_reset(),
            longest_answer: self.longest,
        });
    }

    fn tell_again(&mut self, ctx: &mut Context<Self>) {
        self.tell();
        ctx.run_later(TELL, Self::tell_again);
    }

    fn begin_check(&mut self, ctx: &mut Context<Self>) {
        if self.checking || self.devices.is_empty() {
            return;
        }
        if !self.running.is_empty() {
            ctx.run_later(CHECK_AGAIN, Self::begin_check);
            return;
        }
        self.checking = true;
        let call_off = self.break_off.subscribe();
        let now = clock::since_boot();
        let due = |known: &&Known| known.is_due(now);
        // With what is known to be wrong: it is not said again each minute.
        let devices = self.devices.iter().zip(&self.known).enumerate();
        let devices = devices.filter(|(_, (_, known))| due(known));
        let devices = devices
            .map(|(number, (device, known))| (number, device.clone(), known.trouble.clone()));
        let work = check::check_all(devices.collect(), call_off, ctx.address());
        actix_rt::spawn(work);
    }

    /// A reset of an earlier core of this process answers the core that runs now. `false`: there is
    /// none.
    fn hand_on(&mut self, order: FenceOrder, node: &NodeName) -> bool {
        let wanted = |it: &&mut Running| it.node == *node && !*it.call_off.borrow();
        let running = self.running.values_mut().find(wanted);
        running.is_some_and(|running| {
            running.answers = order;
            true
        })
    }

    /// Programs of an earlier process whose reason is gone: this one has not asked for them.
    fn end_what_is_left(&mut self, _: &mut Context<Self>) {
        let running = self.running.values().map(|it| it.node.clone()).collect();
        end_earlier(self.context.records.clone(), running);
    }

    fn break_off_checks(&mut self) {
        let old = std::mem::replace(&mut self.break_off, watch::Sender::new(false));
        old.send_replace(true);
    }

    /// A device that suddenly names no host is asked with what it named before.
    fn learn(&mut self, device: usize, what: Checked) {
        let Some(known) = self.known.get_mut(device) else {
            return;
        };
        if let Some(hosts) = what.hosts {
            known.hosts.get_or_insert_default().renew(hosts);
        }
        known.works = Some(what.trouble.is_none());
        known.trouble = what.trouble;
        known.took = Some(what.took);
        known.asked_unix_s = Some(wall_unix_s());
        known.asked = Some(clock::since_boot());
        if known.works == Some(true) {
            self.longest = self.longest.max(what.took);
        }
        self.tell();
    }

    fn report(&self) -> FenceReport {
        let devices = self.devices.iter().zip(&self.known);
        FenceReport {
            devices: devices
                .map(|(device, known)| known.report(device))
                .collect(),
            time_limit_s: self.context.limit.as_secs(),
            longest_answer_ms: millis(self.longest),
            resetting: self
                .running
                .values()
                .map(|it| it.node.to_string())
                .collect(),
            waiting: None,
        }
    }
}

impl Known {
    /// By the clock that nobody sets.
    fn is_due(&self, now: Duration) -> bool {
        let rested = self
            .asked
            .is_none_or(|asked| now.saturating_sub(asked) >= CHECK);
        rested || self.works != Some(true)
    }

    fn report(&self, device: &Device) -> FenceDeviceReport {
        let hosts = self.hosts.as_ref().map(|hosts| {
            let nodes = hosts.nodes.iter();
            nodes.map(|it| it.host.to_string()).collect()
        });
        FenceDeviceReport {
            kind: device.kind().to_owned(),
            place: device.place().to_owned(),
            hosts,
            works: self.works,
            asked_unix_s: self.asked_unix_s,
            answer_ms: self.took.map(millis),
            trouble: self.trouble.clone(),
            would_run: Vec::new(),
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Actor for FencingActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.tell_again(ctx);
        self.begin_check(ctx);
        ctx.run_later(LEFT, Self::end_what_is_left);
    }
}

impl Supervised for FencingActor {
    // `started` comes next, and begins a check: the timer of the next one is gone with the old life.
}

impl Handler<FenceNode> for FencingActor {
    type Result = ();

    fn handle(&mut self, told: FenceNode, ctx: &mut Self::Context) {
        let FenceNode { order, node, task } = told;
        if self.running.values().any(|it| it.answers == order) {
            return;
        }
        if task == FenceTask::LearnEarlier && self.hand_on(order, &node) {
            return;
        }
        self.break_off_checks();
        let (sender, call_off) = watch::channel(false);
        let work = reset::Reset {
            order,
            node: node.clone(),
            task,
            context: Arc::clone(&self.context),
            devices: self.devices.clone(),
            hosts: self.known.iter().map(|it| it.hosts.clone()).collect(),
            call_off,
            actor: ctx.address(),
        };
        self.running.insert(
            order,
            Running {
                node,
                answers: order,
                call_off: sender,
            },
        );
        actix_rt::spawn(work.run());
    }
}

impl Handler<CallOffFence> for FencingActor {
    type Result = ();

    fn handle(&mut self, CallOffFence { order }: CallOffFence, _: &mut Self::Context) {
        if let Some(running) = self.running.values().find(|it| it.answers == order) {
            debug!(node = %running.node, "the reset is called off");
            let _ = running.call_off.send(true);
        }
    }
}

impl Handler<CallOffAll> for FencingActor {
    type Result = ();

    fn handle(&mut self, _: CallOffAll, _: &mut Self::Context) {
        for running in self.running.values() {
            let _ = running.call_off.send(true);
        }
    }
}

impl Handler<Learned> for FencingActor {
    type Result = ();

    fn handle(&mut self, Learned { device, what }: Learned, _: &mut Self::Context) {
        self.learn(device, what);
    }
}

impl Handler<Named> for FencingActor {
    type Result = ();

    fn handle(&mut self, Named { device, hosts }: Named, _: &mut Self::Context) {
        if let Some(known) = self.known.get_mut(device) {
            known.hosts.get_or_insert_default().renew(hosts);
        }
        self.tell();
    }
}

impl Handler<Took> for FencingActor {
    type Result = ();

    fn handle(&mut self, Took(time): Took, _: &mut Self::Context) {
        self.longest = self.longest.max(time);
        self.tell();
    }
}

impl Handler<Finished> for FencingActor {
    type Result = ();

    fn handle(&mut self, Finished { order, answer }: Finished, _: &mut Self::Context) {
        let Some(Running {
            node,
            answers: order,
            call_off,
        }) = self.running.remove(&order)
        else {
            return;
        };
        match answer {
            Some(answer) if !*call_off.borrow() => {
                self.targets.answers.do_send(NodeFenced {
                    order,
                    node,
                    answer,
                });
            }
            Some(_) | None => debug!(%node, "the reset was called off"),
        }
    }
}

impl Handler<CheckEnded> for FencingActor {
    type Result = ();

    fn handle(&mut self, CheckEnded { whole }: CheckEnded, ctx: &mut Self::Context) {
        self.checking = false;
        let work = self.known.iter().all(|it| it.works == Some(true));
        let pause = if whole && work { CHECK } else { CHECK_AGAIN };
        ctx.run_later(pause, Self::begin_check);
    }
}

impl Handler<AskFencing> for FencingActor {
    type Result = MessageResult<AskFencing>;

    fn handle(&mut self, _: AskFencing, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.report())
    }
}

impl Handler<TestFence> for FencingActor {
    type Result = ResponseActFuture<Self, Result<FenceReport, String>>;

    fn handle(&mut self, TestFence(node): TestFence, ctx: &mut Self::Context) -> Self::Result {
        let refused = if !self.running.is_empty() {
            Some("a node is being reset now".to_owned())
        } else if !self.context.nodes.contains(&node) {
            Some(format!("ha.cf names no node {node}"))
        } else {
            None
        };
        let (devices, call_off) = (self.devices.clone(), self.break_off.subscribe());
        let actor = ctx.address();
        let work = async move {
            match refused {
                Some(refused) => Err(refused),
                None => Ok(check::test_all(devices, node, call_off, actor).await),
            }
        };
        Box::pin(work.into_actor(self).map(|tested, act, _| {
            let mut report = act.report();
            let tested = tested?;
            if tested.iter().any(|(what, _)| what.is_none()) {
                return Err("a node has to be reset, so the devices are not asked now".to_owned());
            }
            for (device, (what, would_run)) in report.devices.iter_mut().zip(tested) {
                device.works = what.as_ref().map(|it| it.trouble.is_none());
                device.trouble = what.and_then(|it| it.trouble);
                device.would_run = would_run;
            }
            Ok(report)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_asked_each_hour_and_one_that_does_not_work_each_time() {
        let at = Duration::from_secs;
        let mut known = Known::default();
        assert!(known.is_due(at(5)), "never asked");
        known.asked = Some(at(100));
        assert!(known.is_due(at(101)), "no answer yet");
        known.works = Some(true);
        assert!(!known.is_due(at(3_699)));
        assert!(known.is_due(at(3_700)));
        known.works = Some(false);
        assert!(known.is_due(at(101)));
    }
}
