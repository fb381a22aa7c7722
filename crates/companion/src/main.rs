//! castmatch-companion: parses the arguments, sets up logging and signals, and hands over to the subcommand.

use std::io;
use std::process::ExitCode;

use castmatch_companion::config::{
    self, BenchmarkArgs, CheckArgs, Cli, Command, Config, LogFormat, PruneArgs, ServeArgs, Sources,
};
use castmatch_companion::error::StartError;
use castmatch_companion::prune::stop::Stop;
use castmatch_companion::{benchmark, check, logging, prune, server};
use clap::Parser;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let command = Cli::parse().command;
    let environment = |name: &str| std::env::var_os(name);
    // It explains what would end the others at once.
    if let Command::Check(args) = &command {
        return run_check(args, &environment);
    }
    let mut format = LogFormat::Text;
    let result = Sources::open(command.common().config.as_deref(), &environment).and_then(|sources| {
        let (level, configured) = config::logging(&sources, command.common())?;
        format = configured;
        logging::start(level, format);
        match &command {
            Command::Serve(args) => serve(args, &sources),
            Command::Prune(args) => run_prune(args, &sources),
            Command::Benchmark(args) => run_benchmark(args, &sources),
            Command::Check(_) => Ok(ExitCode::SUCCESS),
        }
    });
    match (result, format) {
        (Ok(code), _) => code,
        (Err(error), LogFormat::Json) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
        (Err(error), LogFormat::Text) => fail(&error.to_string()),
    }
}

fn fail(message: &str) -> ExitCode {
    eprintln!("castmatch-companion: {message}");
    ExitCode::FAILURE
}

fn block_on<T>(work: impl Future<Output = T>) -> Result<T, StartError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(StartError::Runtime)?;
    let result = runtime.block_on(work);
    // A name look-up without an answer holds a blocking thread; dropping the runtime would wait for it.
    runtime.shutdown_background();
    Ok(result)
}

fn serve(args: &ServeArgs, sources: &Sources) -> Result<ExitCode, StartError> {
    let config = Config::load(args, sources)?;
    block_on(listen_and_run(config))??;
    Ok(ExitCode::SUCCESS)
}

async fn listen_and_run(config: Config) -> Result<(), StartError> {
    // Before the socket: a SIGTERM that arrives while we bind must already be a clean stop.
    let shutdown = shutdown_signal().map_err(StartError::Runtime)?;
    let listen = config.listen;
    let bind_error = |source| StartError::Bind {
        address: listen,
        source,
    };
    let listener = TcpListener::bind(listen).await.map_err(bind_error)?;
    let address = listener.local_addr().map_err(bind_error)?;
    if !address.ip().is_loopback() {
        tracing::warn!(
            "{address} is reachable from other machines, and all but the HTTP front asks for no password"
        );
    }
    tracing::info!("listening on {address}");
    server::run(listener, config, shutdown).await
}

fn run_prune(args: &PruneArgs, sources: &Sources) -> Result<ExitCode, StartError> {
    let settings = config::prune_only(args, sources)?;
    let went_well = block_on(async {
        let stop = Stop::on(shutdown_signal().map_err(StartError::Runtime)?);
        Ok::<_, StartError>(prune::command::run(settings, args.once, args.dry_run, args.json, stop).await)
    })??;
    Ok(if went_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn run_check(args: &CheckArgs, environment: &dyn Fn(&str) -> Option<std::ffi::OsString>) -> ExitCode {
    match block_on(check::run(args, environment)) {
        Ok(report) => {
            report.print(args.json);
            ExitCode::from(report.exit_code())
        }
        Err(error) => fail(&error.to_string()),
    }
}

fn run_benchmark(args: &BenchmarkArgs, sources: &Sources) -> Result<ExitCode, StartError> {
    let (database, connect_timeout) = config::database(sources, &args.common)?;
    let failure = block_on(async {
        let interrupted = shutdown_signal().map_err(StartError::Runtime)?;
        Ok::<_, StartError>(tokio::select! {
            result = benchmark::run(&database, connect_timeout, args) => result.err().map(|error| error.to_string()),
            () = interrupted => Some("interrupted".to_owned()),
        })
    })??;
    Ok(match failure {
        None => ExitCode::SUCCESS,
        Some(message) => fail(&message),
    })
}

/// Installs the handlers at once; the future completes on the first SIGTERM or SIGINT.
fn shutdown_signal() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM received, stopping"),
            _ = interrupt.recv() => tracing::info!("SIGINT received, stopping"),
        }
    })
}
