//! `callsign register` and `callsign withdraw`.

use std::time::Duration;

use super::{CommandError, CommandOutput, offers_file};
use crate::backoff::Backoff;
use crate::cli::{OwnPodArgs, RegisterArgs, WithdrawArgs};
use crate::cluster::client;
use crate::config::Environment;
use crate::logging;
use crate::register::signals::EndSignals;
use crate::register::wrapper::{Wrapper, WrapperError};
use crate::register::{
    Keeper, Offer, Owner, OwnerKind, Probe, Profile, RegisterError, Registrar, WantedEntries, init, own_pod, sidecar,
};

/// Registers as a wrapper, a sidecar or once. Returns the exit code.
///
/// # Errors
/// It could not start. With `--once` also: the write failed for a reason that retries cannot mend.
pub async fn register(args: RegisterArgs, environment: &Environment) -> Result<u8, CommandError> {
    let ends = EndSignals::of(&args.command, args.stop_signal);
    if init::is_first() {
        return init::run(std::env::args_os(), &ends).await.map_err(CommandError::System);
    }
    logging::init(args.logging.log_format, &args.logging.log_level)?;
    let (registrar, offers) = prepared(&args, environment).await?;
    let probe = probe(&args, &offers, environment)?;
    let keeper = Keeper::start(registrar);
    if args.once {
        keeper.request(WantedEntries::Offers(offers.into()));
        keeper.written_or_failed().await?;
        return Ok(0);
    }
    let mut command = args.command.into_iter();
    let Some(program) = command.next() else {
        sidecar::run(&probe, &keeper, &offers, &ends).await.map_err(CommandError::System)?;
        return Ok(0);
    };
    let drain = Duration::from_secs(args.drain);
    let wrapper = Wrapper { program, args: command.collect(), offers, probe, drain, ends };
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
/// The write failed for a reason that retries cannot mend.
pub async fn withdraw(args: WithdrawArgs, environment: &Environment) -> Result<CommandOutput, CommandError> {
    logging::init(args.logging.log_format, &args.logging.log_level)?;
    let owner = Owner { name: args.container.into(), kind: OwnerKind::Once { is_named: true } };
    let registrar = registrar(&args.pod, args.profile, owner, environment).await?;
    let keeper = Keeper::start(registrar);
    keeper.request(WantedEntries::Nothing);
    keeper.written_or_failed().await?;
    Ok(CommandOutput::default())
}

/// The registrar, and the offers with what the Pod's annotations say of them.
async fn prepared(args: &RegisterArgs, environment: &Environment) -> Result<(Registrar, Vec<Offer>), CommandError> {
    let offers = offers(args)?;
    let is_open = offers.iter().any(Offer::is_open);
    let check = |offers: &[Offer], owner: &Owner| offers.iter().try_for_each(|offer| offer.check(args.profile, owner));
    let owned = owner(args, &offers);
    if !is_open {
        check(&offers, &owned)?;
    }
    let mut registrar = registrar(&args.pod, args.profile, owned, environment).await?;
    if registrar.is_doubtful() {
        refuse_another_pod(&mut registrar).await?;
    }
    if is_open {
        let offers = completed(&mut registrar, &offers).await?;
        let owned = owner(args, &offers);
        check(&offers, &owned)?;
        return Ok((registrar.owned_by(owned), offers));
    }
    // What a file says is all that it registers.
    let registrar = if args.from.is_some() { registrar } else { registrar.completing() };
    Ok((registrar, offers))
}

/// The offers with what the Pod's annotations say of them. Waits while the API server is away: without the annotations
/// nobody knows what to register.
async fn completed(registrar: &mut Registrar, offers: &[Offer]) -> Result<Vec<Offer>, RegisterError> {
    let mut backoff = Backoff::default();
    let mut told = String::new();
    loop {
        match registrar.complete(offers).await {
            Err(error) if error.is_passing() => {
                let text = error.to_string();
                if text != told {
                    tracing::warn!(pod = %registrar.pod(), "reading the Pod's annotations, before the server starts: {text}");
                }
                told = text;
                tokio::time::sleep(backoff.wait(error.retry_after())).await;
            }
            completed => return completed,
        }
    }
}

/// The offers of the flags and of the file. Without a file, the flags may leave interface and port to the Pod's
/// annotations.
fn offers(args: &RegisterArgs) -> Result<Vec<Offer>, CommandError> {
    let open = [String::new()];
    let interfaces = match (args.interface.as_slice(), &args.from) {
        ([], Some(_)) if args.fields.is_given() || !args.port.is_empty() => {
            let text = "the flags of a registration need --interface, because --from says all of its own: give --interface and --port, or write them into the file";
            return Err(CommandError::Usage(text.into()));
        }
        ([_, ..], Some(_)) if args.port.is_empty() => {
            return Err(CommandError::Usage("beside --from, --interface needs --port".into()));
        }
        ([], None) => &open[..],
        (interfaces, _) => interfaces,
    };
    let mut offers: Vec<Offer> = interfaces.iter().map(|interface| args.fields.offer(interface, &args.port)).collect();
    if let Some(path) = &args.from {
        offers.extend(offers_file::read(path)?);
    }
    Ok(offers)
}

/// The owner of the entries.
fn owner(args: &RegisterArgs, offers: &[Offer]) -> Owner {
    let first_port = || offers.iter().find_map(|offer| offer.port.first()).map(u16::to_string).unwrap_or_default();
    let name = args.container.clone().unwrap_or_else(first_port).into();
    let kind = match (args.once, args.command.is_empty()) {
        (true, _) => OwnerKind::Once { is_named: args.container.is_some() },
        (false, true) => OwnerKind::Sidecar,
        (false, false) => OwnerKind::Wrapper,
    };
    Owner { name, kind }
}

/// Refuses to start if the Pod that HOSTNAME or a flag names is another one: a server that runs and is never
/// registered would be noticed late. If the API server does not answer now, the keeper checks again later.
async fn refuse_another_pod(registrar: &mut Registrar) -> Result<(), RegisterError> {
    match registrar.check_pod().await {
        Err(error) if error.is_of_another_pod() => Err(error),
        _ => Ok(()),
    }
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
    owner: Owner,
    environment: &Environment,
) -> Result<Registrar, CommandError> {
    let OwnPodArgs { namespace, pod, kubeconfig, context } = args;
    let is_named = kubeconfig.is_some() || context.is_some();
    let reach = client(kubeconfig.as_deref(), context.as_deref()).await;
    let of_context = reach.as_ref().ok().filter(|_| is_named).map(|(_, namespace)| namespace.clone());
    let pod = own_pod(namespace.as_deref(), pod.as_deref(), of_context.as_deref(), &environment.pod_variables())?;
    let (client, _) = reach?;
    Ok(Registrar::new(client, pod, profile, owner))
}

impl From<RegisterError> for CommandError {
    fn from(error: RegisterError) -> CommandError {
        CommandError::Register(Box::new(error))
    }
}
