//! Functions of the system that the safe crates do not offer: the only place for `unsafe`, with its
//! folder.
//!
//! Memory and scheduling for the thread that sends heartbeats (Spec: docs/protocol/membership.md,
//! 13), and local time. No failure here is fatal: a node that may not lock its memory still runs,
//! and logs that.

#![allow(unsafe_code, reason = "each block says why it is sound")]

pub mod alarm;
pub mod datagrams;
pub mod serial;
pub mod shared;
pub mod watchdog;

use std::hint::black_box;
use std::io;
use std::ops::Range;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

use nix::sys::mman::MlockAllFlags;
use nix::sys::resource::{Resource, getrlimit};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use smallvec::SmallVec;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::clock::LocalTime;

/// A descriptor of which the runtime says when there is something to read.
///
/// # Errors
/// It cannot be registered with the runtime.
pub fn watched(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an owned descriptor stays the same and open as long as it lives.
    unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) }
        .map_err(|error| error.into_parts().1)
}

/// Stack that is touched, and so resident, before the cluster thread sends its first heartbeat.
pub const TOUCHED_STACK_BYTES: usize = 128 * 1024;

/// Bit of `CAP_IPC_LOCK` in the capability sets.
const CAP_IPC_LOCK: u32 = 14;

/// Heap is reserved in pieces below malloc's threshold for separate mappings (128 KiB), so that
/// they come from the arena that later allocations use.
const RESERVE_PIECE_BYTES: usize = 64 * 1024;

/// Upper bound of `memreserve`, in kB: a gigabyte is certainly a typing error.
pub const MAX_RESERVE_KB: u64 = 1024 * 1024;

/// Why memory is not locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Locking would succeed now and make the next thread or allocation fail.
    #[error("memory is not locked: no CAP_IPC_LOCK, and the limit is {0} bytes")]
    Limited(u64),
    /// The kernel refused.
    #[error("memory is not locked: {0}")]
    Refused(#[from] io::Error),
}

/// Locks all memory, present and future, as it is touched: untouched stack is never made resident.
///
/// Only with `CAP_IPC_LOCK` or without a limit: below a limit the call succeeds and the next thread
/// cannot be created. Not inherited by children.
///
/// # Errors
/// [`LockError`]; the process runs on unlocked.
pub fn lock_memory() -> Result<(), LockError> {
    if !has_effective_capability(CAP_IPC_LOCK) {
        let (limit, _) = getrlimit(Resource::RLIMIT_MEMLOCK).map_err(io::Error::from)?;
        if limit != libc::RLIM_INFINITY {
            return Err(LockError::Limited(limit));
        }
    }
    let on_fault = MlockAllFlags::from_bits_retain(libc::MCL_ONFAULT);
    let flags = MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE | on_fault;
    nix::sys::mman::mlockall(flags).map_err(|errno| LockError::Refused(errno.into()))
}

/// Whether the calling process has capability number `bit` in its effective set.
fn has_effective_capability(bit: u32) -> bool {
    std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| effective_capabilities(&status))
        .is_some_and(|set| set >> bit & 1 == 1)
}

/// The effective set in the text of `/proc/self/status`.
fn effective_capabilities(status: &str) -> Option<u64> {
    let set = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(set.trim(), 16).ok()
}

/// Resets the signal for the end of a child to its default. A caller that ignores the signal passes
/// that on, and then the exit codes of scripts are lost: each start would count as failed, and each
/// stop too, until the machine is rebooted for it. Each program that runs scripts calls this first.
pub fn reset_child_signal() {
    // SAFETY: the default action runs no code of ours; the call changes nothing else.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

/// From now on TERM does not end this process. For a process that must stop resources, and whose
/// end would leave them running. Its children receive the signal as usual.
pub fn ignore_terminate() {
    extern "C" fn go_on(_: libc::c_int) {}
    // SAFETY: the handler does nothing, and has the type of a handler. Unlike an ignored signal it
    // is not inherited by another program.
    unsafe { libc::signal(libc::SIGTERM, go_on as *const () as libc::sighandler_t) };
}

/// Limits malloc to two arenas: one for the cluster thread, one for all others. Call it first.
///
/// Returns whether malloc agreed.
pub fn limit_arenas() -> bool {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: mallopt takes two integers, keeps no pointer and may be called at any time.
        unsafe { libc::mallopt(libc::M_ARENA_MAX, 2) == 1 }
    }
    #[cfg(not(target_env = "gnu"))]
    false
}

