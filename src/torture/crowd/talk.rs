//! What one device does all the time, by its own dice.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use natterjack_client::Draft;
use natterjack_nats::{
    Conversation,
    wire::{Content, HistoryQuery},
};
use rand::{Rng, RngExt, rngs::StdRng, seq::IndexedRandom};
use tokio::time::{sleep, timeout};

use super::Device;

/// A page of history that takes longer is not waited for: the device has other things to do.
const PAGE_WITHIN: Duration = Duration::from_secs(3);
const PAGE_LIMIT: usize = 50;

/// Talks until it is told to stop.
///
/// # Errors
/// The client ended by itself.
pub async fn talk(
    device: Arc<Device>,
    mut random: StdRng,
    pace: Duration,
    stop: Arc<AtomicBool>,
) -> anyhow::Result<()> {
    let mut said = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        sleep(pace.mul_f64(random.random_range(0.0..2.0))).await;
        let Some(conversation) = device.places.choose(&mut random).copied() else {
            return Ok(());
        };
        match random.random_range(0..100) {
            0..60 => device.send(text(&mut said, &mut random, conversation)).await?,
            60..68 => {
                let mut draft = text(&mut said, &mut random, conversation);
                if let Content::Text { reply_to, .. } = &mut draft.content {
                    *reply_to = device.last(conversation).filter(|last| *last > 0);
                }
                device.send(draft).await?;
            }
            68..80 => change(&device, &mut random, &mut said).await?,
            80..86 => typing(&device, conversation, random.random_bool(0.7)).await,
            86..96 => read(&device, conversation, &mut random).await,
            96..98 => device.set_active(random.random_bool(0.6)).await?,
            _ => page(&device, conversation, &mut random).await,
        }
    }
    Ok(())
}

fn text(said: &mut u64, random: &mut StdRng, conversation: Conversation) -> Draft {
    *said += 1;
    // Most texts are short, and some are long.
    let length = if random.random_bool(0.02) {
        random.random_range(1_000..20_000)
    } else {
        random.random_range(0..80)
    };
    let filler: String = "natter ".chars().cycle().take(length).collect();
    Draft::text(conversation, format!("{said} {:x} {filler}", random.next_u32()))
}

/// Edits or deletes a text of its own.
async fn change(device: &Device, random: &mut StdRng, said: &mut u64) -> anyhow::Result<()> {
    let Some((conversation, target)) = device.texts().choose(random).copied() else {
        return Ok(());
    };
    if random.random_bool(0.7) {
        *said += 1;
        let text = format!("edited {said} {:x}", random.next_u32());
        device.send(Draft::edit(conversation, target, text)).await
    } else {
        device.send(Draft::delete(conversation, target)).await
    }
}

async fn typing(device: &Device, conversation: Conversation, active: bool) {
    // Nobody misses it.
    device
        .with(async |client| client.client().typing(conversation, active).ok())
        .await;
}

/// The user has read what the device has, or part of it.
async fn read(device: &Device, conversation: Conversation, random: &mut StdRng) {
    let Some(last) = device.last(conversation).filter(|last| *last > 0) else {
        return;
    };
    let upto = if random.random_bool(0.3) {
        random.random_range(1..=last)
    } else {
        last
    };
    // A receipt that finds no room is made up for by the next.
    device
        .with(async |client| client.read(conversation, upto).ok())
        .await;
}

async fn page(device: &Device, conversation: Conversation, random: &mut StdRng) {
    let seq = device.last(conversation).unwrap_or(1).max(1);
    let mut query = HistoryQuery {
        conversation,
        before: None,
        after: None,
        around: None,
        at: None,
        limit: Some(PAGE_LIMIT),
    };
    match random.random_range(0..3) {
        0 => query.before = Some(seq),
        1 => query.after = Some(seq / 2),
        _ => query.around = Some(seq),
    }
    device
        .with(async |client| timeout(PAGE_WITHIN, client.page(query)).await.ok())
        .await;
}
