//! The name service of the containers, as Docker has one: who asks is told the address on a network that both are
//! on, and nothing about anybody else.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use tokio::{net::UdpSocket, task::JoinHandle};

const HEADER_BYTES: usize = 12;
const TYPE_A: u16 = 1;

/// Addresses by service, and within it by network.
pub type Addresses = BTreeMap<String, BTreeMap<String, Ipv4Addr>>;

/// Answers on port 53 of `address` until it is aborted.
pub async fn serve(address: Ipv4Addr, addresses: Arc<Addresses>) -> anyhow::Result<JoinHandle<()>> {
    let socket = UdpSocket::bind((address, 53)).await?;
    Ok(tokio::spawn(async move {
        let mut query = [0; 1_500];
        while let Ok((length, asker)) = socket.recv_from(&mut query).await {
            if let Some(answer) = answer(&query[..length], asker, &addresses) {
                let _ = socket.send_to(&answer, asker).await;
            }
        }
    }))
}

fn answer(query: &[u8], asker: SocketAddr, addresses: &Addresses) -> Option<Vec<u8>> {
    let mut at = HEADER_BYTES;
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8(query.get(at..at + length)?.to_vec()).ok()?);
        at += length;
    }
    let kind = u16::from_be_bytes(query.get(at..at + 2)?.try_into().ok()?);
    let question = query.get(HEADER_BYTES..at + 4)?;
    let found = shared(addresses, asker.ip(), &labels.join(".").to_lowercase());
    let told = found.filter(|_| kind == TYPE_A);
    let mut answer = query[..2].to_vec();
    // An answer, recursion available, and NXDOMAIN for names of nobody.
    let code: u16 = if found.is_some() { 0x8580 } else { 0x8583 };
    answer.extend(code.to_be_bytes());
    for count in [1, u16::from(told.is_some()), 0, 0] {
        answer.extend(count.to_be_bytes());
    }
    answer.extend(question);
    if let Some(address) = told {
        // The name of the question, type A, class IN, one second.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
        answer.extend(address.octets());
    }
    Some(answer)
}

fn shared(addresses: &Addresses, asker: IpAddr, name: &str) -> Option<Ipv4Addr> {
    let asker = addresses
        .values()
        .find(|own| own.values().any(|address| IpAddr::V4(*address) == asker))?;
    let named = addresses.get(name)?;
    named
        .iter()
        .find_map(|(network, address)| asker.contains_key(network).then_some(*address))
}