/// Makes `kb` kB of the calling thread's heap resident and tells malloc to keep them.
///
/// At most [`MAX_RESERVE_KB`]. Spec: docs/protocol/config.md, `memreserve`.
pub fn reserve_heap(kb: u64) {
    let bytes = usize::try_from(kb.min(MAX_RESERVE_KB).saturating_mul(1024)).unwrap_or(0);
    #[cfg(target_env = "gnu")]
    {
        let keep = i32::try_from(bytes.saturating_mul(2)).unwrap_or(i32::MAX);
        // SAFETY: as above. A larger trim threshold only makes free() return less to the kernel.
        unsafe { libc::mallopt(libc::M_TRIM_THRESHOLD, keep) };
    }
    let pieces: Vec<Vec<u8>> = (0..bytes / RESERVE_PIECE_BYTES)
        .map(|_| vec![1_u8; RESERVE_PIECE_BYTES])
        .collect();
    black_box(&pieces);
}

/// Touches [`TOUCHED_STACK_BYTES`] of the calling thread's stack, so that no page fault delays a
/// heartbeat.
#[inline(never)]
pub fn touch_stack() {
    let mut stack = [0_u8; TOUCHED_STACK_BYTES];
    for byte in stack.iter_mut().step_by(4096) {
        *byte = 1;
    }
    black_box(&mut stack);
}

/// Gives the calling thread the round-robin realtime class; its children start at normal priority.
///
/// `priority`: `rtprio`, clamped to the range that the kernel allows; without one the minimum of
/// the class. Returns the priority set.
///
/// # Errors
/// The error of the kernel; usually the privilege is missing. The thread is unchanged.
pub fn set_realtime(priority: Option<u8>) -> io::Result<i32> {
    // SAFETY: both take an integer and return one.
    let (min, max) = unsafe {
        (
            libc::sched_get_priority_min(libc::SCHED_RR),
            libc::sched_get_priority_max(libc::SCHED_RR),
        )
    };
    if min < 0 || max < min {
        return Err(io::Error::last_os_error());
    }
    let priority = priority.map_or(min, |wanted| i32::from(wanted).clamp(min, max));
    set_scheduler(libc::SCHED_RR | libc::SCHED_RESET_ON_FORK, priority)?;
    Ok(priority)
}

