//! DNS cookies (RFC 7873) in the interoperable format (RFC 9018), so that replicas can share a secret.
//!
//! ```text
//! client cookie 8 | version 1 | reserved 3 | time 4 | SipHash-2-4(all before, client's address) 8
//! ```

use std::fs;
use std::hash::Hasher;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use rustls::crypto::ring;
use siphasher::sip::SipHasher24;
use smallvec::SmallVec;

use crate::poll::{self, Fingerprint};
use crate::wire::{CLIENT_COOKIE_LEN, SERVER_COOKIE_LEN};

/// The only version (RFC 9018 §4.1).
const VERSION: [u8; 4] = [1, 0, 0, 0];

/// The oldest valid cookie, and the furthest ahead of our clock (RFC 9018 §4.3).
const AGE_MAX: Duration = Duration::from_secs(3600);
const AHEAD_MAX: Duration = Duration::from_secs(300);

/// The age from which the server replaces a valid cookie (RFC 9018 §4.3).
const RENEWED_FROM: Duration = Duration::from_secs(1800);

/// The most secrets: the one in use, the next one, and some old ones.
const SECRETS_MAX: usize = 8;

/// The longest file of secrets in bytes.
const FILE_LEN_MAX: u64 = 4096;

/// A secret (RFC 9018 §4.4).
type Secret = [u8; 16];

/// The secrets, and their file.
#[derive(Debug)]
pub struct Cookies {
    secrets: ArcSwap<Secrets>,
    file: Option<PathBuf>,
    seen: Fingerprint,
}

/// The first secret makes cookies. Each secret verifies the cookies that it made.
struct Secrets(SmallVec<[Secret; 2]>);

/// Shows the number of secrets and no secret.
impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} secrets", self.0.len())
    }
}

/// Why there are no secrets. No error shows the file's contents.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A line is malformed, or the file has too many secrets or none.
    #[error(
        "{}, line {line}: it must hold 1 to {SECRETS_MAX} secrets of 32 hexadecimal digits, one a line, the one in use \
         first; make one with: od -An -N16 -tx1 /dev/urandom | tr -d ' \\n'",
        path.display()
    )]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    NoRandomness,
}

/// The result of checking a client's cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CookieCheck {
    /// Whether this server or a replica made the cookie, for this address, and it has not expired. Then the client's source
    /// address is not forged.
    pub is_valid: bool,
    /// The cookie for the reply, the client's part first.
    pub cookie: [u8; CLIENT_COOKIE_LEN + SERVER_COOKIE_LEN],
}

impl Cookies {
    /// Reads the secrets of a file, or makes a random one.
    ///
    /// # Errors
    /// The file is unreadable or malformed, or the system gives no random numbers.
    pub fn new(file: Option<PathBuf>) -> Result<Cookies, SecretError> {
        let seen = Fingerprint::of(file.as_slice()); // before the read, so that `reload_on_change` sees a change during it
        let secrets = match &file {
            Some(file) => read(file)?,
            None => {
                let mut secret = Secret::default();
                let filled = ring::default_provider().secure_random.fill(&mut secret);
                filled.map_err(|_| SecretError::NoRandomness)?;
                Secrets(SmallVec::from_iter([secret]))
            }
        };
        Ok(Cookies { secrets: ArcSwap::from_pointee(secrets), file, seen })
    }

    /// Reads the file again each time it changes, until the process ends. A bad file leaves the old secrets in use.
    pub async fn reload_on_change(self: Arc<Self>) {
        let Some(file) = &self.file else { return };
        let mut seen = self.seen.clone();
        loop {
            poll::changed(std::slice::from_ref(file), &mut seen).await;
            match read(file) {
                Ok(secrets) => {
                    tracing::info!(file = %file.display(), "new cookie secrets are in use: {secrets:?}");
                    self.secrets.store(Arc::new(secrets));
                }
                Err(error) => tracing::error!("the cookie secrets have changed, and the old ones stay: {error}"),
            }
        }
    }

