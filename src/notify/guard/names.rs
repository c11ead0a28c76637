//! Names, resolved to nothing but addresses that may be connected to.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::watch;

use super::{AddressKind, Guard, Refusal};

/// The operating system's names, for the whole process: see [`JoinedNames`].
pub fn system_names() -> Arc<dyn Resolve> {
    static NAMES: LazyLock<Arc<dyn Resolve>> =
        LazyLock::new(|| Arc::new(JoinedNames::new(Arc::new(SystemNames))));
    Arc::clone(&NAMES)
}

/// The operating system's names.
struct SystemNames;

impl Resolve for SystemNames {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // The port is set by whoever connects.
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(Box::new(found.collect::<Vec<_>>().into_iter()) as Addrs)
        })
    }
}

/// What a look-up came to, for all who asked.
type Found = Result<Vec<SocketAddr>, Arc<dyn Error + Send + Sync>>;

/// Look-ups under way, by host.
type UnderWay = Arc<Mutex<HashMap<String, watch::Receiver<Option<Found>>>>>;

/// A resolver that has one look-up of a host under way, whoever else asks for it meanwhile.
///
/// A look-up by the operating system takes a thread until it has come to its end, which may be half a minute after whoever asked
/// has given up. Of threads there are only so many: without this, the attempts to one host whose name servers hang would take
/// them all, and no other name would be found.
#[derive(Clone)]
pub struct JoinedNames {
    names: Arc<dyn Resolve>,
    under_way: UnderWay,
}

impl JoinedNames {
    /// Asks `names`.
    pub fn new(names: Arc<dyn Resolve>) -> Self {
        Self {
            names,
            under_way: UnderWay::default(),
        }
    }

    /// The look-up of this host that is under way, or one that begins now.
    fn ask(&self, name: Name) -> watch::Receiver<Option<Found>> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = under_way.get(name.as_str()) {
            return known.clone();
        }
        let (tell, told) = watch::channel(None);
        let host = name.as_str().to_owned();
        under_way.insert(host.clone(), told.clone());
        let entry = Entry {
            under_way: Arc::clone(&self.under_way),
            host,
        };
        let asked = self.names.resolve(name);
        tokio::spawn(async move {
            let found = asked.await;
            // From here on it is asked anew.
            drop(entry);
            tell.send_replace(Some(found.map(Iterator::collect).map_err(Arc::from)));
        });
        told
    }
}

impl fmt::Debug for JoinedNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinedNames").finish_non_exhaustive()
    }
}

impl Resolve for JoinedNames {
    fn resolve(&self, name: Name) -> Resolving {
        let mut told = self.ask(name);
        Box::pin(async move {
            let found = told.wait_for(Option::is_some).await?.clone();
            match found {
                Some(Ok(found)) => Ok(Box::new(found.into_iter()) as Addrs),
                Some(Err(error)) => Err(Box::new(NotFound(error)) as Box<dyn Error + Send + Sync>),
                None => Err("the look-up came to no end".into()),
            }
        })
    }
}

/// Takes a look-up off those under way, however it ends.
struct Entry {
    under_way: UnderWay,
    host: String,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.remove(&self.host);
    }
}

/// Why a look-up failed, for each of those who asked.
#[derive(Clone, Debug)]
struct NotFound(Arc<dyn Error + Send + Sync>);

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Error for NotFound {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// A resolver that passes on what the [`Guard`] lets through. What it gives out is what is connected to: nobody asks
/// again.
#[derive(Clone)]
pub struct GuardedNames {
    guard: Guard,
    names: Arc<dyn Resolve>,
}

impl GuardedNames {
    /// Guards `names`.
    pub fn new(guard: Guard, names: Arc<dyn Resolve>) -> Self {
        Self { guard, names }
    }
}

impl fmt::Debug for GuardedNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedNames")
            .field("guard", &self.guard)
            .finish_non_exhaustive()
    }
}

