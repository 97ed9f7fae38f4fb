//! Runs dig and kdig, and parses their output.

use std::net::SocketAddr;

use super::process::output;

/// The output of dig or kdig for one reply.
#[derive(Debug, Default)]
pub(crate) struct Dig {
    /// The RCODE's mnemonic, with its extended bits: `NOERROR`.
    pub(crate) status: String,
    /// The header's flags, in the order printed: `["qr", "aa"]`.
    pub(crate) flags: Vec<String>,
    /// The records of the answer section in order, as zone text with single spaces.
    pub(crate) answer: Vec<String>,
    /// The records of the authority section.
    pub(crate) authority: Vec<String>,
    /// The records of the additional section, without OPT.
    pub(crate) additional: Vec<String>,
    /// The lines about OPT, without their leading semicolons. Empty if the reply has no OPT.
    pub(crate) edns: Vec<String>,
    /// The whole output.
    pub(crate) text: String,
}

/// Asks with dig. The arguments are dig's, without server and port. One try of 5 s, and a fallback to TCP unless `+ignore`.
#[track_caller]
pub(crate) fn dig(server: SocketAddr, args: &[&str]) -> Dig {
    run("dig", server, &["+tries=1", "+time=5"], args)
}

/// Asks with kdig, likewise.
#[track_caller]
pub(crate) fn kdig(server: SocketAddr, args: &[&str]) -> Dig {
    run("kdig", server, &["+retry=0", "+timeout=5"], args)
}

impl Dig {
    /// Whether a flag is set in the header.
    pub(crate) fn has_flag(&self, flag: &str) -> bool {
        self.flags.iter().any(|set| set == flag)
    }

    /// The records' data (without owner, TTL, class and type), sorted.
    pub(crate) fn data(&self) -> Vec<String> {
        let data = |record: &String| record.splitn(5, ' ').nth(4).unwrap_or_default().to_owned();
        let mut data: Vec<String> = self.answer.iter().map(data).collect();
        data.sort();
        data
    }

    /// Parses the output of either program.
    fn parse(text: String) -> Dig {
        let mut dig = Dig::default();
        let mut section = None;
        for line in text.lines() {
            let comment = line.trim_start_matches([';', ' ']);
            if let Some(name) = comment.strip_suffix(':').filter(|_| line.starts_with(";;")) {
                section = name.split(' ').next();
            } else if let Some(header) = comment.strip_prefix("->>HEADER<<- ") {
                dig.status = part(header, "status: ").to_owned();
            } else if let Some(flags) = comment.strip_prefix("flags:").or(comment.strip_prefix("Flags:")) {
                dig.flags = flags.split(';').next().unwrap_or_default().split_whitespace().map(str::to_owned).collect();
            } else if line.starts_with(';') {
                if section == Some("OPT") || section == Some("EDNS") {
                    dig.edns.push(comment.to_owned());
                }
            } else if !line.is_empty() {
                let record = record(line);
                match section {
                    Some("ANSWER") => dig.answer.push(record),
                    Some("AUTHORITY") => dig.authority.push(record),
                    Some("ADDITIONAL") => dig.additional.push(record),
                    _ => {}
                }
            } else {
                section = None;
            }
        }
        // kdig shows an extended RCODE only in its EDNS section.
        if let Some(extended) = dig.edns.iter().find_map(|line| line.split_once("ext-rcode: ")) {
            dig.status = extended.1.to_owned();
        }
        dig.text = text;
        dig
    }
}

#[track_caller]
fn run(program: &str, server: SocketAddr, first: &[&str], args: &[&str]) -> Dig {
    let (at, port) = (format!("@{}", server.ip()), server.port().to_string());
    let dig = Dig::parse(output(program, [&at, "-p", &port].iter().chain(first).chain(args)));
    assert!(!dig.status.is_empty(), "{program} {args:?} got no reply:\n{}", dig.text);
    dig
}

/// A record's line with single spaces between its fields. The data is unchanged.
fn record(line: &str) -> String {
    let (mut rest, mut fields) = (line, Vec::new());
    while fields.len() < 4 {
        let Some((field, after)) = rest.split_once([' ', '\t']) else { break };
        fields.push(field);
        rest = after.trim_start();
    }
    fields.push(rest);
    fields.join(" ")
}

/// The text after `label`, up to the next `,` or `;`.
fn part<'t>(text: &'t str, label: &str) -> &'t str {
    text.split_once(label).and_then(|(_, rest)| rest.split([',', ';']).next()).unwrap_or_default()
}
