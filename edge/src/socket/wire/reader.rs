//! From bytes to messages. Pure: bytes are put in, messages come out.

use std::io::Cursor;

use axum::extract::ws::Utf8Bytes;
use bytes::{Buf, Bytes, BytesMut};
use tungstenite::protocol::frame::{
    FrameHeader,
    coding::{Control, Data, OpCode},
};

use super::{Broken, Incoming};

/// What is read at a time while no large frame is under way: most frames are far smaller.
const READ_BYTES: usize = 4 << 10;
/// What is read at a time of a large one.
const READ_BYTES_MAX: usize = 64 << 10;
/// RFC 6455, 5.5.
const CONTROL_BYTES_MAX: usize = 125;

/// Puts messages together. Without anything half-read it holds no memory.
#[derive(Debug)]
pub(super) struct Reader {
    buffer: BytesMut,
    /// The message whose first fragments came.
    message: Option<Box<Fragments>>,
    message_bytes_max: usize,
}

#[derive(Debug)]
struct Fragments {
    is_text: bool,
    bytes: BytesMut,
}

impl Reader {
    /// Nothing was read yet but perhaps `read`. A message has at most `message_bytes_max` bytes.
    pub(super) fn new(read: Bytes, message_bytes_max: usize) -> Self {
        Self {
            buffer: BytesMut::from(read),
            message: None,
            message_bytes_max,
        }
    }

    /// Room for what comes next: as much as was read so far, so that a client gets as much memory as
    /// it fills, and not as much as it announces.
    pub(super) fn room(&mut self) -> &mut BytesMut {
        let read = self.buffer.len();
        self.buffer.reserve(read.clamp(READ_BYTES, READ_BYTES_MAX));
        &mut self.buffer
    }

    /// Bytes of memory that are held for what is half-read.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.buffer.capacity()
            + self
                .message
                .as_ref()
                .map_or(0, |message| message.bytes.capacity())
    }

    /// The next message among the bytes that were read, if it is complete.
    ///
    /// # Errors
    /// The client does not keep to the protocol; nothing after it makes sense.
    pub(super) fn next(&mut self) -> Result<Option<Incoming>, Broken> {
        while let Some((header, payload)) = self.frame()? {
            if let Some(incoming) = self.take(&header, payload)? {
                self.rest();
                return Ok(Some(incoming));
            }
        }
        self.rest();
        Ok(None)
    }

    /// Gives the buffer back once nothing is in it.
    fn rest(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
    }

    /// A whole frame, unmasked.
    fn frame(&mut self) -> Result<Option<(FrameHeader, BytesMut)>, Broken> {
        let mut cursor = Cursor::new(&self.buffer[..]);
        let header = FrameHeader::parse(&mut cursor).map_err(|_| Broken::Protocol("a reserved opcode"))?;
        let Some((mut header, length)) = header else {
            return Ok(None);
        };
        let start = usize::try_from(cursor.position()).unwrap_or(usize::MAX);
        let length = self.checked(&header, length)?;
        if self.buffer.len() < start + length {
            return Ok(None);
        }
        self.buffer.advance(start);
        let mut payload = self.buffer.split_to(length);
        let mask = header
            .mask
            .take()
            .ok_or(Broken::Protocol("a frame that is not masked"))?;
        unmask(&mut payload, mask);
        Ok(Some((header, payload)))
    }

    /// What a header may announce.
    fn checked(&self, header: &FrameHeader, length: u64) -> Result<usize, Broken> {
        let length = usize::try_from(length).map_err(|_| Broken::TooLarge(self.message_bytes_max))?;
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(Broken::Protocol("a reserved bit"));
        }
        if header.mask.is_none() {
            return Err(Broken::Protocol("a frame that is not masked"));
        }
        match header.opcode {
            OpCode::Control(_) if !header.is_final => {
                return Err(Broken::Protocol("a control frame in parts"));
            }
            OpCode::Control(_) if length > CONTROL_BYTES_MAX => {
                return Err(Broken::Protocol("a large control frame"));
            }
            OpCode::Data(Data::Continue) if self.message.is_none() => {
                return Err(Broken::Protocol("a continuation of nothing"));
            }
            OpCode::Data(Data::Text | Data::Binary) if self.message.is_some() => {
                return Err(Broken::Protocol("a message within another"));
            }
            OpCode::Control(_) => return Ok(length),
            OpCode::Data(_) => {}
        }
        let so_far = self.message.as_ref().map_or(0, |message| message.bytes.len());
        if length > self.message_bytes_max - so_far {
            return Err(Broken::TooLarge(self.message_bytes_max));
        }
        Ok(length)
    }

    fn take(&mut self, header: &FrameHeader, payload: BytesMut) -> Result<Option<Incoming>, Broken> {
        match header.opcode {
            OpCode::Control(Control::Ping) => Ok(Some(Incoming::Ping(payload.freeze()))),
            OpCode::Control(Control::Pong) => Ok(Some(Incoming::Pong)),
            OpCode::Control(Control::Close) => Ok(Some(Incoming::Close)),
            OpCode::Data(Data::Text) if header.is_final => whole(true, payload).map(Some),
            OpCode::Data(Data::Binary) if header.is_final => whole(false, payload).map(Some),
            OpCode::Data(Data::Text | Data::Binary) => {
                let is_text = header.opcode == OpCode::Data(Data::Text);
                self.message = Some(Box::new(Fragments {
                    is_text,
                    bytes: payload,
                }));
                Ok(None)
            }
            OpCode::Data(Data::Continue) => {
                let Some(mut message) = self.message.take() else {
                    return Err(Broken::Protocol("a continuation of nothing"));
                };
                message.bytes.extend_from_slice(&payload);
                if header.is_final {
                    return whole(message.is_text, message.bytes).map(Some);
                }
                self.message = Some(message);
                Ok(None)
            }
            OpCode::Data(Data::Reserved(_)) | OpCode::Control(Control::Reserved(_)) => {
                Err(Broken::Protocol("a reserved opcode"))
            }
        }
    }
}

fn whole(is_text: bool, bytes: BytesMut) -> Result<Incoming, Broken> {
    if !is_text {
        return Ok(Incoming::Binary);
    }
    Utf8Bytes::try_from(bytes.freeze())
        .map(Incoming::Text)
        .map_err(|_| Broken::Protocol("a text that is not UTF-8"))
}

/// RFC 6455, 5.3.
fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    // Eight at a time: texts may be large.
    let wide = u64::from_ne_bytes([
        mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3],
    ]);
    let mut chunks = payload.chunks_exact_mut(8);
    for chunk in &mut chunks {
        if let Ok(eight) = <[u8; 8]>::try_from(&*chunk) {
            chunk.copy_from_slice(&(u64::from_ne_bytes(eight) ^ wide).to_ne_bytes());
        }
    }
    for (index, byte) in chunks.into_remainder().iter_mut().enumerate() {
        *byte ^= mask[index % 4];
    }
}
