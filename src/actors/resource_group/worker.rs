//! What carries out a resource word: a script, the process itself, or nothing.
//! Spec: docs/protocol/resources.md, 2.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;

use tokio::time::timeout;

use super::context::GroupContext;
use crate::agents::child;
use crate::agents::script::{Found, ScriptCall};
use crate::net::address::{AddressResource, AddressWordError, Handling, handling, parse_word};
use crate::net::address_script;

/// What carries out one resource word.
pub(super) enum Worker {
    Script { path: PathBuf, call: ScriptCall },
    Native(AddressResource),
    Missing { name: String },
    BadAddress(AddressWordError),
}

impl Worker {
    fn missing(word: &str) -> Self {
        let name = ScriptCall::parse(word).name;
        Self::Missing { name }
    }
}

impl GroupContext {
    /// Decides what carries out a word. Files are checked anew every time.
    pub(super) async fn worker(&self, word: &str) -> Worker {
        let alone = self.workers(&[word]).await.pop_front();
        alone.unwrap_or_else(|| Worker::missing(word))
    }

    /// What carries out the first of `words`. The results for the words that follow are kept in
    /// `ahead` for as long as addresses are handled in this process: a script may change the files.
    pub(super) async fn next_worker(&self, words: &[&str], ahead: &mut VecDeque<Worker>) -> Worker {
        if ahead.is_empty() {
            let address = |word: &&&str| parse_word(word).is_ok_and(|parsed| parsed.is_some());
            let addresses = words.iter().take_while(address).count();
            let together = words.get(..addresses.max(1)).unwrap_or(words);
            *ahead = self.workers(together).await;
        }
        let worker = ahead.pop_front();
        if !matches!(worker, Some(Worker::Native(_))) {
            ahead.clear();
        }
        worker.unwrap_or_else(|| Worker::missing(words.first().unwrap_or(&"")))
    }

    /// One worker for each of `words`, found in one call on a thread that may block: the change of
    /// threads costs more than the checks.
    async fn workers(&self, words: &[&str]) -> VecDeque<Worker> {
        let calls: Vec<_> = words
            .iter()
            .map(|word| (ScriptCall::parse(word), parse_word(word).transpose()))
            .collect();
        let (paths, native_addresses) = (self.paths.clone(), self.native_addresses);
        let directory = paths.resource_d();
        let looked = tokio::task::spawn_blocking(move || {
            // Most words of a long group name the same script.
            let mut seen: HashMap<(String, bool), _> = HashMap::new();
            let one = |(call, address): (ScriptCall, Option<_>)| {
                let is_address = address.is_some();
                let known = seen.entry((call.name.clone(), is_address));
                let (found, kind) = known.or_insert_with(|| {
                    let found = call.locate(&paths, child::is_program);
                    let script = found.as_ref().filter(|it| matches!(it, Found::Script(_)));
                    let kind = is_address
                        .then(|| address_script::examine(&call.name, script.map(Found::path)));
                    (found, kind)
                });
                let native = kind
                    .as_ref()
                    .is_some_and(|kind| handling(native_addresses, *kind) == Handling::Native);
                match (found, address) {
                    (_, Some(Ok(address))) if native => Worker::Native(address),
                    (_, Some(Err(error))) if native => Worker::BadAddress(error),
                    (Some(Found::Script(path)), _) => Worker::Script {
                        path: path.clone(),
                        call,
                    },
                    (Some(Found::Agent(_)), _) => Worker::Script {
                        path: paths.ocf_runner(),
                        call: call.of_agent(),
                    },
                    (None, _) => Worker::Missing { name: call.name },
                }
            };
            calls.into_iter().map(one).collect()
        });
        match timeout(self.hangs_after(), looked).await {
            Ok(Ok(workers)) => workers,
            // The check has failed, or the disk hangs: a missing script needs no stop, but this one
            // may exist.
            Ok(Err(_)) | Err(_) => {
                let calls = words.iter().map(|word| ScriptCall::parse(word));
                let script = |call: ScriptCall| Worker::Script {
                    path: directory.join(&call.name),
                    call,
                };
                calls.map(script).collect()
            }
        }
    }

    /// The address of a word that is handled in the process.
    pub(super) async fn native_address(&self, word: &str) -> Option<AddressResource> {
        match self.worker(word).await {
            Worker::Native(address) => Some(address),
            Worker::Script { .. } | Worker::Missing { .. } | Worker::BadAddress(_) => None,
        }
    }
}

/// The next of `ahead`, if it is an address handled in the process.
pub(super) fn next_native(ahead: &mut VecDeque<Worker>) -> Option<AddressResource> {
    match ahead.pop_front()? {
        Worker::Native(address) => Some(address),
        other => {
            ahead.push_front(other);
            None
        }
    }
}
