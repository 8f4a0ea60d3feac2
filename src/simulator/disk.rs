//! The generation file of a host and its faults: written late, lost, or rolled back to an earlier
//! content. A run begins after the file and the clock, as in the program.

use crate::protocol::identity::{StoredGeneration, next_generation};
use crate::protocol::name::Generation;

use super::ids::HostId;
use super::world::{Micros, SECOND, World};

/// The file is ahead of the numbers in use by this many.
const AHEAD: u64 = 3;
/// A machine needs this long to boot.
const BOOT: Micros = 3 * SECOND;

/// The stored generations of a host.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    /// The number in the file.
    file: Option<u64>,
    /// New content of the file is not written.
    late: bool,
    /// When the host or its daemon last went down.
    down_since: Option<Micros>,
}

impl Disk {
    /// 0: written late from now on, 1: lost, 2: rolled back, 3: normal again.
    pub(crate) fn happens(&mut self, how: usize) {
        match how {
            0 => self.late = true,
            1 => self.file = None,
            2 => self.file = self.file.map(|number| number.saturating_sub(1_000)),
            _ => self.late = false,
        }
    }

    pub(crate) fn went_down(&mut self, now: Micros) {
        self.down_since = Some(now);
    }

    fn reserve(&mut self, used: u64) {
        if !self.late {
            self.file = Some(self.file.unwrap_or(0).max(used + AHEAD));
        }
    }
}

impl World {
    /// The earliest time at which the daemon can be started.
    pub(crate) fn boots_at(&self, host: HostId) -> Option<Micros> {
        let down = self.hosts[host].disk.down_since?;
        let when = down + BOOT;
        (self.plan.features.generations && self.now < when).then_some(when)
    }

    /// A process without a predecessor takes the next number; none is begun before the file is written.
    pub(crate) fn take_generation(&mut self, host: HostId) {
        if !self.plan.features.generations {
            return;
        }
        let clock = self.clock(host).unix_s;
        let h = &mut self.hosts[host];
        let stored = h.disk.file.map_or(StoredGeneration::Missing, |number| {
            StoredGeneration::Number(Generation(number))
        });
        let taken = next_generation(stored, clock).0;
        // The number is counted up when it is used.
        h.generation = taken - 1;
        h.disk.file = Some(taken + AHEAD);
    }

    /// A successor continues after the numbers that its predecessor may have used.
    pub(crate) fn take_generation_after(&mut self, host: HostId) {
        if self.plan.features.generations {
            self.hosts[host].generation += AHEAD;
        }
    }

    /// A number is in use.
    pub(crate) fn keep_generation(&mut self, host: HostId, generation: u64) {
        self.hosts[host].disk.reserve(generation);
    }
}
