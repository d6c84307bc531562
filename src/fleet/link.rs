//! A TCP link between two parts, with weather: it can be cut, held up, delayed and narrowed.
//!
//! It knows nothing of what it carries. A part that is given a link's address instead of the other
//! part's own has all its traffic with that part under control.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{Instant, sleep, sleep_until},
};

/// Bytes that are read at a time.
const CHUNK_BYTES: usize = 16 * 1024;
/// Chunks that are under way in one direction of one connection: 1 MiB.
const CHUNKS: usize = 64;

/// What becomes of the traffic of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// It passes.
    Fair,
    /// Connections are reset, and new ones too.
    Cut,
    /// Connections stay and nothing passes, as when a cable is pulled.
    Still,
    /// Everything arrives so much later.
    Late(Duration),
    /// So many bytes a second pass, of each connection in each direction.
    Narrow(u32),
}

/// A link; cheap to clone, gone with the last clone.
#[derive(Debug, Clone)]
pub struct Link(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    address: SocketAddr,
    weather: watch::Sender<Weather>,
    accepting: JoinHandle<()>,
}

impl Link {
    /// A link in front of `upstream`, on a free port of its own.
    ///
    /// # Errors
    /// There is no free port.
    pub async fn to(upstream: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (weather, receiver) = watch::channel(Weather::Fair);
        let accepting = tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((client, _)) => {
                        tokio::spawn(serve(client, upstream, receiver.clone()));
                    }
                    // No descriptors left: the next may have one.
                    Err(_) => sleep(Duration::from_millis(50)).await,
                }
            }
        });
        Ok(Self(Arc::new(Inner {
            address,
            weather,
            accepting,
        })))
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// The weather from now on.
    pub fn set(&self, weather: Weather) {
        self.0.weather.send_replace(weather);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(client: TcpStream, upstream: SocketAddr, mut weather: watch::Receiver<Weather>) {
    // Nothing is reached through a link where nothing passes.
    let opened = weather.wait_for(|weather| *weather != Weather::Still).await;
    let cut = opened.is_ok_and(|weather| *weather == Weather::Cut);
    let server = if cut {
        None
    } else {
        TcpStream::connect(upstream).await.ok()
    };
    let Some(server) = server else {
        let _ = client.set_zero_linger();
        return;
    };
    for socket in [&client, &server] {
        let _ = socket.set_nodelay(true);
    }
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let (up, down) = (weather.clone(), weather.clone());
    let ended = {
        let up = pump(&mut from_client, &mut to_server, up);
        let down = pump(&mut from_server, &mut to_client, down);
        tokio::select! {
            ended = async { tokio::try_join!(up, down) } => ended.is_ok(),
            _ = weather.wait_for(|weather| *weather == Weather::Cut) => false,
        }
    };
    if !ended {
        // A reset, and not an end in good order, on both sides.
        for socket in [&to_client, &to_server] {
            let _ = socket.as_ref().set_zero_linger();
        }
    }
}

/// One direction of one connection until its end.
async fn pump(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    mut weather: watch::Receiver<Weather>,
) -> std::io::Result<()> {
    let (sender, mut chunks) = mpsc::channel::<(Instant, Vec<u8>)>(CHUNKS);
    let read = async move {
        loop {
            let mut chunk = Vec::with_capacity(CHUNK_BYTES);
            if from.read_buf(&mut chunk).await? == 0 || sender.send((Instant::now(), chunk)).await.is_err() {
                return Ok(());
            }
        }
    };
    let write = async move {
        while let Some((read_at, chunk)) = chunks.recv().await {
            let now = weather.wait_for(|weather| *weather != Weather::Still).await;
            let now = now.map(|weather| *weather).map_err(std::io::Error::other)?;
            if let Weather::Late(by) = now {
                sleep_until(read_at + by).await;
            }
            to.write_all(&chunk).await?;
            if let Weather::Narrow(bytes_per_second) = now {
                let length = u32::try_from(chunk.len()).unwrap_or(u32::MAX);
                sleep(Duration::from_secs(1) * length / bytes_per_second.max(1)).await;
            }
        }
        to.shutdown().await
    };
    tokio::try_join!(read, write).map(|_: ((), ())| ())
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);
    const NOT_YET: Duration = Duration::from_millis(150);

    /// A server that answers every byte with itself, behind a link.
    async fn echo() -> anyhow::Result<Link> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = socket.into_split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        Ok(Link::to(address).await?)
    }

    async fn ask(socket: &mut TcpStream) -> std::io::Result<u8> {
        socket.write_all(&[42]).await?;
        socket.read_u8().await
    }

    #[tokio::test]
    async fn weather_comes_and_goes() -> anyhow::Result<()> {
        let link = echo().await?;
        let mut socket = TcpStream::connect(link.address()).await?;
        assert_eq!(timeout(SOON, ask(&mut socket)).await??, 42);

        link.set(Weather::Still);
        assert!(timeout(NOT_YET, ask(&mut socket)).await.is_err());
        link.set(Weather::Fair);
        assert_eq!(timeout(SOON, socket.read_u8()).await??, 42, "held up, not lost");

        link.set(Weather::Late(Duration::from_millis(200)));
        let asked = Instant::now();
        ask(&mut socket).await?;
        assert!(asked.elapsed() >= Duration::from_millis(400), "both ways");

        link.set(Weather::Cut);
        assert!(timeout(SOON, socket.read_u8()).await?.is_err(), "reset");
        // The connection may stand for a moment, but carries nothing.
        if let Ok(mut socket) = TcpStream::connect(link.address()).await {
            assert!(timeout(SOON, ask(&mut socket)).await?.is_err());
        }
        link.set(Weather::Fair);
        let mut socket = TcpStream::connect(link.address()).await?;
        assert_eq!(timeout(SOON, ask(&mut socket)).await??, 42);
        Ok(())
    }

    #[tokio::test]
    async fn a_narrow_link_takes_its_time_and_the_end_comes_through() -> anyhow::Result<()> {
        let link = echo().await?;
        link.set(Weather::Narrow(100_000));
        let mut socket = TcpStream::connect(link.address()).await?;
        let asked = Instant::now();
        socket.write_all(&[1; 20_000]).await?;
        socket.shutdown().await?;
        let mut all = Vec::new();
        timeout(SOON, socket.read_to_end(&mut all)).await??;
        assert_eq!(all.len(), 20_000);
        assert!(asked.elapsed() >= Duration::from_millis(200));
        Ok(())
    }
}
