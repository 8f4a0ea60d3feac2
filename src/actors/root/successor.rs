//! What a successor after a sudden death begins with, beside what is held ([`HeldFile`](crate::actors::groups::HeldFile)): the
//! files that this daemon uses, and its identity. Both are in memory, so that the successor sends
//! heartbeats at once, whatever happened to the disk and to the files on it.

use std::path::PathBuf;

use tracing::warn;

use crate::config::remembered::Answers;
use crate::process::files;
use crate::process::reload::{LastGood, Stamps};
use crate::process::state_files::RunningIdentity;
use crate::protocol::name::Generation;

/// Keeps both as they are now.
#[derive(Debug)]
pub(super) struct Successor {
    /// Paths of the files and of the identity; `None`: there is no guardian.
    pub(super) paths: Option<(PathBuf, PathBuf)>,
    pub(super) files: LastGood,
    pub(super) identity: RunningIdentity,
}

impl Successor {
    pub(super) fn keep_files(&self) {
        let Some((path, _)) = &self.paths else {
            return;
        };
        if let Err(error) = files::keep(path, &self.files) {
            warn!(path = %path.display(), %error, "the configuration in use is not kept: after a sudden death the files on disk count");
        }
    }

    pub(super) fn keep_identity(&self) {
        let Some((_, path)) = &self.paths else {
            return;
        };
        if let Err(error) = files::keep(path, &self.identity) {
            warn!(path = %path.display(), %error, "the generation in use is not kept: after a sudden death that on disk counts");
        }
    }

    /// The keys have changed: the answers with which they were read count.
    pub(super) fn update_keys(&mut self, answers: Answers, stamps: &Stamps) {
        self.files.answers.update(answers);
        self.files.stamps.take_keys_of(stamps);
        self.keep_files();
    }

    /// The text of haresources has changed, and not what it means.
    pub(super) fn update_haresources(&mut self, answers: Answers, stamps: &Stamps) {
        self.files.answers.update(answers);
        self.files.stamps.take_haresources_of(stamps);
        self.keep_files();
    }

    pub(super) fn uses(&mut self, generation: Generation) {
        self.identity.uses(generation);
        self.keep_identity();
    }

    pub(super) fn on_disk(&mut self, reserved: Generation) {
        self.identity.on_disk(reserved);
        self.keep_identity();
    }
}
