//! From messages to bytes: what waits to be written, without a copy of it.

use std::{collections::VecDeque, io::IoSlice};

use axum::extract::ws::Utf8Bytes;
use bytes::{Bytes, BytesMut};
use tungstenite::protocol::frame::{
    FrameHeader,
    coding::{Control, Data, OpCode},
};

use super::Outgoing;

/// Frames of one call.
const FRAMES: usize = 64;
/// The longest header of a frame that is not masked.
const HEADER_BYTES_MAX: usize = 10;

/// Frames on their way to the kernel. Without any it holds no memory.
#[derive(Debug, Default)]
pub(super) struct Writer {
    frames: VecDeque<Frame>,
    /// Bytes of the first frame that the kernel has.
    written: usize,
}

#[derive(Debug)]
struct Frame {
    header: [u8; HEADER_BYTES_MAX],
    header_bytes: usize,
    payload: Bytes,
}

impl Writer {
    pub(super) fn push(&mut self, outgoing: Outgoing) {
        let (opcode, payload) = match outgoing {
            Outgoing::Text(text) => (OpCode::Data(Data::Text), bytes(text)),
            Outgoing::Ping => (OpCode::Control(Control::Ping), Bytes::new()),
            Outgoing::Pong(payload) => (OpCode::Control(Control::Pong), payload),
            Outgoing::Close(code, reason) => {
                let mut payload = BytesMut::with_capacity(2 + reason.len());
                payload.extend_from_slice(&code.to_be_bytes());
                payload.extend_from_slice(reason.as_bytes());
                (OpCode::Control(Control::Close), payload.freeze())
            }
        };
        self.frames.push_back(Frame::new(opcode, payload));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Hands the next bytes to `write`, which answers how many it took.
    pub(super) fn write<E>(
        &mut self,
        write: impl FnOnce(&[IoSlice<'_>]) -> Result<usize, E>,
    ) -> Result<(), E> {
        let mut slices = [IoSlice::new(&[]); 2 * FRAMES];
        let mut skip = self.written;
        let mut count = 0;
        for frame in self.frames.iter().take(FRAMES) {
            for part in [&frame.header[..frame.header_bytes], &frame.payload] {
                let skipped = skip.min(part.len());
                skip -= skipped;
                if skipped < part.len() {
                    slices[count] = IoSlice::new(&part[skipped..]);
                    count += 1;
                }
            }
        }
        let taken = write(&slices[..count])?;
        self.written += taken;
        while let Some(frame) = self.frames.front()
            && self.written >= frame.len()
        {
            self.written -= frame.len();
            self.frames.pop_front();
        }
        if self.frames.is_empty() {
            self.frames = VecDeque::new();
        }
        Ok(())
    }
}

impl Frame {
    fn new(opcode: OpCode, payload: Bytes) -> Self {
        let mut header = [0; HEADER_BYTES_MAX];
        let mut rest = &mut header[..];
        let format = FrameHeader {
            opcode,
            ..FrameHeader::default()
        };
        // Ten bytes are always enough without a mask.
        let _ = format.format(payload.len() as u64, &mut rest);
        let header_bytes = HEADER_BYTES_MAX - rest.len();
        Self {
            header,
            header_bytes,
            payload,
        }
    }

    fn len(&self) -> usize {
        self.header_bytes + self.payload.len()
    }
}

fn bytes(text: Utf8Bytes) -> Bytes {
    text.into()
}
