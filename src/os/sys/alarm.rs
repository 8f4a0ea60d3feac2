//! A timer of the kernel that interrupts the process whatever it does: for work that must happen at
//! its time when no thread can be made to wait for it.

use std::io;
use std::time::Duration;

/// Calls `what` after `left`, whatever any thread does or waits for. There is one such timer in a
/// process. Children do not inherit it.
///
/// `what` runs as a signal handler: it may call the kernel and read atomic values, but neither
/// allocate nor lock.
///
/// # Errors
/// The kernel refuses.
pub fn set(left: Duration, what: extern "C" fn(libc::c_int)) -> io::Result<()> {
    // SAFETY: plain data for which all zeros is a value: no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = what as *const () as usize;
    // SAFETY: `action` is valid, outlives the call and names a function of the right type.
    if unsafe { libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // Zero would mean never.
    arm(left.max(Duration::from_micros(1)))
}

/// Cancels [`set`].
pub fn clear() {
    let _ = arm(Duration::ZERO);
}

fn arm(left: Duration) -> io::Result<()> {
    let timer = libc::itimerval {
        it_interval: libc::timeval {
            tv_sec: 0,
            tv_usec: 0,
        },
        it_value: libc::timeval {
            tv_sec: left.as_secs().try_into().unwrap_or(libc::time_t::MAX),
            tv_usec: left.subsec_micros().into(),
        },
    };
    // SAFETY: `timer` is valid and outlives the call; nothing is written back.
    match unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    static CALLED: AtomicU32 = AtomicU32::new(0);

    extern "C" fn note(_: libc::c_int) {
        CALLED.fetch_add(1, Ordering::Relaxed);
    }

    /// One test: the process has one such timer.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "nothing else is tested here")]
    fn the_timer_interrupts_unless_it_is_cleared() {
        set(Duration::from_secs(3600), note).unwrap();
        clear();
        set(Duration::ZERO, note).unwrap();
        while CALLED.load(Ordering::Relaxed) == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(CALLED.load(Ordering::Relaxed), 1);
    }
}
