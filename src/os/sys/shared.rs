//! Two numbers in a page of memory that another process can read, and how that process gets the
//! page.
//!
//! Writing one is a store into memory: no call, no file system, nothing that could wait. If memory
//! is locked ([`lock_memory`](super::lock_memory)), the page is never swapped out either.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::num::NonZeroUsize;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::UnixStream;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};

/// How many numbers there are.
pub const NUMBERS: usize = 2;

const BYTES: usize = NUMBERS * size_of::<u64>();

/// The file is never to be executed. If the administrator requires that for all files in memory
/// (`vm.memfd_noexec`), the first kernels with that setting make none without this flag; later ones
/// add it.
const NOEXEC_SEAL: MFdFlags = MFdFlags::from_bits_retain(8);

/// A file in memory.
///
/// # Errors
/// The kernel has no memory or no descriptor.
pub fn memory_file(name: &CStr, flags: MFdFlags) -> io::Result<File> {
    let made = with_or_without(NOEXEC_SEAL, |word| memfd_create(name, flags | word))?;
    Ok(File::from(made))
}

/// Tries without the flag if the kernel does not know it: Linux before 6.3.
fn with_or_without<T>(word: MFdFlags, make: impl Fn(MFdFlags) -> nix::Result<T>) -> nix::Result<T> {
    match make(word) {
        Err(Errno::EINVAL) => make(MFdFlags::empty()),
        made => made,
    }
}

/// The numbers, on the side of their writer; both are zero at first.
#[derive(Debug)]
pub struct SharedNumbers {
    file: File,
    numbers: NonNull<[AtomicU64; NUMBERS]>,
}

// SAFETY: the mapping belongs to the value until it is dropped, and only atomic values are in it.
unsafe impl Send for SharedNumbers {}
// SAFETY: as above.
unsafe impl Sync for SharedNumbers {}

impl SharedNumbers {
    /// `name` is for people who look at `/proc`. The size of the page can never change: an access
    /// beyond the end of the file would end the process.
    ///
    /// # Errors
    /// The kernel has no memory or no descriptor.
    pub fn new(name: &CStr) -> io::Result<Self> {
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let file = memory_file(name, flags)?;
        // `set_len` alone would not show that there is no memory.
        file.write_all_at(&[0; BYTES], 0)?;
        let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
        let length = NonZeroUsize::new(BYTES).ok_or(io::ErrorKind::InvalidInput)?;
        let rights = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping at a place that the kernel chooses. It is aligned to a page and as long as
        // the file, which stays so long.
        let at = unsafe { mmap(None, length, rights, MapFlags::MAP_SHARED, &file, 0) }?;
        Ok(Self {
            file,
            numbers: at.cast(),
        })
    }

    /// Writes one of them; an index that does not exist is ignored.
    pub fn set(&self, index: usize, value: u64) {
        // SAFETY: mapped, aligned and initialised since `new`, and until the drop.
        let numbers = unsafe { self.numbers.as_ref() };
        if let Some(number) = numbers.get(index) {
            number.store(value, Ordering::Relaxed);
        }
    }

    /// Sends `word` over `socket`, and with it the descriptor of the page.
    ///
    /// # Errors
    /// The error of the system.
    pub fn send(&self, socket: &UnixStream, word: u8) -> io::Result<()> {
        let descriptors = [self.file.as_raw_fd()];
        let with = [ControlMessage::ScmRights(&descriptors)];
        let words = [word];
        let words = [IoSlice::new(&words)];
        let socket = socket.as_raw_fd();
        sendmsg::<()>(socket, &words, &with, MsgFlags::MSG_NOSIGNAL, None)?;
        Ok(())
    }
}

impl Drop for SharedNumbers {
    fn drop(&mut self) {
        // SAFETY: the mapping of `new`, which is not used any more.
        let _ = unsafe { munmap(self.numbers.cast(), BYTES) };
    }
}