    /// Checks a client's cookie, now.
    pub fn check(
        &self,
        client: [u8; CLIENT_COOKIE_LEN],
        server: Option<[u8; SERVER_COOKIE_LEN]>,
        address: IpAddr,
    ) -> CookieCheck {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as u32; // wraps in 2106
        self.secrets.load().check_at(client, server, address, now)
    }
}

impl Secrets {
    fn check_at(
        &self,
        client: [u8; CLIENT_COOKIE_LEN],
        server: Option<[u8; SERVER_COOKIE_LEN]>,
        address: IpAddr,
        now: u32,
    ) -> CookieCheck {
        let made_at = server.map(|server| u32::from_be_bytes([server[4], server[5], server[6], server[7]]));
        // Serial number arithmetic (RFC 1982) still works when the clock wraps, and after 2038.
        let age = made_at.map(|made_at| i64::from(now.wrapping_sub(made_at) as i32));
        let is_current =
            age.is_some_and(|age| (-(AHEAD_MAX.as_secs() as i64)..=AGE_MAX.as_secs() as i64).contains(&age));
        let is_ours = |server: &[u8; SERVER_COOKIE_LEN]| {
            let made_at = made_at.unwrap_or_default();
            self.0.iter().any(|secret| is_same(&make(secret, client, address, made_at), server))
        };
        let valid = server.filter(|server| is_current && is_ours(server));
        let is_young = age.is_some_and(|age| age < RENEWED_FROM.as_secs() as i64);
        let is_of_first = |server: &[u8; SERVER_COOKIE_LEN]| {
            self.0.first().is_some_and(|secret| make(secret, client, address, made_at.unwrap_or_default()) == *server)
        };
        let fresh = || self.0.first().map(|secret| make(secret, client, address, now)).unwrap_or_default();
        let given = valid.filter(|server| is_young && is_of_first(server)).unwrap_or_else(fresh);
        let mut cookie = [0; CLIENT_COOKIE_LEN + SERVER_COOKIE_LEN];
        cookie[..CLIENT_COOKIE_LEN].copy_from_slice(&client);
        cookie[CLIENT_COOKIE_LEN..].copy_from_slice(&given);
        CookieCheck { is_valid: valid.is_some(), cookie }
    }
}

/// The server's part of a cookie.
fn make(secret: &Secret, client: [u8; CLIENT_COOKIE_LEN], address: IpAddr, made_at: u32) -> [u8; SERVER_COOKIE_LEN] {
    let mut hasher = SipHasher24::new_with_key(secret);
    let time = made_at.to_be_bytes();
    hasher.write(&client);
    hasher.write(&VERSION);
    hasher.write(&time);
    match address {
        IpAddr::V4(address) => hasher.write(&address.octets()),
        IpAddr::V6(address) => hasher.write(&address.octets()),
    }
    let mut cookie = [0; SERVER_COOKIE_LEN];
    cookie[..4].copy_from_slice(&VERSION);
    cookie[4..8].copy_from_slice(&time);
    cookie[8..].copy_from_slice(&hasher.finish().to_le_bytes());
    cookie
}

/// Whether two cookies are equal. It takes constant time, so that the time does not reveal how many bytes are equal.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |differ, (one, other)| differ | (one ^ other)) == 0
}

