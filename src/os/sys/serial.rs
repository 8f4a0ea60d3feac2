//! A serial port as a descriptor: the crate that opens it gives out a bare number.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, IntoRawFd as _, OwnedFd};
use std::path::Path;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use serialport::{DataBits, FlowControl, Parity, StopBits};

/// Opens the port for one program alone: eight bits, no parity, one stop bit, flow control by RTS and CTS, no interpretation
/// of any byte. A call may wait for the driver. Neither the missing signal of a modem nor a cable that is not there is an
/// error.
///
/// # Errors
/// It is not there, is no serial port, is in use, or does not know that speed.
pub fn open(device: &Path, baud: u32) -> io::Result<OwnedFd> {
    let name = device
        .to_str()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "its name is not text"))?;
    let port = serialport::new(name, baud)
        .data_bits(DataBits::Eight)
        .parity(Parity::None)
        .stop_bits(StopBits::One)
        .flow_control(FlowControl::Hardware)
        .open_native()
        .map_err(io::Error::from)?;
    // SAFETY: `into_raw_fd` gives up the descriptor, which is open, and nobody else closes it.
    Ok(unsafe { OwnedFd::from_raw_fd(port.into_raw_fd()) })
}

/// A port of which the runtime says when there is something to read.
///
/// # Errors
/// It cannot be registered with the runtime.
pub fn watched(port: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an owned descriptor stays the same and open as long as it lives.
    unsafe { AsyncFd::register_with_interest(port, Interest::READABLE) }
        .map_err(|error| error.into_parts().1)
}

mod request {
    nix::ioctl_read_bad!(bytes_unsent, libc::TIOCOUTQ, libc::c_int);
}

/// Bytes that were written to the port and have not left it.
///
/// # Errors
/// The driver does not tell.
pub fn unsent(port: BorrowedFd<'_>) -> io::Result<i32> {
    let mut bytes = 0;
    // SAFETY: the descriptor is open, and the kernel writes one integer to where the pointer leads.
    unsafe { request::bytes_unsent(port.as_raw_fd(), &raw mut bytes) }.map_err(io::Error::from)?;
    Ok(bytes)
}
