//! Names, resolved to nothing but addresses that may be connected to.

use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::{AddressKind, Guard, Refusal};

/// The operating system's names.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemNames;

impl Resolve for SystemNames {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // The port is set by whoever connects.
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(Box::new(found.collect::<Vec<_>>().into_iter()) as Addrs)
        })
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
}
