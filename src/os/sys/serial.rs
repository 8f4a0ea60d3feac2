//! A serial port as a descriptor: the crate that opens it gives out a bare number.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, IntoRawFd as _, OwnedFd};
use std::path::Path;

use nix::errno::Errno;

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

/// Closing the port does not wait for what has not left it (`ASYNC_CLOSING_WAIT_NONE` of `linux/serial.h`).
const WAITS_NOT: libc::c_ushort = 65535;

/// What the kernel tells of a UART: `serial_struct` of `linux/serial.h`.
#[repr(C)]
struct Uart {
    kind: libc::c_int,
    line: libc::c_int,
    port: libc::c_uint,
    irq: libc::c_int,
    flags: libc::c_int,
    xmit_fifo_size: libc::c_int,
    custom_divisor: libc::c_int,
    baud_base: libc::c_int,
    close_delay: libc::c_ushort,
    io_type: libc::c_char,
    reserved: [libc::c_char; 1],
    hub6: libc::c_int,
    closing_wait: libc::c_ushort,
    closing_wait2: libc::c_ushort,
    iomem_base: *mut libc::c_uchar,
    iomem_reg_shift: libc::c_ushort,
    port_high: libc::c_uint,
    iomap_base: libc::c_ulong,
}

mod request {
    nix::ioctl_read_bad!(bytes_unsent, libc::TIOCOUTQ, libc::c_int);
    nix::ioctl_read_bad!(uart, libc::TIOCGSERIAL, super::Uart);
    nix::ioctl_write_ptr_bad!(set_uart, libc::TIOCSSERIAL, super::Uart);
}

/// Has the kernel not wait at the end of this process for what the port has not sent: on a line that takes nothing it would
/// wait half a minute, and the process would be there for so long. The setting is the port's and stays. `false`: the driver
/// has no such setting, as that of a pseudo-terminal.
///
/// # Errors
/// The driver has it and refuses.
pub fn close_at_once(port: BorrowedFd<'_>) -> io::Result<bool> {
    let mut uart = std::mem::MaybeUninit::<Uart>::zeroed();
    // SAFETY: the descriptor is open, and the kernel writes one such structure to where the pointer leads.
    let known = unsafe { request::uart(port.as_raw_fd(), uart.as_mut_ptr()) };
    match known {
        Ok(_) => {}
        Err(Errno::ENOTTY | Errno::EINVAL | Errno::EOPNOTSUPP | Errno::ENOSYS) => return Ok(false),
        Err(error) => return Err(error.into()),
    }
    // SAFETY: all bytes are set, zero is a value of each field, and so is whatever the kernel has written.
    let mut uart = unsafe { uart.assume_init() };
    if uart.closing_wait == WAITS_NOT {
        return Ok(true);
    }
    uart.closing_wait = WAITS_NOT;
    // SAFETY: the descriptor is open, and the kernel reads one such structure from where the pointer leads.
    unsafe { request::set_uart(port.as_raw_fd(), &raw const uart) }.map_err(io::Error::from)?;
    Ok(true)
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
