//! The interval of a watchdog device, by the requests of the kernel's watchdog interface.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::time::Duration;

mod request {
    nix::ioctl_readwrite!(set_timeout, b'W', 6, libc::c_int);
    nix::ioctl_read!(get_timeout, b'W', 7, libc::c_int);
}

/// Asks for an interval, in whole seconds. The kernel feeds the device by this. The driver may choose
/// another one: [`interval`].
///
/// # Errors
/// It is no watchdog device, or its driver knows no such interval.
pub fn set_interval(device: BorrowedFd<'_>, interval: Duration) -> io::Result<()> {
    let mut seconds = libc::c_int::try_from(interval.as_secs()).unwrap_or(libc::c_int::MAX);
    // SAFETY: the descriptor is open, and the kernel reads and writes one integer where the pointer leads.
    unsafe { request::set_timeout(device.as_raw_fd(), &raw mut seconds) }?;
    Ok(())
}

/// The interval that the driver uses.
///
/// # Errors
/// It is no watchdog device, or its driver does not tell.
pub fn interval(device: BorrowedFd<'_>) -> io::Result<Duration> {
    let mut seconds = 0;
    // SAFETY: the descriptor is open, and the kernel writes one integer to where the pointer leads.
    unsafe { request::get_timeout(device.as_raw_fd(), &raw mut seconds) }?;
    let seconds = u64::try_from(seconds).map_err(io::Error::other)?;
    Ok(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn what_is_no_watchdog_knows_no_interval() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(set_interval(file.as_fd(), Duration::from_secs(u64::MAX)).is_err());
        assert!(interval(file.as_fd()).is_err());
    }
}