/// The numbers, read by another process.
#[must_use]
pub fn numbers_in(file: &File) -> Option<[u64; NUMBERS]> {
    let mut bytes = [0; BYTES];
    file.read_exact_at(&mut bytes, 0).ok()?;
    let (chunks, _) = bytes.as_chunks::<{ size_of::<u64>() }>();
    let mut numbers = [0; NUMBERS];
    for (number, chunk) in numbers.iter_mut().zip(chunks) {
        *number = u64::from_ne_bytes(*chunk);
    }
    Some(numbers)
}

/// Reads one byte, and the file that came with it; `None`: nothing will follow.
///
/// # Errors
/// The error of the system.
pub fn receive(socket: &UnixStream) -> io::Result<Option<(u8, Option<File>)>> {
    let mut byte = [0; 1];
    let mut with = cmsg_space!([std::os::fd::RawFd; 1]);
    let mut into = [IoSliceMut::new(&mut byte)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let received = recvmsg::<()>(socket.as_raw_fd(), &mut into, Some(&mut with), flags)?;
    let count = received.bytes;
    let mut file = None;
    for message in received.cmsgs().into_iter().flatten() {
        let ControlMessageOwned::ScmRights(descriptors) = message else {
            continue;
        };
        for descriptor in descriptors {
            // SAFETY: the kernel has just made this descriptor for us; no other code has it.
            let owned = unsafe { OwnedFd::from_raw_fd(descriptor) };
            file = Some(File::from(owned));
        }
    }
    Ok((count == 1).then_some((byte[0], file)))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn numbers_written_by_one_process_are_read_by_the_other() {
        let (own, theirs) = UnixStream::pair().unwrap();
        let numbers = SharedNumbers::new(c"test").unwrap();
        (&own).write_all(b"a").unwrap();
        numbers.send(&own, b'm').unwrap();
        (&own).write_all(b"b").unwrap();
        assert!(matches!(receive(&theirs), Ok(Some((b'a', None)))));
        let Ok(Some((b'm', Some(file)))) = receive(&theirs) else {
            panic!("no file came");
        };
        assert!(matches!(receive(&theirs), Ok(Some((b'b', None)))));
        assert_eq!(numbers_in(&file), Some([0, 0]));
        numbers.set(0, 7);
        numbers.set(1, u64::MAX);
        numbers.set(2, 9);
        assert_eq!(numbers_in(&file), Some([7, u64::MAX]));
        // The reader cannot shorten it below what its writer uses.
        assert!(file.set_len(0).is_err() && file.set_len(8192).is_err());
        // It survives its writer.
        drop(numbers);
        assert_eq!(numbers_in(&file), Some([7, u64::MAX]));
        drop(own);
        assert!(matches!(receive(&theirs), Ok(None)));
    }

    #[test]
    fn a_file_in_memory_is_not_to_be_executed() {
        use std::os::unix::fs::PermissionsExt as _;
        let numbers = SharedNumbers::new(c"test").unwrap();
        let plain = memory_file(c"test", MFdFlags::MFD_CLOEXEC).unwrap();
        let known = memfd_create(c"test", MFdFlags::from_bits_retain(8)).is_ok();
        for file in [&numbers.file, &plain] {
            let mode = file.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o111 == 0, known, "{mode:o}");
        }
        let unknown = |word: MFdFlags| {
            if word.is_empty() {
                Ok(7)
            } else {
                Err(Errno::EINVAL)
            }
        };
        assert_eq!(with_or_without(NOEXEC_SEAL, unknown), Ok(7));
        let forbidden = |_| Err::<(), _>(Errno::EACCES);
        assert_eq!(with_or_without(NOEXEC_SEAL, forbidden), Err(Errno::EACCES));
    }

    /// An older guardian reads like this.
    #[test]
    fn a_reader_of_bytes_alone_reads_all_of_them() {
        use std::io::Read as _;
        let (own, mut theirs) = UnixStream::pair().unwrap();
        let numbers = SharedNumbers::new(c"test").unwrap();
        numbers.send(&own, b'm').unwrap();
        numbers.send(&own, b'm').unwrap();
        drop(own);
        let mut text = String::new();
        theirs.read_to_string(&mut text).unwrap();
        assert_eq!(text, "mm");
    }
}