fn set_scheduler(class: i32, priority: i32) -> io::Result<()> {
    let param = libc::sched_param {
        sched_priority: priority,
    };
    // SAFETY: `param` is a valid sched_param that outlives the call; 0 is the calling thread.
    if unsafe { libc::sched_setscheduler(0, class, &raw const param) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Scheduling class of the calling thread, `SCHED_RESET_ON_FORK` included.
#[cfg(test)]
pub(crate) fn scheduling_class() -> i32 {
    // SAFETY: takes an integer and returns one; 0 is the calling thread.
    unsafe { libc::sched_getscheduler(0) }
}

/// Local time of `unix_s`, by the zone of `TZ` or `/etc/localtime`, its summer time included.
#[must_use]
pub fn local_time(unix_s: u64) -> LocalTime {
    let seconds = libc::time_t::try_from(unix_s).unwrap_or(0);
    // SAFETY: `tm` is plain data for which all zeros is a value.
    let mut parts: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live locals. The function reads the environment; nothing in
    // this program changes the environment after threads have started.
    let done = unsafe { libc::localtime_r(&raw const seconds, &raw mut parts) };
    if done.is_null() {
        return LocalTime::default();
    }
    let small = |value: libc::c_int| u8::try_from(value).unwrap_or(0);
    LocalTime {
        year: parts.tm_year.saturating_add(1900),
        month: small(parts.tm_mon.saturating_add(1)),
        day: small(parts.tm_mday),
        hour: small(parts.tm_hour),
        minute: small(parts.tm_min),
        second: small(parts.tm_sec),
    }
}

/// Marks every descriptor except standard input, output and error as not inherited by children.
///
/// Ours are marked when they are opened; this is for descriptors with which the program was
/// started: whatever its caller had open, and the guardian's lock, which a script of a release must not
/// carry on. Call once at the start, before there is a second thread.
///
/// # Errors
/// The kernel refuses, and there is no `/proc`.
pub fn close_descriptors_on_exec() -> io::Result<()> {
    // SAFETY: the call only sets a flag on descriptors; it touches no memory.
    let done = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            3_u32,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    if done == 0 {
        return Ok(());
    }
    // Linux before 5.11, or a container that does not know the call.
    mark_each()
}

/// The same, one after the other.
fn mark_each() -> io::Result<()> {
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.parse().ok());
        if let Some(number) = number.filter(|number: &libc::c_int| *number > 2) {
            // SAFETY: the call only sets a flag of a descriptor; of one that is closed by now it sets none.
            unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
    Ok(())
}

/// Makes `command` run as another user, with these groups, and receive TERM when this process ends.
///
/// Without the privilege to change it, a process that shall run as our own user keeps our groups.
/// SIGALRM and SIGPIPE are ignored in it. Spec: docs/protocol/membership.md, 9.1.
pub fn run_as(command: &mut Command, uid: u32, gid: u32, groups: Vec<u32>) {
    let change = move || {
        let done = |result: libc::c_int| {
            if result == 0 {
                Ok(())
            } else {
                Err(io::Error::last_os_error())
            }
        };
        // SAFETY: the calls take integers, and one a pointer to `groups`, which lives in the closure,
        // with its length. They change the calling process only: a child that has one thread.
        unsafe {
            if libc::geteuid() == 0 {
                done(libc::setgroups(groups.len(), groups.as_ptr()))?;
                done(libc::setgid(gid))?;
            }
            done(libc::setuid(uid))?;
            // After the change of user, which cancels it. No client may outlive the daemon, because
            // its successor starts its own.
            done(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM))?;
            libc::signal(libc::SIGALRM, libc::SIG_IGN);
            libc::signal(libc::SIGPIPE, libc::SIG_IGN);
        }
        Ok(())
    };
    // Between fork and exec the closure makes system calls only. It takes no lock and
    // allocates nothing: `groups` was made before, and an error from errno needs no memory.
    before_exec(command, change);
}

/// Makes `command`, and the services that it starts, ignore the signal for a pipe or connection whose
/// other end is closed, as legacy does. Such a service gets an error where the signal would end it.
///
/// A command with this is started by a copy of this process, which is slow if that is large.
pub fn ignore_broken_pipes(command: &mut Command) {
    before_exec(command, || {
        // SAFETY: the call changes the calling process only, and runs no code of ours later.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
        Ok(())
    });
}

/// Makes the child do this before it becomes the program of `command`.
///
/// `change` must make system calls only: no lock, no memory. Another thread of this process may have
/// held either of them when the child was made.
pub(super) fn before_exec(
    command: &mut Command,
    change: impl FnMut() -> io::Result<()> + Send + Sync + 'static,
) {
    // SAFETY: the callers, all in this folder, keep to what is written above.
    unsafe { command.pre_exec(change) };
}

/// Link-layer destination for a packet socket: frames leave by the interface with this index.
///
/// The frame carries its own Ethernet header, so no hardware address is filled in.
#[must_use]
pub fn packet_address(interface_index: u32) -> socket2::SockAddr {
    let mut storage = socket2::SockAddrStorage::zeroed();
    // SAFETY: `sockaddr_ll` is one of this platform's `sockaddr_*` types.
    let link_layer = unsafe { storage.view_as::<libc::sockaddr_ll>() };
    link_layer.sll_family = libc::AF_PACKET as libc::sa_family_t;
    link_layer.sll_ifindex = i32::try_from(interface_index).unwrap_or(0);
    let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the storage holds a `sockaddr_ll` of that length, its family set above.
    unsafe { socket2::SockAddr::new(storage, length) }
}

/// Gives back the pages of program and libraries that were used until now: later accesses read the
/// file again. For a process that will sleep for months.
///
/// Only mappings of files of which this process has no page of its own: a relocated or written page
/// exists nowhere else.
pub fn shed_file_pages() {
    let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap_or_default();
    for range in unmodified_file_mappings(&smaps) {
        let start = std::ptr::without_provenance_mut(range.start);
        // SAFETY: the range is a private mapping of a file, not writable, without a page that
        // differs from the file, so every later access reads the same bytes again from the file.
        // This process has one thread: the mapping does not change between the check and the call.
        unsafe { libc::madvise(start, range.len(), libc::MADV_DONTNEED) };
    }
}

/// The private mappings of files in the text of `/proc/self/smaps` that cannot be written and
/// contain no page of the process's own.
fn unmodified_file_mappings(smaps: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut candidate = None;
    for line in smaps.lines() {
        let mut words = line.split_whitespace();
        let Some(first) = words.next() else {
            continue;
        };
        if let Some((start, end)) = first.split_once('-') {
            let readable = words
                .next()
                .is_some_and(|rights| matches!(rights, "r--p" | "r-xp"));
            let of_file = words.nth(3).is_some_and(|path| path.starts_with('/'));
            let address = |word| usize::from_str_radix(word, 16).ok();
            candidate = address(start)
                .zip(address(end))
                .filter(|_| readable && of_file)
                .map(|(start, end)| start..end);
        } else if first == "Anonymous:"
            && words.next() == Some("0")
            && let Some(range) = candidate.take()
        {
            found.push(range);
        }
    }
    found
}

/// A descriptor that becomes readable when the process `pid` has ended, all its threads included.
///
/// # Errors
/// No such process, or a kernel before Linux 5.3.
pub fn process_descriptor(pid: i32) -> io::Result<OwnedFd> {
    let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// Waits until one of two descriptors can be read or is at its end, and returns which: neither when
/// `limit` has passed. Without a descriptor or a limit (`None`) it waits for ever.
///
/// # Errors
/// The error of the kernel; an interruption by a signal is not an error.
pub fn wait_for_either(
    first: Option<BorrowedFd<'_>>,
    second: Option<BorrowedFd<'_>>,
    limit: Option<Duration>,
) -> io::Result<(bool, bool)> {
    // Rounded up, so that nothing is left when it has passed.
    let limit = limit
        .map(|limit| limit.saturating_add(Duration::from_millis(1)))
        .and_then(|limit| Timespec::try_from(limit).ok());
    let entry = |fd| PollFd::from_borrowed_fd(fd, PollFlags::IN);
    let mut entries: SmallVec<[PollFd<'_>; 2]> =
        first.into_iter().chain(second).map(entry).collect();
    while let Err(error) = poll(&mut entries, limit.as_ref()) {
        if error != Errno::INTR {
            return Err(error.into());
        }
    }
    let mut ended = entries.iter().map(|entry| !entry.revents().is_empty());
    let mut of = |fd: Option<BorrowedFd<'_>>| fd.is_some() && ended.next().unwrap_or_default();
    Ok((of(first), of(second)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unmodified_mappings_of_files_are_shed() {
        let smaps = "1000-2000 r-xp 00001000 fe:00 42                   /usr/lib/x.so\n\
                     Rss:                 4 kB\nAnonymous:             0 kB\nVmFlags: rd ex\n\
                     2000-3000 r--p 00002000 fe:00 42                   /usr/lib/x.so\n\
                     Anonymous:             4 kB\n\
                     3000-4000 rw-p 00003000 fe:00 42                   /usr/lib/x.so\n\
                     Anonymous:             0 kB\n\
                     4000-5000 r--p 00000000 00:00 0                    [vvar]\n\
                     Anonymous:             0 kB\n\
                     5000-6000 r--s 00000000 fe:00 43                   /usr/lib/shared\n\
                     Anonymous:             0 kB\n\
                     6000-8000 r--p 00000000 fe:00 44                   /usr/lib/y.so\n\
                     Anonymous:             0 kB\n";
        let mappings = unmodified_file_mappings(smaps);
        assert_eq!(mappings, [0x1000..0x2000, 0x6000..0x8000]);
    }

    #[test]
    fn descriptors_are_marked_by_older_kernels_too() {
        use std::os::fd::{AsRawFd as _, FromRawFd as _};
        let file = std::fs::File::open("/dev/null").expect("a file");
        let marked = |fd: &OwnedFd| {
            // SAFETY: reads the flags of an open descriptor.
            unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFD) & libc::FD_CLOEXEC != 0 }
        };
        // SAFETY: the descriptor is new, and nobody else has it.
        let inherited = unsafe { OwnedFd::from_raw_fd(libc::dup(file.as_raw_fd())) };
        assert!(!marked(&inherited));
        mark_each().expect("/proc");
        assert!(marked(&inherited));
    }

    #[test]
    fn reads_the_effective_set() {
        let status = "Name:\tx\nCapPrm:\t0000000000000000\nCapEff:\t0000000000004000\n";
        assert_eq!(effective_capabilities(status), Some(1 << CAP_IPC_LOCK));
        assert_eq!(effective_capabilities("Name:\tx\n"), None);
        assert_eq!(effective_capabilities("CapEff:\tzz\n"), None);
    }

    /// How much of the mapping that contains an address is resident, in kB.
    fn resident_around(address: usize) -> Option<u64> {
        let smaps = std::fs::read_to_string("/proc/self/smaps").ok()?;
        let mut lines = smaps.lines().skip_while(|line| {
            let range = line
                .split(' ')
                .next()
                .and_then(|range| range.split_once('-'));
            let number = |digits| usize::from_str_radix(digits, 16).ok();
            range
                .and_then(|(from, to)| Some(number(from)?..number(to)?))
                .is_none_or(|range| !range.contains(&address))
        });
        let resident = lines.find_map(|line| line.strip_prefix("Rss:"))?;
        resident.trim_end_matches("kB").trim().parse().ok()
    }

    /// Of one mapping: the total of the process also changes with the other tests.
    #[test]
    fn reserved_heap_stays_resident() {
        let resident = std::thread::spawn(move || {
            touch_stack();
            reserve_heap(8_000);
            // Too large for malloc's cache of small pieces, which may contain pieces of other heaps
            // too.
            let piece = black_box(vec![1_u8; 8_192]);
            resident_around(piece.as_ptr().addr())
        });
        let resident = resident.join().expect("the thread ends");
        assert!(resident.is_some_and(|kb| kb >= 7_000), "{resident:?}");
    }

    #[test]
    fn realtime_is_not_inherited() {
        let class = std::thread::spawn(|| {
            let set = set_realtime(Some(200));
            if set.is_err() {
                return None; // not privileged here
            }
            let own = scheduling_class();
            let child = std::thread::spawn(scheduling_class).join().ok();
            Some((set.ok(), own, child))
        });
        let class = class.join().expect("the thread ends");
        if let Some((priority, own, child)) = class {
            assert_eq!(priority, Some(99));
            assert_eq!(own, libc::SCHED_RR | libc::SCHED_RESET_ON_FORK);
            assert_eq!(child, Some(libc::SCHED_OTHER));
        }
    }
}
