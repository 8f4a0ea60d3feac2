//! Why resources are released in the daemon's place.

/// First word for the program of [`RELEASE_TITLE`](super::RELEASE_TITLE). A second word adds
/// detail, a third tells how long the other nodes still wait. A daemon that is only to release also
/// gets the first word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The daemon died too often.
    DiedOften,
    /// What it held cannot be read.
    HeldUnreadable,
    /// It cannot be started.
    NotStartable,
    /// It lives and sends no heartbeat: it was killed for that.
    Silent,
    /// It ended by itself and could not release everything.
    Unreleased,
    /// It died while it was there only to release everything.
    ReleaseDied,
    /// Called after the end of the service, not by a guardian: nothing is done while a daemon or a
    /// guardian is responsible for the resources.
    Orphaned,
}

impl Why {
    pub(super) const ALL: [Self; 7] = [
        Self::DiedOften,
        Self::HeldUnreadable,
        Self::NotStartable,
        Self::Silent,
        Self::Unreleased,
        Self::ReleaseDied,
        Self::Orphaned,
    ];

    /// The word on the command line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::DiedOften => "died-often",
            Self::HeldUnreadable => "held-unreadable",
            Self::NotStartable => "not-startable",
            Self::Silent => "silent",
            Self::Unreleased => "unreleased",
            Self::ReleaseDied => "release-died",
            Self::Orphaned => "orphaned",
        }
    }

    /// `None`: from a guardian of an earlier version, which gives no reason.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|why| why.word() == word)
    }

    /// The text in the log.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::DiedOften => "the daemon died for the third time within a minute",
            Self::HeldUnreadable => "the daemon is gone, and what it held cannot be read",
            Self::NotStartable => "the daemon is gone and cannot be started again",
            Self::Silent => "a daemon was started again, sent no heartbeat in time and was killed",
            Self::Unreleased => "the daemon has ended and could not release everything",
            Self::ReleaseDied => "the daemon died again, in the middle of the release",
            Self::Orphaned => "the daemon is gone, and its guardian with it",
        }
    }
}
