use natterjack_nats::{GroupId, MessageId, UserId};

use super::*;

fn dm() -> Conversation {
    Conversation::dm(UserId::from_parts(1, 1), UserId::from_parts(2, 2))
}

fn message(conversation: Conversation, mention: bool) -> Notice {
    Notice::Message {
        conversation,
        seq: 1,
        id: MessageId::generate(1_800_000_000_000),
        sent_at: 0,
        title: "Ada".into(),
        body: None,
        badge: 1,
        mention,
    }
}

#[test]
fn what_is_meant_for_one_person_is_urgent() {
    let group = Conversation::Group(GroupId::from_parts(1, 1));
    assert_eq!(urgency(&message(dm(), false)), "high");
    assert_eq!(urgency(&message(group, true)), "high");
    assert_eq!(urgency(&message(group, false)), "normal");
    let withdrawal = Notice::Withdraw {
        conversation: group,
        seq: 1,
        badge: 0,
    };
    assert_eq!(urgency(&withdrawal), "low");
}

#[test]
fn a_topic_is_one_conversation_on_one_device_and_tells_neither() {
    let endpoint = "https://push.example.org/a";
    let one = topic(endpoint, &dm());
    assert_eq!(one.len(), 32);
    assert!(
        one.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    );
    assert_eq!(one, topic(endpoint, &dm()));
    assert_ne!(one, topic("https://push.example.org/b", &dm()));
    let other = Conversation::dm(UserId::from_parts(1, 1), UserId::from_parts(3, 3));
    assert_ne!(one, topic(endpoint, &other));
}

#[test]
fn an_origin_has_its_port_unless_it_is_the_schemes_own() {
    assert_eq!(
        origin_of("https://push.example.org:443/a"),
        "https://push.example.org"
    );
    assert_eq!(
        origin_of("https://push.example.org:8443/a"),
        "https://push.example.org:8443"
    );
    assert_eq!(origin_of("http://127.0.0.1:80/a?b"), "http://127.0.0.1");
    assert_eq!(origin_of("nonsense"), "");
}

#[test]
fn keys_may_be_padded() {
    let keys = |p256dh: &str, auth: &str| WebPushKeys {
        p256dh: p256dh.into(),
        auth: auth.into(),
    };
    assert_eq!(decode(&keys("AQI", "Aw")), Some((vec![1, 2], vec![3])));
    assert_eq!(decode(&keys("AQI=", "Aw==")), Some((vec![1, 2], vec![3])));
    assert_eq!(decode(&keys("AQI", "A+")), None);
}
