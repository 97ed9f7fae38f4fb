//! Where a command reads from: a server, or its own source.

use std::path::PathBuf;

use clap::Args;

use crate::config::{Options, ServeArgs, list_part};

/// The server that commands ask by default.
pub const DEFAULT_SERVER: &str = "http://127.0.0.1:8053";

/// The options of [`ServerArgs`]. Each conflicts with a source of the command's own.
const SERVER_ARGS: [&str; 3] = ["server", "server_token", "server_ca"];

/// A running server, its token and its certificate authorities.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Server")]
pub struct ServerArgs {
    /// The server to ask: the address of its --http
    #[arg(long, value_name = "URL", default_value = DEFAULT_SERVER)]
    pub server: String,
    /// The file of the token that the server requires (its --http-token)
    #[arg(long, value_name = "FILE")]
    pub server_token: Option<PathBuf>,
    /// The authorities of the server's certificate, in PEM, if it has --http-tls [default: the system's]
    #[arg(long, value_name = "FILE")]
    pub server_ca: Option<PathBuf>,
}

/// Where `ls` and `why` read from: a running server, or their own source.
#[derive(Clone, Debug, Default, Args)]
pub struct SourceArgs {
    #[command(flatten)]
    pub server: ServerArgs,
    /// Read these manifests instead: YAML or JSON, a folder of them, or `-` for standard input; repeats
    #[arg(long, value_name = "PATH", conflicts_with_all = SERVER_ARGS, help_heading = "Source")]
    pub manifests: Vec<PathBuf>,
    /// Read the cluster of this kubeconfig instead
    #[arg(long, value_name = "FILE", conflicts_with_all = SERVER_ARGS, help_heading = "Source")]
    pub kubeconfig: Option<PathBuf>,
    /// Read the cluster of this context of the kubeconfig instead
    #[arg(long, value_name = "NAME", conflicts_with_all = SERVER_ARGS, help_heading = "Source")]
    pub context: Option<String>,
    /// Read with these presets, as `serve --profiles` does, instead of asking a server: app, dubbo, kratos, micro, labels
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = list_part, conflicts_with_all = SERVER_ARGS, help_heading = "Source")]
    pub profiles: Vec<String>,
    /// Use the zone and profiles of this file, as `serve --config` does, and read a source instead of asking a server
    #[arg(long, value_name = "FILE", conflicts_with_all = SERVER_ARGS, help_heading = "Source")]
    pub config: Option<PathBuf>,
}

impl SourceArgs {
    /// Whether the command asks a server: no option names another source.
    pub fn asks_server(&self) -> bool {
        let Self { server: _, manifests, kubeconfig, context, profiles, config } = self;
        let names_file = kubeconfig.is_some() || context.is_some() || config.is_some();
        !names_file && manifests.is_empty() && profiles.is_empty()
    }

    /// The same source as options of `serve`. Without namespaces it is the context's namespace.
    pub fn serve_args(&self, namespaces: &[String], all_namespaces: bool) -> ServeArgs {
        let options = Options {
            manifests: self.manifests.clone(),
            kubeconfig: self.kubeconfig.clone(),
            context: self.context.clone(),
            namespace: namespaces.to_vec(),
            all_namespaces: all_namespaces.then_some(true),
            profiles: self.profiles.clone(),
            ..Options::default()
        };
        ServeArgs { config: self.config.clone(), options }
    }
}
