//! `callsign register` and `callsign withdraw`: a server registers in its own Pod, and withdraws.

use std::time::Duration;

use super::{CommandError, Outcome};
use crate::cli::{OwnPodArgs, RegisterArgs, WithdrawArgs};
use crate::config::{Environment, own_pod};
use crate::logging;
use crate::register::wrapper::{Wrapper, WrapperError};
use crate::register::{Keeper, Offer, Probe, Profile, RegisterError, Registrar, init, offer, sidecar};
use crate::source::kube::client;

/// Registers, in the shape that was asked for: the exit code.
///
/// # Errors
/// What keeps it from starting; with `--once` also what keeps it from registering and does not pass.
pub async fn register(args: RegisterArgs, environment: &Environment) -> Result<u8, CommandError> {
    if init::is_first() {
        return init::run(std::env::args_os().skip(1)).await.map_err(CommandError::System);
    }
    logging::init(args.logging.log_format, &args.logging.log_level)?;
    let offers = offers(&args)?;
    let probe = probe(&args, &offers, environment)?;
    let name = container(&args, &offers);
    offers.iter().try_for_each(|offer| offer.check(args.profile, &name))?;
    let registrar = registrar(&args.pod, args.profile, &name, environment).await?;
    let keeper = Keeper::start(registrar);
    if args.once {
        keeper.want(&offers);
        keeper.done_or_hopeless().await?;
        return Ok(0);
    }
    let mut command = args.command.into_iter();
    let Some(program) = command.next() else {
        sidecar::run(&probe, &keeper, &offers).await.map_err(CommandError::System)?;
        return Ok(0);
    };
    let drain = Duration::from_secs(args.drain);
    let wrapper = Wrapper { program, args: command.collect(), offers, probe, drain };
    match wrapper.run(&keeper).await {
        Ok(code) => Ok(code),
        Err(WrapperError::System(error)) => Err(CommandError::System(error)),
        Err(error @ WrapperError::Start { .. }) => {
            tracing::error!("{error}");
            Ok(error.code())
        }
    }
}

/// Withdraws once.
///
/// # Errors
/// What keeps it from being withdrawn and does not pass.
pub async fn withdraw(args: WithdrawArgs, environment: &Environment) -> Result<Outcome, CommandError> {
    logging::init(args.logging.log_format, &args.logging.log_level)?;
    let registrar = registrar(&args.pod, args.profile, &args.container, environment).await?;
    let keeper = Keeper::start(registrar);
    keeper.want(&[]);
    keeper.done_or_hopeless().await?;
    Ok(Outcome::default())
}

/// What the flags and the file offer.
fn offers(args: &RegisterArgs) -> Result<Vec<Offer>, CommandError> {
    let mut offers: Vec<Offer> =
        args.interface.iter().map(|interface| args.fields.offer(interface, &args.port)).collect();
    if let Some(path) = &args.from {
        offers.extend(offer::read(path)?);
    }
    Ok(offers)
}

/// The name that the container's entries carry.
fn container(args: &RegisterArgs, offers: &[Offer]) -> String {
    let first_port = || offers.iter().find_map(|offer| offer.port.first()).map(u16::to_string).unwrap_or_default();
    args.container.clone().unwrap_or_else(first_port)
}

fn probe(args: &RegisterArgs, offers: &[Offer], environment: &Environment) -> Result<Probe, CommandError> {
    Ok(match (&args.ready_http, &args.ready_exec, args.no_wait) {
        (Some(url), ..) => Probe::Http(url.clone()),
        (_, Some(command), _) => Probe::Exec(command.clone()),
        (.., true) => Probe::None,
        _ => Probe::of_ports(offers, &environment.pod_ips()?),
    })
}

async fn registrar(
    args: &OwnPodArgs,
    profile: Profile,
    container: &str,
    environment: &Environment,
) -> Result<Registrar, CommandError> {
    let OwnPodArgs { namespace, pod, kubeconfig, context } = args;
    let is_named = kubeconfig.is_some() || context.is_some();
    let reach = client(kubeconfig.as_deref(), context.as_deref()).await;
    let of_context = reach.as_ref().ok().filter(|_| is_named).map(|(_, namespace)| namespace.clone());
    let pod = own_pod(namespace.as_deref(), pod.as_deref(), of_context.as_deref(), environment)?;
    let (client, _) = reach?;
    Ok(Registrar::new(client, pod, profile, container.into()))
}

impl From<RegisterError> for CommandError {
    fn from(error: RegisterError) -> CommandError {
        CommandError::Register(Box::new(error))
    }
}
