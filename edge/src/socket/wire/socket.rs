//! A socket that frames are read from and written to.

use std::io;

use bytes::Bytes;
use tokio::net::TcpStream;

use super::{Broken, Incoming, Outgoing, reader::Reader, writer::Writer};

/// A connection after its upgrade. Reading and writing may be given up at any await and gone on
/// with later: nothing is lost or cut in half.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    reader: Reader,
    writer: Writer,
}

impl Socket {
    /// A connection on which `read` came after the request already. A message of the client has at
    /// most `message_bytes_max` bytes.
    #[must_use]
    pub fn new(stream: TcpStream, read: Bytes, message_bytes_max: usize) -> Self {
        Self {
            stream,
            reader: Reader::new(read, message_bytes_max),
            writer: Writer::default(),
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
            self.stream.readable().await?;
            match self.stream.try_read_buf(self.reader.room()) {
                Ok(0) => return Ok(None),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
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
        while self.stream.readable().await.is_ok() {
            let mut bytes = [0; 4_096];
            match self.stream.try_read(&mut bytes) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }

    /// Puts something behind what waits to be written.
    pub fn push(&mut self, outgoing: Outgoing) {
        self.writer.push(outgoing);
    }

    /// Whether something waits to be written.
    #[must_use]
    pub fn waits(&self) -> bool {
        !self.writer.is_empty()
    }

    /// Writes as much of what waits as the kernel takes at once, and forgets the rest.
    pub fn say_goodbye(mut self) {
        let stream = &self.stream;
        // Whoever is on their way out need not hear it.
        let _ = self.writer.write(|slices| stream.try_write_vectored(slices));
    }

    /// Writes what waits.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn flush(&mut self) -> io::Result<()> {
        while !self.writer.is_empty() {
            let stream = &self.stream;
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
