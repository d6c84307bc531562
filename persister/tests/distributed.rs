//! What a distributed history rests on: each statement on its tables names the conversations that it is about, so
//! that it goes to their shards alone; apart from a few, which are listed. The statements are read from the source.
//!
//! It does not say whether Citus plans them: docs/decisions/distributed-history.md.

use std::fs;
use std::path::Path;

/// The tables that are spread by conversation: persister/distributed/citus.sql.
const TABLES: &[&str] = &["conversations", "members", "cursors", "mutes", "messages"];

/// The file, a part of the statement, and why it is not restricted.
const EVERY_SHARD: &[(&str, &str, &str)] = &[
    (
        "conversations/badges.rs",
        "from unnest($1::uuid[]) as u(id)",
        "by user: what the badges of some say",
    ),
    (
        "conversations/related.rs",
        "select distinct other.user_id",
        "by user: with whom somebody shares a conversation",
    ),
    (
        "conversations/rows.rs",
        "(c.head_at, c.key) < ($2, $3)",
        "by user: a page of somebody's list",
    ),
    (
        "conversations/rows.rs",
        "union all select $1, null::smallint",
        "by user: what a session opens with",
    ),
    (
        "conversations/rows.rs",
        "as mine cross join lateral",
        "by user: what is new to a session",
    ),
    (
        "history/sync_rows.rs",
        "where m.user_id = $1 and c.kind = 1",
        "by user: somebody's groups",
    ),
    (
        "marks/store.rs",
        "where key > $1 order by key",
        "all conversations in turn, when a backup was put back",
    ),
];

/// Statements and the file that each stands in, below `src`.
fn statements(dir: &Path, root: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(dir).expect("the source is here") {
        let path = entry.expect("an entry").path();
        let name = path.strip_prefix(root).expect("below src").display().to_string();
        if path.is_dir() {
            // It fills a database for measurements, on one Postgres.
            if name != "sample" {
                statements(&path, root, found);
            }
        } else if name.ends_with(".rs") {
            let source = fs::read_to_string(&path).expect("a source file");
            let sql = literals(&source).into_iter().filter(|text| is_statement(text));
            found.extend(sql.map(|sql| (name.clone(), sql)));
        }
    }
}

/// The string literals of a file, in single spaces; those of one `concat!` are one.
fn literals(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = source;
    // How deep in the parentheses of a `concat!`, and what it has so far.
    let (mut depth, mut joined) = (0_u32, String::new());
    while let Some(c) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
            continue;
        }
        if let Some(after) = rest.strip_prefix("'\"'").or_else(|| rest.strip_prefix("'\\\"'")) {
            rest = after;
            continue;
        }
        if depth == 0
            && let Some(after) = rest.strip_prefix("concat!(")
        {
            (depth, joined, rest) = (1, String::new(), after);
            continue;
        }
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        if c == '"' {
            let (text, after) = literal(after);
            if depth > 0 {
                joined.push_str(&text);
            } else {
                found.push(text);
            }
            rest = after;
            continue;
        }
        match c {
            // What a macro is given stands there.
            '$' if depth > 0 => joined.push('$'),
            '(' if depth > 0 => depth += 1,
            ')' if depth > 0 => {
                depth -= 1;
                if depth == 0 {
                    found.push(std::mem::take(&mut joined));
                }
            }
            _ => {}
        }
        rest = after;
    }
    let spaced = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    found.into_iter().map(spaced).collect()
}

/// A literal whose opening quote was read, without its escapes, and what stands behind it.
fn literal(source: &str) -> (String, &str) {
    let mut text = String::new();
    let mut escaped = false;
    for (at, c) in source.char_indices() {
        match c {
            _ if escaped => {
                escaped = false;
                text.push(' ');
            }
            '\\' => escaped = true,
            '"' => return (text, source.get(at + 1..).unwrap_or_default()),
            _ => text.push(c),
        }
    }
    (text, "")
}

/// Whether it is a statement on one of the tables.
fn is_statement(text: &str) -> bool {
    let verbs = ["select ", "insert into ", "update ", "delete from ", "with "];
    let touches = |table: &str| {
        ["from", "into", "update", "join", "using"].iter().any(|word| {
            let named = format!("{word} {table}");
            text.match_indices(&named).any(|(at, _)| {
                let next = text.get(at + named.len()..).and_then(|rest| rest.chars().next());
                next.is_none_or(|c| !c.is_alphanumeric() && c != '_')
            })
        })
    };
    verbs.iter().any(|verb| text.starts_with(verb)) && TABLES.iter().any(|table| touches(table))
}

/// Whether it names its conversations: by a parameter, by an array of them, or in the row that it inserts.
fn is_restricted(sql: &str) -> bool {
    let by = |column: &str| {
        let parameter = [format!("{column} = $"), format!("{column} = any($")];
        let row = TABLES
            .iter()
            .map(|table| format!("insert into {table} ({column},"));
        // An array of conversations: `unnest($1::uuid[], …) as name (conversation, …)`.
        let array = sql.split("unnest($").skip(1).any(|rest| {
            let columns = rest.split_once(" as ").and_then(|(_, name)| name.split_once('('));
            columns.is_some_and(|(_, columns)| {
                let first = columns.split([',', ')']).next().unwrap_or_default();
                first == column
            })
        });
        array || parameter.into_iter().chain(row).any(|part| sql.contains(&part))
    };
    by("conversation") || by("key")
}

#[test]
fn statements_name_their_conversations_but_for_the_listed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    statements(&root, &root, &mut found);
    assert!(found.len() > 40, "they are not found any more: {}", found.len());
    let listed = |file: &str, sql: &str| {
        EVERY_SHARD
            .iter()
            .any(|(of, part, _)| file == *of && sql.contains(part))
    };
    let everywhere = found
        .iter()
        .filter(|(file, sql)| !is_restricted(sql) && !listed(file, sql));
    assert_eq!(everywhere.collect::<Vec<_>>(), Vec::<&(String, String)>::new());
    for (of, part, why) in EVERY_SHARD {
        let them = found
            .iter()
            .filter(|(file, sql)| file == of && sql.contains(part) && !is_restricted(sql));
        assert_eq!(them.count(), 1, "{of}: {part} ({why})");
    }
}

#[test]
fn what_is_not_restricted_is_told() {
    let all = literals(
        "let a = \"select 1 from messages \\\n where sender = $1\"; // \"x\"\nconcat!(\"update \", f!(\"\"), \"messages set x = 1\")",
    );
    let wanted = [
        "select 1 from messages where sender = $1",
        "update messages set x = 1",
    ];
    assert_eq!(all, wanted);
    for sql in wanted {
        assert!(is_statement(sql) && !is_restricted(sql), "{sql}");
    }
    assert!(!is_statement("select from messages_old"));
    for sql in [
        "select 1 from messages where conversation = $1",
        "delete from mutes where conversation = any($1)",
        "insert into cursors (conversation, user_id) values ($1, $2)",
        "update messages m set x = 1 from unnest($1::uuid[], $2::bigint[]) as gone (conversation, seq) where true",
    ] {
        assert!(is_statement(sql) && is_restricted(sql), "{sql}");
    }
}
