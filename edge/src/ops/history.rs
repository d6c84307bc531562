//! Pages of history.

use natterjack_nats::{
    Conversation,
    limits::{PAGE_MESSAGES_MAX, WHOLE_MAX},
    services::history::ReadPage,
    wire::{Code, HistoryQuery, Page, WireError},
};

use super::{Caller, conversations::admitted};
use crate::app::App;

impl App {
    /// A page of a conversation. `member` says that the edge itself knows the caller to be in it,
    /// which counts only while Postgres is away.
    ///
    /// # Errors
    /// `bad_request`, `not_member`, or the service is away.
    pub async fn history(
        &self,
        caller: &Caller,
        member: bool,
        query: HistoryQuery,
    ) -> Result<Page, WireError> {
        admitted(caller, &query.conversation)?;
        self.ask(&ReadPage {
            user: caller.user,
            member,
            query: checked(query)?,
        })
        .await
    }

    /// Whether this edge itself knows the caller to be in a conversation: from its name, or because
    /// the user is connected here.
    #[must_use]
    pub fn knows_member(&self, caller: &Caller, conversation: &Conversation) -> bool {
        match conversation {
            Conversation::Group(group) => self.hub.is_member(caller.user, *group) == Some(true),
            _ => conversation.admits(caller.user) == Some(true),
        }
    }
}

/// The query within its limits.
fn checked(mut query: HistoryQuery) -> Result<HistoryQuery, WireError> {
    let places = [query.before, query.after, query.around, query.at];
    if places.iter().flatten().count() > 1 {
        return Err(WireError::new(
            Code::BadRequest,
            "a page is asked for with at most one of `before`, `after`, `around` and `at`",
        ));
    }
    if places.iter().flatten().any(|seq| *seq > WHOLE_MAX) {
        return Err(WireError::new(
            Code::BadRequest,
            "a sequence or time is a number below 2^53",
        ));
    }
    query.limit = Some(
        query
            .limit
            .unwrap_or(PAGE_MESSAGES_MAX)
            .clamp(1, PAGE_MESSAGES_MAX),
    );
    Ok(query)
}

#[cfg(test)]
mod tests {
    use natterjack_nats::UserId;

    use super::*;

    fn query() -> HistoryQuery {
        HistoryQuery {
            conversation: Conversation::dm(UserId::from_parts(1, 1), UserId::from_parts(2, 2)),
            before: None,
            after: None,
            around: None,
            at: None,
            limit: None,
        }
    }

    #[test]
    fn a_query_names_one_place_and_stays_in_its_limits() {
        let limit = |limit| checked(HistoryQuery { limit, ..query() }).map(|query| query.limit);
        assert_eq!(limit(None), Ok(Some(PAGE_MESSAGES_MAX)));
        assert_eq!(limit(Some(0)), Ok(Some(1)));
        assert_eq!(limit(Some(usize::MAX)), Ok(Some(PAGE_MESSAGES_MAX)));
        let two = HistoryQuery {
            before: Some(5),
            after: Some(1),
            ..query()
        };
        assert_eq!(checked(two).expect_err("two places").code, Code::BadRequest);
        let time = HistoryQuery {
            around: Some(5),
            at: Some(1),
            ..query()
        };
        assert_eq!(checked(time).expect_err("two places").code, Code::BadRequest);
        let far = HistoryQuery {
            before: Some(WHOLE_MAX + 1),
            ..query()
        };
        assert_eq!(checked(far).expect_err("too far").code, Code::BadRequest);
    }
}
