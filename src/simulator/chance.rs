//! Random numbers without a crate: the same seed always gives the same numbers, so that the random
//! parts of a history are the same at every replay.

use std::ops::Range;

use super::ids::{GroupId, HostId, Key, Table};
use super::world::Micros;

/// A generator of 64-bit numbers: counts, and mixes the count.
#[derive(Debug, Clone)]
pub struct Draws(u64);

impl Draws {
    /// The generator of a seed.
    pub fn new(seed: u64) -> Self {
        Self(stir(seed))
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        stir(self.0)
    }

    /// One of the range, the end left out.
    pub(crate) fn range(&mut self, range: Range<u64>) -> u64 {
        within(self.next(), range)
    }

    /// One index below this number.
    pub(crate) fn index<K: Key>(&mut self, count: usize) -> K {
        K::of(self.range(0..count as u64) as usize)
    }

    /// True in this many of a hundred cases.
    pub(crate) fn percent(&mut self, share: u64) -> bool {
        self.range(0..100) < share
    }

    /// One of these.
    pub(crate) fn pick<T: Copy + Default>(&mut self, of: &[T]) -> T {
        let at: usize = self.index(of.len());
        of.get(at).copied().unwrap_or_default()
    }
}

/// Spreads every bit of the input over the whole output.
pub(crate) fn stir(input: u64) -> u64 {
    let mut z = input;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A number of the range.
pub(crate) fn within(number: u64, range: Range<u64>) -> u64 {
    let width = range.end.saturating_sub(range.start).max(1);
    range.start + number % width
}

/// The random decisions while a history runs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Chance {
    Lost,
    Again,
    OnWire,
    Hop,
    Internal,
    Lag,
    Script,
    Slow,
    Seed,
    Corrupt,
    Part,
    Asked,
    Root,
    Device,
}

/// Where something is left to chance: places with different numbers draw independently.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place(usize);

impl Place {
    /// A host.
    pub(crate) fn host(host: HostId) -> Self {
        Self::of(host, 0)
    }

    /// A group on a host.
    pub(crate) fn group(host: HostId, group: GroupId) -> Self {
        Self::of(host, group.number())
    }

    /// One of several steps on a host.
    pub(crate) fn step(host: HostId, step: usize) -> Self {
        Self::of(host, step)
    }

    /// The direction of a cable that begins at a host.
    pub(crate) fn medium(from: HostId, medium: usize) -> Self {
        Self::of(from, medium)
    }

    fn of(host: HostId, part: usize) -> Self {
        Self((host.number() & 3) * 16 + (part & 3) * 4)
    }
}

/// How long one place draws from one stretch of numbers: about a tenth of a second. Another message
/// changes the draws of its own stretch and nothing after it.
const STRETCH: u32 = 17;

/// Draws that depend on the seed, the place, and the time, and not on other draws.
#[derive(Debug, Clone)]
pub(crate) struct Noise {
    seed: u64,
    /// The stretch and the number of draws in it, for each place.
    drawn: Table<usize, (u64, u64)>,
}

impl Noise {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            drawn: Table::filled(16 * 64, (0, 0)),
        }
    }

    /// A number for `what` at this place.
    pub(crate) fn draw(&mut self, what: Chance, at: Place, now: Micros) -> u64 {
        let place = (what as usize) * 64 + at.0;
        let stretch = now >> STRETCH;
        let drawn = &mut self.drawn[place];
        if drawn.0 != stretch {
            *drawn = (stretch, 0);
        }
        drawn.1 += 1;
        let key = stir(self.seed) ^ stir((place as u64) << 40 | stretch);
        stir(key.wrapping_add(drawn.1.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }
}
