//! Whether the cluster thread still works. It sends heartbeats, declares nodes dead and gives
//! orders. When it hangs, the others receive nothing and take over what runs on here, and nothing
//! in that thread could notice.
//!
//! So the main thread checks it. What it may conclude is limited by what it knows about itself:
//!
//! | Seen | Means |
//! |---|---|
//! | an own heartbeat came back since the last check | the cluster thread works: the count begins anew |
//! | this check comes more than a pause too late | this thread was delayed as well, by the machine or because the process was suspended: no evidence, the count begins anew |
//! | the cluster thread is ready to run and has used no processor time since the last check | it is starved and will catch up: the count begins anew |
//! | none of these for longer than the dead time | it hangs (a lock, a disk, an endless loop), and the others have declared this node dead: soon after a start a legacy node waits two seconds longer, and takes over all the same when a heartbeat comes then |
//!
//! There are no pauses between the checks of a healthy thread: the next one comes when its last heartbeat is five eighths
//! of a dead time old. From then on there is one in each eighth of it.
//!
//! A shorter limit would end daemons that only had a short delay. At the dead time nothing is lost
//! by it, because the others take over then whatever we do. A thread that catches up later than
//! that withdraws the addresses by itself (`ResourceEvent::OwnHeartbeatLost`).
//!
//! Then the addresses are removed, and the process aborts. Its guardian starts it again. If another
//! node was there to take over, the new daemon holds nothing and stops what still runs. If there
//! was none, it keeps what was held, and each group is ordered to start once more, which adds its
//! addresses again.

use std::time::Duration;

use actix::prelude::*;

use super::RootActor;
use crate::actors::messages::MoveAddresses;
use crate::actors::threads::{self, Activity};
use crate::clock::{self, Clock, Monotonic};
use crate::notice::Severity;
use crate::process::guardian::Beats;
use crate::protocol::settings::Timing;

/// Longest pause between two checks of a thread that may hang.
const LOOK: Duration = Duration::from_secs(1);

/// How many checks there are in a dead time, at least.
const LOOKS: u32 = 8;

/// How long the withdrawal of addresses may take before the process ends. Its answer is not waited
/// for: a kernel that hangs must not block the end.
const WITHDRAW: Duration = Duration::from_millis(500);

/// How long the log may take for what is in its queue.
const FLUSH: Duration = Duration::from_millis(500);

/// What was seen of the cluster thread.
#[derive(Debug)]
pub(super) struct HeartbeatWatch {
    clock: Clock,
    limit: Duration,
    /// Between two checks of a thread that may hang.
    pause: Duration,
    beats: Beats,
    /// The last heartbeat that was seen.
    seen: Option<Duration>,
    /// From when the silence counts; `None` before the first heartbeat.
    counted_from: Option<Monotonic>,
    /// When the next check has to be.
    due: Option<Monotonic>,
    activity: Option<Activity>,
}

impl HeartbeatWatch {
    pub(super) fn new(timing: &Timing, beats: Beats) -> Self {
        let limit = timing.deadtime.max(timing.keepalive.saturating_mul(2));
        Self {
            clock: Clock::start(),
            limit,
            pause: (limit / LOOKS).min(LOOK),
            beats,
            seen: None,
            counted_from: None,
            due: None,
            activity: None,
        }
    }

    /// Checks the cluster thread. `true`: it hangs.
    fn look(&mut self) -> bool {
        let now = self.clock.now().instant;
        let last = self.beats.last();
        if last != self.seen {
            self.seen = last;
            let ago = last.map(|at| clock::since_boot().saturating_sub(at));
            self.counted_from = ago.map(|ago| now - ago);
        }
        self.judge(now, || threads::activity(c"cluster"))
    }

    fn judge(&mut self, now: Monotonic, activity: impl FnOnce() -> Option<Activity>) -> bool {
        let in_time = self.due.is_some_and(|due| now.since(due) <= self.pause);
        let hangs = self.counted_from.is_some_and(|from| {
            if now.since(from) <= self.pause.saturating_mul(2) {
                self.activity = None;
                return false;
            }
            let before = std::mem::replace(&mut self.activity, activity());
            let starved = self
                .activity
                .is_some_and(|thread| thread.ready && before == Some(thread));
            if !in_time || starved {
                self.counted_from = Some(now);
                return false;
            }
            now.since(from) > self.limit
        });
        self.due = Some(now + self.until_next(now));
        hangs
    }

    /// How long to wait for the next check.
    fn pause_now(&self) -> Duration {
        let now = self.clock.now().instant;
        let left = self.due.map(|due| due.since(now));
        left.unwrap_or_default().max(self.pause)
    }

    /// A thread that has sent a heartbeat lately is not checked before five eighths of the dead time are over: a healthy
    /// node rarely wakes for it.
    fn until_next(&self, now: Monotonic) -> Duration {
        let left = self.counted_from.map(|from| {
            (self.limit / 8)
                .saturating_mul(5)
                .saturating_sub(now.since(from))
        });
        left.unwrap_or_default().max(self.pause)
    }
}

impl RootActor {
    /// Checks again and again, until the process ends.
    pub(super) fn watch_cluster(&mut self, ctx: &mut Context<Self>) {
        // Without membership there are no heartbeats, and that is being handled.
        let ending = self.exit.is_none() || self.releasing.is_some();
        if !ending && self.heartbeat_watch.look() {
            self.cluster_hangs(ctx);
            return;
        }
        ctx.run_later(self.heartbeat_watch.pause_now(), Self::watch_cluster);
    }

