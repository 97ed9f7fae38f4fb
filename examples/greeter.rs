//! A server that registers itself: it greets each line, and at SIGTERM withdraws, drains, and only then ends.
//!
//! In a Pod with the Downward API's variables it needs no flag. Outside of a Pod, lend it one of yours:
//!
//! ```console
//! $ cargo run --example greeter -- --kubeconfig ~/.kube/config --namespace default --pod some-pod --port 50051
//! ```

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use callsign::registry::{Config, Registration, Registry};
use clap::Parser;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

/// The longest name, in bytes.
const LINE_LEN_MAX: u64 = 256;

#[derive(Parser)]
struct Args {
    /// Where to listen
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED))]
    listen: IpAddr,
    #[arg(long, default_value_t = 50051)]
    port: u16,
    /// Its share of the calls, relative to the other servers'
    #[arg(long, default_value_t = 100)]
    weight: u16,
    /// How long it serves callers that still have its address, in seconds
    #[arg(long, default_value_t = 8)]
    drain: u64,
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    #[arg(long)]
    namespace: Option<String>,
    #[arg(long)]
    pod: Option<String>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let Args { listen, port, weight, drain, kubeconfig, namespace, pod } = Args::parse();
    let mut terminate = signal(SignalKind::terminate())?;

    // First the port, then the registration, so that a caller that learns of it can call it.
    let name: Arc<str> = pod.as_deref().unwrap_or("a greeter").into();
    tokio::spawn(serve(TcpListener::bind((listen, port)).await?, name));
    let mut config = Config::default();
    config.kubeconfig = kubeconfig;
    config.namespace = namespace;
    config.pod = pod;
    let registry = Registry::connect(config).await?;
    let mut greeter = Registration::new("org.acme.Greeter", port);
    greeter.protocol = Some("line".into());
    greeter.weight = Some(weight);
    let guard = registry.register(greeter).await?;
    guard.registered().await?;
    println!("registered");

    terminate.recv().await;
    if let Err(error) = guard.withdraw().await {
        eprintln!("not withdrawn: {error}"); // the Pod's end withdraws it
    }
    println!("withdrawn");
    sleep(Duration::from_secs(drain)).await;
    registry.shutdown().await?;
    println!("ended");
    Ok(())
}

async fn serve(listener: TcpListener, name: Arc<str>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        let name = name.clone();
        tokio::spawn(async move { greet(stream, &name).await });
    }
}

/// Greets the name in the line that a connection sends.
async fn greet(mut stream: TcpStream, name: &str) -> std::io::Result<()> {
    let (reader, mut writer) = stream.split();
    let mut line = String::new();
    let mut reader = tokio::io::AsyncReadExt::take(BufReader::new(reader), LINE_LEN_MAX);
    reader.read_line(&mut line).await?;
    writer.write_all(format!("Hello {}, this is {name}.\n", line.trim_end()).as_bytes()).await
}
