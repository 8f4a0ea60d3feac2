//! The speed of a serial line, and what follows from it.

use std::time::Duration;

/// Bits of a byte on the line: start bit, eight data bits, stop bit.
const BITS_PER_BYTE: u32 = 10;

/// The speed of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Speed {
    baud: u32,
}

impl Speed {
    /// `baud` bits per second.
    #[must_use]
    pub const fn new(baud: u32) -> Self {
        Self { baud }
    }

    /// Bits per second.
    #[must_use]
    pub const fn baud(self) -> u32 {
        self.baud
    }

    /// How long the line takes for so many bytes.
    #[must_use]
    pub fn time_for(self, bytes: usize) -> Duration {
        let bits = u64::try_from(bytes)
            .unwrap_or(u64::MAX)
            .saturating_mul(u64::from(BITS_PER_BYTE));
        let micros = bits.saturating_mul(1_000_000);
        Duration::from_micros(micros.div_ceil(u64::from(self.baud.max(1))))
    }

    /// How many bytes the line takes in that time.
    #[must_use]
    pub fn bytes_in(self, time: Duration) -> usize {
        let bits = time.as_millis().saturating_mul(u128::from(self.baud));
        let bytes = bits.checked_div(1000 * u128::from(BITS_PER_BYTE));
        usize::try_from(bytes.unwrap_or(0)).unwrap_or(usize::MAX)
    }
}

/// What the rules of an [`Outbox`] are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineSettings {
    /// Speed of the line.
    pub speed: Speed,
    /// `deadtime` of this node.
    pub deadtime: Duration,
}

impl LineSettings {
    /// Longest message of a client that the line carries, in bytes of text: a longer one keeps the heartbeats waiting.
    #[must_use]
    pub fn longest(self) -> usize {
        self.speed.bytes_in(self.deadtime / 4)
    }
}
