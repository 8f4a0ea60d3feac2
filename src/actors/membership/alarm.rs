//! What wakes the cluster thread for the core's next deadline.
//!
//! A timer of the kernel wakes it once, at the time asked for; it counts while the machine is suspended, as [`Clock`](crate::clock::Clock) does. The runtime's own timer wakes it twice when it is set for
//! longer than 64 ms, to sort it in and when it is due, and rounds up to a millisecond. It is used where the kernel gives no
//! timer, and in tests, which stop the runtime's clock.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use actix::prelude::*;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::unix::AsyncFd;
use tracing::warn;

use super::MembershipActor;
use crate::clock::Monotonic;
use crate::os::sys;

/// The one timer of the actor.
#[derive(Default)]
pub(super) struct Alarm {
    /// When it rings.
    at: Option<Monotonic>,
    /// The timer of the kernel, unless the runtime's is used.
    kernel: Option<Rc<AsyncFd<OwnedFd>>>,
    /// The timer of the runtime, while it is set.
    runtime: Option<SpawnHandle>,
}

impl Alarm {
    /// Forgets what is set. The timers themselves go with the context of the actor, or ring for nothing.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// It rings: when it was to.
    pub(super) fn rings(&mut self) -> Option<Monotonic> {
        self.runtime = None;
        self.at.take()
    }
}

impl MembershipActor {
    /// From now on the kernel's timer is used, if there is one.
    pub(super) fn wait_for_kernel(&mut self, ctx: &mut Context<Self>) {
        match kernel_timer() {
            Ok(timer) => {
                let timer = Rc::new(timer);
                self.alarm.kernel = Some(Rc::clone(&timer));
                Self::await_ring(timer, ctx);
            }
            Err(error) => {
                warn!(%error, "the kernel gives no timer: the runtime's is used, which wakes this process more often");
            }
        }
    }

    fn await_ring(timer: Rc<AsyncFd<OwnedFd>>, ctx: &mut Context<Self>) {
        let ring = async move { ring(&timer).await.map(|()| timer) };
        let ring = actix::fut::wrap_future::<_, Self>(ring);
        ctx.spawn(ring.map(|rang, act, ctx| match rang {
            Ok(timer) => {
                Self::await_ring(timer, ctx);
                act.tick(ctx);
            }
            Err(error) => {
                warn!(%error, "the kernel's timer fails: the runtime's is used");
                if let Some(other) = act.alarm.runtime.take() {
                    ctx.cancel_future(other);
                }
                act.alarm.forget();
                act.tick(ctx);
            }
        }));
    }

    /// Arms the timer for the core's next deadline. One that is armed for earlier stays: a tick too early does no harm, and
    /// re-arming for every message received costs more.
    pub(super) fn arm(&mut self, next: Monotonic, ctx: &mut Context<Self>) {
        if self.alarm.at.is_some_and(|at| at <= next) {
            return;
        }
        let wait = next.since(self.clock.now().instant);
        let set = self.alarm.kernel.as_ref().map(|timer| set(timer, wait));
        if !matches!(set, Some(Ok(()))) {
            if let Some(earlier) = self.alarm.runtime.take() {
                ctx.cancel_future(earlier);
            }
            self.alarm.runtime = Some(ctx.run_later(wait, Self::tick));
        }
        self.alarm.at = Some(next);
    }
}

fn kernel_timer() -> io::Result<AsyncFd<OwnedFd>> {
    let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
    sys::watched(timerfd_create(TimerfdClockId::Boottime, flags)?)
}

/// Rings once, after this time. What was set before does not ring any more.
fn set(timer: &AsyncFd<OwnedFd>, wait: Duration) -> io::Result<()> {
    // What is due already comes after a moment in which the thread does its other work: a deadline that stays due is no
    // endless loop.
    let wait = match wait.is_zero() {
        true => Duration::from_millis(1),
        false => wait,
    };
    let it_value = Timespec::try_from(wait).map_err(io::Error::other)?;
    let it_interval = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let new = Itimerspec {
        it_interval,
        it_value,
    };
    timerfd_settime(timer.get_ref(), TimerfdTimerFlags::empty(), &new)?;
    Ok(())
}

/// Waits until it has rung.
async fn ring(timer: &AsyncFd<OwnedFd>) -> io::Result<()> {
    loop {
        let mut ready = timer.readable().await?;
        let read = ready.try_io(|timer| {
            let mut times = [0; 8];
            rustix::io::read(timer.get_ref(), &mut times).map_err(io::Error::from)
        });
        match read {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(Err(error)) => return Err(error),
            Err(_would_block) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A later time takes the place of an earlier one, and no time at all is as soon as possible.
    #[actix::test]
    async fn the_kernel_rings_once_for_the_last_time_that_was_set() {
        let timer = kernel_timer().expect("a timer");
        set(&timer, Duration::from_secs(3_600)).expect("set");
        for wait in [Duration::ZERO, Duration::from_millis(1)] {
            set(&timer, wait).expect("set");
            ring(&timer).await.expect("it rings");
        }
        set(&timer, Duration::from_millis(1)).expect("set");
        set(&timer, Duration::from_secs(3_600)).expect("set");
        let rings = tokio::time::timeout(Duration::from_millis(20), ring(&timer)).await;
        assert!(rings.is_err(), "the first time does not count any more");
    }
}
