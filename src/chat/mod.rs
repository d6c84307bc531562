//! `natterjack chat`: a line-oriented terminal client.
//!
//! On a terminal, lines are edited and incoming messages never tear them; with anything else as
//! standard input it reads and prints plain lines, so that it can be scripted. It keeps its device,
//! refresh token and cursors in a file, so that a second start goes on where the first one ended.

mod act;
mod board;
mod command;
mod devices;
mod input;
mod login;
mod names;
mod presence;
mod quiet;
mod screen;
mod session;
mod show;
mod state;
mod text;

use std::{io::IsTerminal as _, path::PathBuf};

use anyhow::Context as _;
use natterjack_client::{Api, Client};

use input::Input;
use screen::Screen;
use session::Session;
use state::State;

/// Options of the terminal client.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The handle of your account
    #[arg(long = "as", value_name = "HANDLE", env = "NATTERJACK_AS")]
    handle: String,
    /// The account's password; asked for on a terminal if it is not given
    #[arg(long, env = "NATTERJACK_PASSWORD", hide_env_values = true)]
    password: Option<String>,
    /// The server; several, separated by commas, are tried in turn
    #[arg(
        long,
        env = "NATTERJACK_SERVER",
        default_value = "http://127.0.0.1:8080",
        value_delimiter = ','
    )]
    server: Vec<String>,
    /// Where you are, in the words of the server's operator: edges there are preferred
    #[arg(long, env = "NATTERJACK_REGION")]
    region: Option<String>,
    /// Make the account if it does not exist
    #[arg(long)]
    create: bool,
    /// Where device, refresh token and cursors are kept; two terminals of one account need two
    #[arg(long, env = "NATTERJACK_STATE_DIR", value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

/// Chats until the person leaves.
///
/// # Errors
/// If there is no server, no such account, or the server ends the session; in words that say what
/// to do.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let first = args.server.first().context("name a server with --server")?;
    let dir = args.state_dir.clone().map_or_else(state::default_dir, Ok)?;
    let state = State::open(&dir, first, &args.handle)?;
    let api = Api::of_servers(&args.server)?;
    let account = login::log_in(&args, &api, &state, terminal).await?;

    let mut config = account.config();
    config.client = concat!("natterjack chat ", env!("CARGO_PKG_VERSION")).to_owned();
    config.resume = state.cursors();
    config.region.clone_from(&args.region);
    let (client, events) = Client::connect(config)?;
    let (input, screen) = if terminal {
        let (input, printer) = Input::terminal()?;
        (input, Screen::terminal(printer))
    } else {
        (Input::plain()?, Screen::plain())
    };
    Session::new(&account, client, screen, state)
        .run(events, input)
        .await
}
