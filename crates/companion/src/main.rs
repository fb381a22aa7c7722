//! castmatch-companion: parses the arguments, sets up logging and signals, and hands over to
//! [`castmatch_companion::server::run`].

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;

use castmatch_companion::config::{Cli, Command, Config, ServeArgs};
use castmatch_companion::error::StartError;
use castmatch_companion::server;
use clap::Parser;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

fn main() -> ExitCode {
    let Command::Serve(args) = Cli::parse().command;
    start_logging(args.log_level.into());
    match serve(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("castmatch-companion: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(args: ServeArgs) -> Result<(), StartError> {
    let listen = args.listen;
    let config = Config::load(args, |name| std::env::var_os(name))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(StartError::Runtime)?;
    let result = runtime.block_on(listen_and_run(listen, config));
    // A name look-up without an answer holds a blocking thread; dropping the runtime would wait for it.
    runtime.shutdown_background();
    result
}

async fn listen_and_run(listen: SocketAddr, config: Config) -> Result<(), StartError> {
    // Before the socket: a SIGTERM that arrives while we bind must already be a clean stop.
    let shutdown = shutdown_signal().map_err(StartError::Runtime)?;
    let bind_error = |source| StartError::Bind {
        address: listen,
        source,
    };
    let listener = TcpListener::bind(listen).await.map_err(bind_error)?;
    let address = listener.local_addr().map_err(bind_error)?;
    if !address.ip().is_loopback() {
        tracing::warn!("{address} is reachable from other machines, and these endpoints ask for no password");
    }
    tracing::info!("listening on {address}");
    server::run(listener, config, shutdown).await
}

/// Installs the handlers at once; the future completes on the first SIGTERM or SIGINT.
fn shutdown_signal() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM received, stopping"),
            _ = interrupt.recv() => tracing::info!("SIGINT received, stopping"),
        }
    })
}

/// Logs to standard error. sqlx is silenced: it logs unknown parameters of the database URL with their
/// values, and a misspelt `password=` is one.
fn start_logging(level: LevelFilter) {
    let targets = Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("castmatch_companion", level)
        .with_target("sqlx", LevelFilter::OFF);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(false)
        .with_target(false);
    tracing_subscriber::registry().with(lines).with(targets).init();
}
