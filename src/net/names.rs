//! Looks up the names of hosts while the daemon runs. A name service may hang for minutes: each look-up has a
//! thread of its own, so that nothing else waits, and there are [`MOST`] of them at most.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// Most names that are looked up at once, each once.
pub const MOST: usize = 8;

/// Stack of such a thread. The look-up of the C library keeps answers on it.
const STACK_BYTES: usize = 512 * 1024;

/// The addresses of a name, or why there are none.
pub type Found = Result<Vec<IpAddr>, String>;

type LookUp = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync;

/// The names that are being looked up. A clone knows the same ones.
#[derive(Clone)]
pub struct Names {
    look_up: Arc<LookUp>,
    in_hand: Arc<Mutex<BTreeMap<String, watch::Receiver<Option<Found>>>>>,
}

impl Default for Names {
    fn default() -> Self {
        Self::by(of_system)
    }
}

impl Names {
    /// With this look-up. It may block.
    pub fn by(look_up: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static) -> Self {
        Self {
            look_up: Arc::new(look_up),
            in_hand: Arc::default(),
        }
    }

    /// The addresses of a host; at once, if it is one. The caller limits the time: the look-up itself goes on to its
    /// end, and who asks for the same name meanwhile gets its result.
    ///
    /// # Errors
    /// Why there are none, for people.
    pub async fn addresses(&self, host: &str) -> Found {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let mut found = self.begin(host)?;
        match found.wait_for(Option::is_some).await {
            Ok(found) => found.clone().unwrap_or_else(|| Err(lost())),
            Err(_) => Err(lost()),
        }
    }

    fn begin(&self, host: &str) -> Result<watch::Receiver<Option<Found>>, String> {
        let mut in_hand = self.in_hand();
        if let Some(found) = in_hand.get(host) {
            return Ok(found.clone());
        }
        if in_hand.len() >= MOST {
            return Err(format!("{MOST} other names are being looked up"));
        }
        let (tell, told) = watch::channel(None);
        let (own, name) = (self.clone(), host.to_owned());
        std::thread::Builder::new()
            .name("names".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || {
                // Its place is free again whatever happens.
                let asked = InHand {
                    names: &own,
                    name: &name,
                };
                let found = (own.look_up)(&name).map_err(|error| error.to_string());
                drop(asked);
                tell.send_replace(Some(found));
            })
            .map_err(|error| error.to_string())?;
        in_hand.insert(host.to_owned(), told.clone());
        Ok(told)
    }

    fn in_hand(&self) -> MutexGuard<'_, BTreeMap<String, watch::Receiver<Option<Found>>>> {
        self.in_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A name that is being looked up.
struct InHand<'a> {
    names: &'a Names,
    name: &'a str,
}

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        self.names.in_hand().remove(self.name);
    }
}

fn lost() -> String {
    "its look-up was lost".to_owned()
}

#[expect(
    clippy::disallowed_methods,
    reason = "on a thread that does nothing else"
)]
fn of_system(host: &str) -> io::Result<Vec<IpAddr>> {
    use std::net::ToSocketAddrs as _;
    let found = (host, 0).to_socket_addrs()?;
    Ok(found.map(|it| it.ip()).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_name_that_hangs_delays_no_other_and_has_one_thread() {
        let (release, held) = mpsc::channel::<()>();
        let (held, asked) = (Mutex::new(held), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&asked);
        let names = Names::by(move |host| {
            count.fetch_add(1, Ordering::Relaxed);
            match host {
                "hangs" => {
                    let _ = held.lock().unwrap().recv();
                    Ok(vec!["192.0.2.7".parse().unwrap()])
                }
                "web" => Ok(vec!["192.0.2.8".parse().unwrap()]),
                _ => Err(io::Error::other("no such name")),
            }
        });
        let soon = Duration::from_millis(50);
        for _ in 0..20 {
            assert!(timeout(soon, names.addresses("hangs")).await.is_err());
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        let web = names.addresses("web").await;
        assert_eq!(web, Ok(vec!["192.0.2.8".parse().unwrap()]));
        let none = names.addresses("none").await;
        assert_eq!(none, Err("no such name".to_owned()));
        drop(release);
        let late = names.addresses("hangs").await;
        assert_eq!(late, Ok(vec!["192.0.2.7".parse().unwrap()]));
        let ours = names.addresses("fd99::2").await;
        assert_eq!(ours, Ok(vec!["fd99::2".parse().unwrap()]));
    }

    #[tokio::test]
    async fn so_many_threads_and_no_more() {
        let (release, held) = mpsc::channel::<()>();
        let held = Mutex::new(held);
        let names = Names::by(move |_| {
            let _ = held.lock().unwrap().recv();
            Ok(Vec::new())
        });
        for place in 0..MOST {
            let name = place.to_string() + ".example";
            let asked = timeout(Duration::from_millis(1), names.addresses(&name));
            assert!(asked.await.is_err());
        }
        let refused = names.addresses("more.example").await;
        assert!(refused.unwrap_err().contains("being looked up"));
        drop(release);
        let found = names.addresses("0.example").await;
        assert_eq!(found, Ok(Vec::new()));
    }
}
