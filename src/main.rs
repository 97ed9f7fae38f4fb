//! Parses the command line, runs the command and sets the exit code: 0 for success, 1 for findings, 2 for an error.
//! `register` with a child process exits with the child's code.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use callsign::cli::{Cli, Command};
use callsign::commands::{self, CommandOutput};
use callsign::config::{Environment, ServeConfig};
use callsign::escape::Escaped;
use clap::Parser;

/// When jemalloc returns memory to the system is set at build time, in .cargo/config.toml.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// How long the process waits for the threads that read or write files. A pipe or a disk may block one for ever.
const FILES_WAIT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    // All TLS connections of the process use this provider. It is installed only here, so this cannot fail.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let command = Cli::parse().command;
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    let code = runtime.block_on(exit_code(command));
    runtime.shutdown_timeout(FILES_WAIT);
    code
}

async fn exit_code(command: Command) -> ExitCode {
    match run(command).await {
        Ok(code) => ExitCode::from(code),
        Err(error) => fail(&error),
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    let _ = writeln!(io::stderr(), "callsign: {}", Escaped(&with_causes(error))); // if this fails, the exit code still shows the error
    ExitCode::from(2)
}

async fn run(command: Command) -> anyhow::Result<u8> {
    let environment = Environment::of_process()?;
    let output = match command {
        Command::Serve(args) => {
            callsign::app::serve(ServeConfig::load(*args, &environment)?.with_source()?).await?;
            CommandOutput::default()
        }
        Command::Ls(args) => commands::ls(&args, &environment).await?,
        Command::Why(args) => commands::why(&args, &environment).await?,
        Command::Watch(args) => commands::watch(args, &mut io::stdout(), &mut io::stderr()).await?,
        Command::Decode(args) => commands::decode(&args, &mut io::stdin().lock())?,
        Command::Encode(args) => commands::encode(&args, &mut io::stdin().lock())?,
        Command::Check(args) => commands::check(args, &environment).await?,
        Command::Register(args) => return Ok(commands::register(*args, &environment).await?),
        Command::Withdraw(args) => commands::withdraw(args, &environment).await?,
    };
    Ok(u8::from(output.print()?))
}

/// An error and its causes on one line. Omits a cause that the text before already ends with.
fn with_causes(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.ends_with(&cause) {
            text += ": ";
            text += &cause;
        }
    }
    text
}
