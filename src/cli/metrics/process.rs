//! A process as the kernel reports it.

use std::fs;

use nix::unistd::{SysconfVar, sysconf};

/// What the kernel knows of a process.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Process {
    /// CPU time, user and system, in seconds.
    pub cpu_s: f64,
    /// Resident memory in bytes.
    pub resident_bytes: u64,
    /// Open file descriptors.
    pub open_fds: u64,
    /// When it began, in seconds since 1970.
    pub started_unix_s: f64,
}

impl Process {
    /// Looks at a process; `None`: it is not there, or this user may not see it.
    #[must_use]
    pub fn look(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let booted = fs::read_to_string("/proc/stat").ok()?;
        let open_fds = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count();
        let of_system = |name| u64::try_from(sysconf(name).ok()??).ok();
        let ticks = of_system(SysconfVar::CLK_TCK)?;
        let page = of_system(SysconfVar::PAGE_SIZE)?;
        let mut process = parse(&stat, &booted, ticks, page)?;
        process.open_fds = u64::try_from(open_fds).ok()?;
        Some(process)
    }
}

/// Reads proc_pid_stat(5). `ticks`: clock ticks in a second. `page`: bytes of a page.
fn parse(stat: &str, booted: &str, ticks: u64, page: u64) -> Option<Process> {
    // The name before the last bracket may hold anything.
    let (_, fields) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    // Numbers as in the manual page, whose third field is the first here.
    let field = |number: usize| fields.get(number.checked_sub(3)?)?.parse::<u64>().ok();
    let booted = booted.lines().find_map(|line| line.strip_prefix("btime "));
    let booted: u32 = booted?.trim().parse().ok()?;
    let seconds = |time: u64| {
        Some(f64::from(u32::try_from(time / ticks.max(1)).ok()?) + fraction(time, ticks))
    };
    Some(Process {
        cpu_s: seconds(field(14)?.checked_add(field(15)?)?)?,
        resident_bytes: field(24)?.checked_mul(page)?,
        open_fds: 0,
        started_unix_s: f64::from(booted) + seconds(field(22)?)?,
    })
}

/// The part of a time below a second.
fn fraction(time: u64, ticks: u64) -> f64 {
    let ticks = ticks.max(1);
    let part = u32::try_from(time % ticks).unwrap_or_default();
    f64::from(part) / f64::from(u32::try_from(ticks).unwrap_or(1).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_read_as_its_manual_page_says() {
        let stat = "42 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 150 25 0 0 20 0 5 0 1000 9 300 0";
        let process = parse(stat, "cpu 1\nbtime 1700000000\n", 100, 4096).unwrap();
        let expected = Process {
            cpu_s: 1.75,
            resident_bytes: 300 * 4096,
            open_fds: 0,
            started_unix_s: 1_700_000_010.0,
        };
        assert_eq!(process, expected);
        assert_eq!(parse("42 (a) S 1", "btime 1\n", 100, 4096), None);
        assert_eq!(parse(stat, "no such line\n", 100, 4096), None);
        let own = Process::look(std::process::id()).unwrap();
        assert!(own.resident_bytes > 100_000 && own.open_fds > 0 && own.started_unix_s > 1.0e9);
        assert_eq!(Process::look(u32::MAX), None);
    }
}
