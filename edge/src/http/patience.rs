//! A connection whose other end must take what it is sent: an answer that nobody reads would hold a
//! place on this edge for ever.
//!
//! It stands right above the kernel, below TLS: TLS takes tens of kilobytes into a buffer of its own and calls
//! them written, so that above it neither who takes nothing nor who takes little by little can be told.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// A stream that fails with [`io::ErrorKind::TimedOut`] once it took no byte for a while.
#[derive(Debug)]
pub struct Patient<S> {
    stream: S,
    limit: Option<Duration>,
    /// Runs while the other end takes nothing.
    due: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    /// A stream that may take no byte for `limit`.
    #[must_use]
    pub const fn new(stream: S, limit: Duration) -> Self {
        Self {
            stream,
            limit: Some(limit),
            due: None,
        }
    }

    /// The stream itself, on which nothing is timed.
    #[must_use]
    pub const fn get_ref(&self) -> &S {
        &self.stream
    }

    /// From now on somebody else looks at the time.
    pub fn wait_for_ever(&mut self) {
        (self.limit, self.due) = (None, None);
    }

    fn judge<T>(&mut self, context: &mut Context<'_>, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if done.is_ready() {
            self.due = None;
            return done;
        }
        let Some(limit) = self.limit else {
            return Poll::Pending;
        };
        let due = self.due.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(due.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(context, done)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.judge(context, done)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.stream).poll_flush(context);
        self.judge(context, done)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.stream).poll_shutdown(context);
        self.judge(context, done)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, duplex},
        time::Instant,
    };

    use super::*;

    const LIMIT: Duration = Duration::from_millis(40);

    #[tokio::test]
    async fn who_takes_nothing_is_given_up_and_who_is_slow_is_not() -> io::Result<()> {
        let (near, mut far) = duplex(10);
        let mut near = Patient::new(near, LIMIT);
        let begun = Instant::now();
        let writing = tokio::spawn(async move {
            let written = near.write_all(&[7; 80]).await;
            (near, written)
        });
        // Each byte comes in time, all of them do not.
        for _ in 0..7 {
            sleep(LIMIT / 4).await;
            far.read_exact(&mut [0; 10]).await?;
        }
        let (mut near, written) = writing.await?;
        written?;
        assert!(begun.elapsed() > LIMIT);
        let failed = near.write_all(&[7; 80]).await.expect_err("nobody reads");
        assert_eq!(failed.kind(), io::ErrorKind::TimedOut);
        Ok(())
    }
}
