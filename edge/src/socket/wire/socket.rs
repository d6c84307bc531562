//! A socket that frames are read from and written to.

use std::{
    future::poll_fn,
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

use super::{Broken, Incoming, Outgoing, reader::Reader, writer::Writer};
use crate::http::{Patient, Transport};

/// What is read at a time where nobody keeps it, and out of TLS: the largest record has four times as much.
const SCRATCH_BYTES: usize = 4 << 10;

/// A connection after its upgrade. Reading and writing may be given up at any await and gone on
/// with later: nothing is lost or cut in half.
#[derive(Debug)]
pub struct Socket {
    transport: Transport,
    reader: Reader,
    writer: Writer,
    /// TLS has taken bytes that the kernel may not have yet.
    unflushed: bool,
}

impl Socket {
    /// A connection on which `read` came after the request already. A message of the client has at
    /// most `message_bytes_max` bytes.
    #[must_use]
    pub fn new(transport: Transport, read: Bytes, message_bytes_max: usize) -> Self {
        Self {
            transport,
            reader: Reader::new(read, message_bytes_max),
            writer: Writer::default(),
            unflushed: false,
        }
    }

    /// The next message; `None` at the end of the connection. Pings are not answered by this.
    ///
    /// # Errors
    /// [`Broken`]: nothing more can be read.
    pub async fn recv(&mut self) -> Result<Option<Incoming>, Broken> {
        loop {
            if let Some(incoming) = self.reader.next()? {
                return Ok(Some(incoming));
            }
            if self.transport.read_into(&mut self.reader).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Reads and forgets what comes until the client closes or the connection ends, whether or not it
    /// makes sense.
    pub async fn drain(&mut self) {
        loop {
            match self.recv().await {
                Ok(Some(Incoming::Close) | None) | Err(Broken::Io(_)) => return,
                Ok(Some(_)) => {}
                Err(Broken::Protocol(_) | Broken::TooLarge(_)) => break,
            }
        }
        self.reader = Reader::new(Bytes::new(), 0);
        let mut nobody = Nobody::default();
        while matches!(self.transport.read_into(&mut nobody).await, Ok(1..)) {}
    }

    /// Puts something behind what waits to be written.
    pub fn push(&mut self, outgoing: Outgoing) {
        self.writer.push(outgoing);
    }

    /// Whether something waits to be written.
    #[must_use]
    pub fn waits(&self) -> bool {
        !self.writer.is_empty() || self.unflushed
    }

    /// Writes as much of what waits as the kernel takes at once, and forgets the rest.
    pub fn say_goodbye(mut self) {
        // Whoever is on their way out need not hear it.
        match &mut self.transport {
            Transport::Plain(stream) => {
                let stream = stream.get_ref();
                let _ = self.writer.write(|slices| stream.try_write_vectored(slices));
            }
            Transport::Tls(stream) => {
                let mut once = Context::from_waker(Waker::noop());
                let _ = poll_write_all(&mut self.writer, stream, &mut self.unflushed, &mut once);
                let _ = Pin::new(stream).poll_shutdown(&mut once);
            }
        }
    }

    /// Writes what waits.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn flush(&mut self) -> io::Result<()> {
        let stream = match &mut self.transport {
            Transport::Plain(stream) => stream.get_ref(),
            Transport::Tls(stream) => {
                let (writer, unflushed) = (&mut self.writer, &mut self.unflushed);
                return poll_fn(|context| poll_write_all(writer, stream, unflushed, context)).await;
            }
        };
        while !self.writer.is_empty() {
            match self
                .writer
                .write(|slices| match stream.try_write_vectored(slices) {
                    Ok(0) => Err(io::ErrorKind::WriteZero.into()),
                    result => result,
                }) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.writable().await?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Whoever makes room for bytes once there are some.
trait Room {
    fn room(&mut self) -> &mut BytesMut;
}

impl Room for Reader {
    fn room(&mut self) -> &mut BytesMut {
        Self::room(self)
    }
}

/// Takes all and keeps nothing.
#[derive(Default)]
struct Nobody(BytesMut);

impl Room for Nobody {
    fn room(&mut self) -> &mut BytesMut {
        self.0.clear();
        self.0.reserve(SCRATCH_BYTES);
        &mut self.0
    }
}

impl Transport {
    /// Reads what there is, once there is something; 0 is the end.
    async fn read_into(&mut self, room: &mut impl Room) -> io::Result<usize> {
        let stream = match self {
            Self::Plain(stream) => stream.get_ref(),
            Self::Tls(stream) => return poll_fn(|context| poll_decrypted(stream, room, context)).await,
        };
        loop {
            stream.readable().await?;
            match stream.try_read_buf(room.room()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
        }
    }
}

/// By way of the stack, so that a socket that waits holds no buffer of ours.
fn poll_decrypted(
    stream: &mut TlsStream<Patient<TcpStream>>,
    room: &mut impl Room,
    context: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut scratch = [MaybeUninit::uninit(); SCRATCH_BYTES];
    let mut buffer = ReadBuf::uninit(&mut scratch);
    match ready!(Pin::new(stream).poll_read(context, &mut buffer)) {
        Ok(()) => {
            room.room().extend_from_slice(buffer.filled());
            Poll::Ready(Ok(buffer.filled().len()))
        }
        // Many clients end the connection without saying so within TLS: frames say where they end.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(0)),
        Err(error) => Poll::Ready(Err(error)),
    }
}

/// Writes until the kernel has all of it. What TLS has taken counts as written, but not as flushed.
fn poll_write_all(
    writer: &mut Writer,
    stream: &mut TlsStream<Patient<TcpStream>>,
    unflushed: &mut bool,
    context: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    while !writer.is_empty() {
        let mut pending = false;
        writer.write(
            |slices| match Pin::new(&mut *stream).poll_write_vectored(context, slices) {
                Poll::Ready(Ok(0)) => Err(io::Error::from(io::ErrorKind::WriteZero)),
                Poll::Ready(taken) => taken,
                Poll::Pending => {
                    pending = true;
                    Ok(0)
                }
            },
        )?;
        if pending {
            return Poll::Pending;
        }
        *unflushed = true;
    }
    if *unflushed {
        ready!(Pin::new(stream).poll_flush(context))?;
        *unflushed = false;
    }
    Poll::Ready(Ok(()))
}