    fn cluster_hangs(&mut self, ctx: &mut Context<Self>) {
        let text = format!(
            "the cluster thread has done nothing for {} ms, longer than deadtime: the others have \
             given this node up. Its addresses are withdrawn and the daemon ends{}",
            self.heartbeat_watch.limit.as_millis(),
            if self.config.settings.guardian {
                "; the guardian starts another"
            } else {
                ". Without a guardian its resources run on unmanaged"
            }
        );
        self.log.line(Severity::Crit, text);
        let has_successor = self.peers.has_successor();
        self.held.with(|held| match has_successor {
            true => held.give_all_up(),
            false => held.all_are_unfinished(),
        });
        for group in &self.config.groups {
            self.groups.do_send(MoveAddresses {
                group: group.key.clone(),
                withdraw: true,
            });
        }
        ctx.run_later(WITHDRAW, |root, _| {
            root.log.flush(FLUSH);
            // Not an orderly end, which would wait for the thread that hangs.
            std::process::abort();
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE_MS: u64 = 250;

    fn watch() -> HeartbeatWatch {
        let timing = Timing {
            keepalive: Duration::from_millis(200),
            deadtime: Duration::from_secs(2),
            warntime: Duration::from_secs(1),
            initdead: Duration::from_secs(10),
            deadping: Duration::from_secs(2),
            max_rexmit_delay: Duration::from_millis(250),
        };
        let mut watch = HeartbeatWatch::new(&timing, Beats::default());
        watch.counted_from = Some(Monotonic::ZERO);
        watch
    }

    /// Checks in these intervals until the thread hangs; returns when that was.
    fn hangs_at(
        watch: &mut HeartbeatWatch,
        pause_ms: u64,
        thread: impl Fn(u64) -> Activity,
    ) -> Option<u64> {
        (1..200).map(|look| look * pause_ms).find(|at| {
            let now = Monotonic::from_millis(*at);
            watch.judge(now, || Some(thread(*at)))
        })
    }

    const ASLEEP: Activity = Activity {
        ready: false,
        busy_ticks: 7,
    };

    #[test]
    fn a_thread_that_waits_or_spins_for_longer_than_the_dead_time_hangs() {
        assert_eq!(hangs_at(&mut watch(), PAUSE_MS, |_| ASLEEP), Some(2_250));
        let spins = |at| Activity {
            ready: true,
            busy_ticks: at,
        };
        assert_eq!(hangs_at(&mut watch(), PAUSE_MS, spins), Some(2_250));
    }

    #[test]
    fn a_beat_begins_the_count_anew_and_nothing_is_concluded_before_the_first() {
        let mut watch = watch();
        for look in 1..200 {
            let now = Monotonic::from_millis(look * PAUSE_MS);
            if look % 8 == 0 {
                watch.counted_from = Some(now);
            }
            assert!(!watch.judge(now, || Some(ASLEEP)));
        }
        watch.counted_from = None;
        assert_eq!(hangs_at(&mut watch, PAUSE_MS, |_| ASLEEP), None);
    }

    /// Beats every 200 ms until `silent_ms`, checked when a check is due: how many checks there were until then, and when it
    /// counted as hanging.
    fn checked_when_due(silent_ms: u64) -> (u32, u64) {
        let mut watch = watch();
        let (mut looks, mut at) = (0, 0);
        loop {
            let last = at.min(silent_ms) / 200 * 200;
            watch.counted_from = Some(Monotonic::from_millis(last));
            if watch.judge(Monotonic::from_millis(at), || Some(ASLEEP)) {
                return (looks, at);
            }
            looks += u32::from(at < silent_ms);
            let due = watch.due.unwrap();
            at = u64::try_from(due.since_start().as_millis()).unwrap();
        }
    }

    #[test]
    fn a_healthy_thread_is_seldom_checked_and_one_that_hangs_is_found_in_time() {
        for silent_ms in (60_000..62_000).step_by(10) {
            let (looks, found_ms) = checked_when_due(silent_ms);
            assert!(looks < 80, "{looks}");
            let silence_ms = found_ms - silent_ms / 200 * 200;
            assert!((2_001..=2_250).contains(&silence_ms), "{silence_ms}");
        }
    }

    #[test]
    fn a_thread_that_is_only_starved_does_not_hang() {
        let starved = |_| Activity {
            ready: true,
            busy_ticks: 7,
        };
        assert_eq!(hangs_at(&mut watch(), PAUSE_MS, starved), None);
    }

    #[test]
    fn nothing_is_concluded_while_the_main_thread_is_late_itself() {
        assert_eq!(hangs_at(&mut watch(), 3 * PAUSE_MS, |_| ASLEEP), None);
    }

    #[actix::test]
    async fn the_activity_of_a_thread_is_read() {
        let realtime = threads::Realtime {
            enabled: false,
            priority: None,
            memreserve_kb: 0,
        };
        let arbiter = threads::cluster(realtime).expect("the thread starts");
        let (tell, told) = tokio::sync::oneshot::channel();
        arbiter.spawn_fn(move || {
            // Named by now.
            let _ = tell.send(());
        });
        told.await.expect("it runs");
        assert!(threads::activity(c"cluster").is_some());
        assert_eq!(threads::activity(c"no such"), None);
        arbiter.stop();
        arbiter.join().expect("the thread ends");
    }
}