impl Resolve for GuardedNames {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        let found = self.names.resolve(name);
        let guard = self.guard.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> = found.await?.collect();
            let may: Vec<SocketAddr> = found
                .iter()
                .copied()
                .filter(|address| guard.lets(address.ip()))
                .collect();
            match (may.is_empty(), found.first()) {
                (true, Some(refused)) => Err(Box::new(Refusal::Address {
                    host,
                    address: refused.ip(),
                    kind: AddressKind::of(refused.ip()),
                }) as Box<dyn Error + Send + Sync>),
                _ => Ok(Box::new(may.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::poll;
    use tokio::sync::Notify;

    use super::*;

    #[derive(Debug)]
    struct Listed(&'static [&'static str]);

    impl Resolve for Listed {
        fn resolve(&self, _: Name) -> Resolving {
            let found: Vec<SocketAddr> = self
                .0
                .iter()
                .map(|text| SocketAddr::new(text.parse().unwrap(), 0))
                .collect();
            Box::pin(async move { Ok(Box::new(found.into_iter()) as Addrs) })
        }
    }

    async fn resolved(addresses: &'static [&'static str]) -> Result<Vec<String>, String> {
        let names = GuardedNames::new(
            Guard::new(vec!["10.1.2.3".parse().unwrap()], false),
            Arc::new(Listed(addresses)),
        );
        let name = "hooks.example.com".parse().unwrap();
        match names.resolve(name).await {
            Ok(found) => Ok(found.map(|address| address.ip().to_string()).collect()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[tokio::test]
    async fn only_addresses_that_may_be_connected_to_come_through() {
        assert_eq!(resolved(&["8.8.8.8"]).await, Ok(vec!["8.8.8.8".to_owned()]));
        assert_eq!(
            resolved(&["127.0.0.1", "8.8.8.8", "::1", "::ffff:10.0.0.1"]).await,
            Ok(vec!["8.8.8.8".to_owned()]),
            "the rest is left out"
        );
        assert_eq!(resolved(&["10.1.2.3"]).await, Ok(vec!["10.1.2.3".to_owned()]));
        assert_eq!(resolved(&[]).await, Ok(vec![]), "nobody knows the name");
        let refused = resolved(&["169.254.169.254", "10.0.0.1"]).await.unwrap_err();
        assert!(
            refused.contains("hooks.example.com leads to 169.254.169.254"),
            "{refused}"
        );
    }

    /// Names whose look-ups end when they are let go.
    #[derive(Debug, Default)]
    struct Hanging {
        asked: AtomicUsize,
        go: Arc<Notify>,
    }

    impl Resolve for Hanging {
        fn resolve(&self, _: Name) -> Resolving {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let go = Arc::clone(&self.go);
            Box::pin(async move {
                go.notified().await;
                Ok(Box::new([SocketAddr::from(([8, 8, 8, 8], 0))].into_iter()) as Addrs)
            })
        }
    }

    #[tokio::test]
    async fn a_host_is_looked_up_once_at_a_time_whoever_asks_and_gives_up() {
        let hanging = Arc::new(Hanging::default());
        let names = JoinedNames::new(Arc::clone(&hanging) as Arc<dyn Resolve>);
        let ask = |host: &str| names.resolve(host.parse().unwrap());
        let asked = || hanging.asked.load(Ordering::Relaxed);
        for _ in 0..600 {
            let mut gives_up = ask("hangs.example.com");
            assert!(poll!(&mut gives_up).is_pending());
        }
        assert_eq!(asked(), 1);
        let (one, two) = (ask("hangs.example.com"), ask("hangs.example.com"));
        assert_eq!(asked(), 1);
        hanging.go.notify_one();
        for found in [one.await, two.await] {
            let found: Vec<SocketAddr> = found.unwrap().collect();
            assert_eq!(found, [SocketAddr::from(([8, 8, 8, 8], 0))]);
        }
        let (again, other) = (ask("hangs.example.com"), ask("other.example.com"));
        assert_eq!(
            asked(),
            3,
            "what came to its end is asked anew, and so is another host"
        );
        drop((again, other));
    }

    #[tokio::test]
    async fn why_a_host_is_not_found_is_told_to_each_who_asked() {
        let names = JoinedNames::new(Arc::new(SystemNames));
        let (one, two) = (
            names.resolve("nowhere.invalid".parse().unwrap()),
            names.resolve("nowhere.invalid".parse().unwrap()),
        );
        for failed in [one.await, two.await] {
            let error = failed.err().unwrap().to_string();
            assert!(error.contains("lookup"), "{error}");
        }
    }
}
