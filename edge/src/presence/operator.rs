//! What an operator asks of this edge: `svc.edge.drain.<edge>` and `svc.edge.undrain.<edge>`, and of its
//! process like of any other.

use std::sync::Arc;

use natterjack_nats::{
    services::{
        edge::{Drain, Drained, Undrain},
        names,
    },
    subjects::svc,
    wire::WireError,
};
use natterjack_service::{Host, process::Process};

use super::drain::Standing;
use crate::app::App;

/// Answers until the edge stops.
///
/// # Errors
/// NATS is away.
pub(crate) async fn serve(app: &Arc<App>) -> anyhow::Result<()> {
    let host = Host::new(app.nats.service.clone(), &app.tasks, &app.registry);
    let service = host
        .service(names::EDGE, "What an operator asks of one edge")
        .await?;
    let (drain, undrain) = (svc::of_edge::<Drain>(app.edge), svc::of_edge::<Undrain>(app.edge));
    service
        .verb_on(drain, app, |app: Arc<App>, Drain {}| {
            app.stand(Standing::Draining)
        })
        .await?;
    service
        .verb_on(undrain, app, |app: Arc<App>, Undrain {}| {
            app.stand(Standing::Serving)
        })
        .await?;
    let process = Process::new("edge", Some(app.edge.into()), app.clock.clone());
    process.serve(&host, &app.tasks).await
}

impl App {
    /// Asks for it, and answers once sockets were told. Asked again, it tells how far it has come.
    async fn stand(self: Arc<Self>, standing: Standing) -> Result<Drained, WireError> {
        self.drain.ask(standing);
        self.drain.settled().await;
        Ok(Drained {
            draining: self.drain.told() != Standing::Serving,
            connections: self.connections(),
        })
    }

    /// Connections that are open, WebSockets and others.
    #[must_use]
    pub fn connections(&self) -> u32 {
        let free = u32::try_from(self.slots.available_permits()).unwrap_or(u32::MAX);
        self.args.socket.connections_max.saturating_sub(free)
    }
}
