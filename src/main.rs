//! The program: parse, run, exit code.

use callsign::cli::{Cli, Command};
use callsign::config::{Config, Environment};
use clap::Parser;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    match Cli::parse().command {
        Command::Serve(args) => {
            let config = Config::load(*args, &Environment::of_process()?)?.with_source()?;
            callsign::app::serve(config).await
        }
        other => anyhow::bail!("not built yet: {other:?}"),
    }
}
