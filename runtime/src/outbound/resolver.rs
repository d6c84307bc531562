//! Names to addresses, of which only the public ones are handed on.

use std::{
    fmt,
    future::Future,
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs as _},
    pin::Pin,
    sync::Arc,
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;

use super::{EndpointError, Reach, is_public};

/// Names that are looked up at once: each takes a thread for as long as the name's server likes, also
/// when nobody waits for it any more.
const LOOKUPS_MAX: usize = 64;

/// Asks for the addresses of a name; tests have one of their own.
pub(super) trait Lookup: Send + Sync + 'static {
    /// All addresses, in the order in which they should be tried.
    fn lookup(&self, name: String) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;
}

/// As the machine resolves names: getaddrinfo.
pub(super) struct SystemLookup {
    running: Arc<Semaphore>,
}

impl Default for SystemLookup {
    fn default() -> Self {
        Self {
            running: Arc::new(Semaphore::new(LOOKUPS_MAX)),
        }
    }
}

impl Lookup for SystemLookup {
    fn lookup(&self, name: String) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>> {
        let running = Arc::clone(&self.running);
        Box::pin(async move {
            let permit = running.acquire_owned().await.map_err(io::Error::other)?;
            // The thread has the permit: who gives up waiting does not end it.
            let lookup = move || {
                let _permit = permit;
                let found = (name.as_str(), 0).to_socket_addrs()?;
                Ok(found.map(|address| address.ip()).collect())
            };
            tokio::task::spawn_blocking(lookup).await?
        })
    }
}

/// The resolver of the client.
pub(super) struct Resolver {
    reach: Reach,
    lookup: Arc<dyn Lookup>,
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver")
            .field("reach", &self.reach)
            .finish_non_exhaustive()
    }
}

impl Resolver {
    pub(super) fn new(reach: Reach, lookup: impl Lookup) -> Self {
        Self {
            reach,
            lookup: Arc::new(lookup),
        }
    }

    /// The addresses of a name, if all of them may be reached.
    ///
    /// One that is private among public ones is refused too: no push service on the internet has one, and
    /// whoever mixes them wants us to try them all.
    pub(super) fn resolve_all(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<Vec<IpAddr>, EndpointError>> + Send + use<> {
        let (reach, host) = (self.reach, name.to_owned());
        let lookup = self.lookup.lookup(host.clone());
        async move {
            let unresolved = |why: String| EndpointError::Unresolved {
                host: host.clone(),
                why,
            };
            let found = lookup.await.map_err(|error| unresolved(error.to_string()))?;
            if found.is_empty() {
                return Err(unresolved("the answer is empty".into()));
            }
            let private = |address: &&IpAddr| reach == Reach::Public && !is_public(**address);
            match found.iter().find(private) {
                Some(&address) => Err(EndpointError::Private { host, address }),
                None => Ok(found),
            }
        }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let found = self.resolve_all(name.as_str());
        Box::pin(async move {
            // Port 0 stands for the one of the URL.
            let addresses = found
                .await?
                .into_iter()
                .map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(addresses) as Addrs)
        })
    }
}
