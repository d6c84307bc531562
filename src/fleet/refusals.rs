//! What a nats-server refused to users, from its log.

/// In the lines of a refusal.
const REFUSED: [&str; 3] = ["Violation - ", "authentication error", "authorization violation"];
/// Each start of the server writes it once.
const STARTED: &str = "Server is ready";
/// An answer to who asked, in the same account or in another one: no user may publish there otherwise.
const ANSWERS: [&str; 2] = [
    "Publish Violation - Subject \"_INBOX_",
    "Publish Violation - Subject \"_R_.",
];

/// The refusals in a log to which each start of the server appended.
///
/// Without the answers that came after a restart: a server forgets with it who was asked (`allow_responses`), and
/// refuses an answer to a request of before. Whoever asked has lost the connection as well, and asks again.
pub(super) fn of_log(log: &str) -> impl Iterator<Item = &str> {
    let mut starts = 0;
    log.lines().filter(move |line| {
        starts += usize::from(line.contains(STARTED));
        REFUSED.iter().any(|words| line.contains(words))
            && !(starts > 1 && ANSWERS.iter().any(|words| line.contains(words)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_late_only_after_a_restart() {
        let ready = "[1] 2026/11/22 22:39:42.132882 [INF] Server is ready";
        let answer = "[1] 2026/11/22 22:39:42.132882 [ERR] 127.0.0.1:39678 - cid:101 - \"v0.51.0:rust:persister\" - \
                      \"NATTERJACK/nkey:persister\" - Publish Violation - Subject \"_INBOX_notifier.9nRd.KaK\"";
        let bucket = answer.replace("_INBOX_notifier.9nRd.KaK", "$KV.presence.u");
        let across = answer.replace("_INBOX_notifier.9nRd.KaK", "_R_.9nRd.KaK");
        let stranger = "[1] 2026/11/22 22:39:42.132882 [ERR] 127.0.0.1:39678 - cid:7 - authentication error";

        let first = [ready, answer, &across, &bucket, stranger];
        let log = first.join("\n");
        assert_eq!(
            of_log(&log).collect::<Vec<_>>(),
            [answer, &across, &bucket, stranger]
        );

        let log = [&first[..], &first].concat().join("\n");
        let both = [answer, &across, &bucket, stranger, &bucket, stranger];
        assert_eq!(of_log(&log).collect::<Vec<_>>(), both);
    }
}