fn read(path: &Path) -> Result<Secrets, SecretError> {
    let unreadable = |source| SecretError::Unreadable { path: path.into(), source };
    let malformed = |line| SecretError::Malformed { path: path.into(), line };
    if fs::metadata(path).map_err(unreadable)?.len() > FILE_LEN_MAX {
        return Err(malformed(1));
    }
    let text = fs::read_to_string(path).map_err(unreadable)?;
    let mut secrets = SmallVec::new();
    for (at, line) in text.lines().enumerate().map(|(at, line)| (at + 1, line.trim())) {
        if line.is_empty() {
            continue;
        }
        let is_hex = line.len() == 32 && line.bytes().all(|byte| byte.is_ascii_hexdigit());
        let secret = u128::from_str_radix(line, 16).ok().filter(|_| is_hex && secrets.len() < SECRETS_MAX);
        secrets.push(secret.ok_or_else(|| malformed(at))?.to_be_bytes());
    }
    if secrets.is_empty() { Err(malformed(1)) } else { Ok(Secrets(secrets)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex<const N: usize>(text: &str) -> [u8; N] {
        let bytes: Vec<u8> = (0..N).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect();
        bytes.try_into().unwrap()
    }

    const CLIENT: &str = "2464c4abcf10c957";
    const SECRET: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";
    const MADE_AT: u32 = 1_559_731_985;

    fn secrets(texts: &[&str]) -> Secrets {
        Secrets(texts.iter().map(|text| hex(text)).collect())
    }

    /// RFC 9018, appendix A.1.
    #[test]
    fn the_rfcs_first_example() {
        let checked = secrets(&[SECRET]).check_at(hex(CLIENT), None, "198.51.100.100".parse().unwrap(), MADE_AT);
        assert_eq!(checked.cookie, hex::<24>("2464c4abcf10c957010000005cf79f111f8130c3eee29480"));
        assert!(!checked.is_valid);
    }

    #[test]
    fn a_client_is_known_by_a_valid_cookie_only() {
        let old = "00112233445566778899aabbccddeeff";
        let address: IpAddr = "198.51.100.100".parse().unwrap();
        let given = secrets(&[SECRET]).check_at(hex(CLIENT), None, address, MADE_AT).cookie;
        let server: [u8; SERVER_COOKIE_LEN] = given[8..].try_into().unwrap();
        let check = |keys: &[&str], address: &str, now: u32| {
            let checked = secrets(keys).check_at(hex(CLIENT), Some(server), address.parse().unwrap(), now);
            (checked.is_valid, checked.cookie == given)
        };
        let here = "198.51.100.100";
        for (what, keys, at, age, expected) in [
            ("at once", &[SECRET][..], here, 0, (true, true)),
            ("after half an hour a new one", &[SECRET], here, 1801, (true, false)),
            ("after an hour", &[SECRET], here, 3601, (false, false)),
            ("of a clock that is ahead a little", &[SECRET], here, -299, (true, true)),
            ("of one that is ahead far", &[SECRET], here, -301, (false, false)),
            ("half of all time away", &[SECRET], here, i64::from(i32::MAX), (false, false)),
            ("from elsewhere", &[SECRET], "198.51.100.101", 0, (false, false)),
            ("of the secret before", &[old, SECRET], here, 0, (true, false)),
            ("of a secret that is gone", &[old], here, 0, (false, false)),
        ] {
            assert_eq!(check(keys, at, (i64::from(MADE_AT) + age) as u32), expected, "{what}");
        }
    }

    #[test]
    fn the_clock_may_wrap() {
        let secrets = secrets(&[SECRET]);
        let address: IpAddr = "fd00::1".parse().unwrap();
        let given = secrets.check_at(hex(CLIENT), None, address, u32::MAX - 5).cookie;
        let server = given[8..].try_into().ok();
        assert!(secrets.check_at(hex(CLIENT), server, address, 10).is_valid);
    }

    #[test]
    fn secrets_are_read_strictly_and_not_shown() {
        let folder = std::env::temp_dir().join(format!("callsign-cookies-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("secrets");
        for (text, expected) in [
            (format!("{SECRET}\n"), Ok("1 secrets")),
            (format!("\n{SECRET}\n{SECRET}"), Ok("2 secrets")),
            (String::new(), Err(1)),
            (format!("{SECRET}\n{}", &SECRET[1..]), Err(2)),
            (format!("{}x\n", &SECRET[1..]), Err(1)),
            (format!("{SECRET}\n").repeat(SECRETS_MAX + 1), Err(SECRETS_MAX + 1)),
            ("+".repeat(32), Err(1)),
        ] {
            fs::write(&path, &text).unwrap();
            match (read(&path), expected) {
                (Ok(secrets), Ok(shown)) => assert_eq!(format!("{secrets:?}"), shown),
                (Err(error), Err(line)) => {
                    assert!(error.to_string().contains(&format!("line {line}:")), "{error}");
                    assert!(!error.to_string().contains(&SECRET[1..9]), "{error}");
                }
                (read, expected) => panic!("{text:?}: {read:?}, not {expected:?}"),
            }
        }
        fs::remove_dir_all(folder).unwrap();
    }
}
