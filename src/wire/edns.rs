//! The last records of a reply: OPT, and the TSIG record that refuses a signature.

use crate::dns::{Class, Rcode, Rtype};

use super::UDP_LEN_MAX;
use super::query::{CLIENT_COOKIE_LEN, Edns, OPTION_COOKIE, OPTION_NSID, OPTION_PADDING, SERVER_COOKIE_LEN, Signature};

/// The extended errors (RFC 8914).
const OPTION_EDE: u16 = 15;

/// A padded reply is a multiple of this many bytes long (RFC 8467 §4.1).
const PADDING_BLOCK: usize = 468;

/// The TSIG error of a key that the server does not know (RFC 8945 §3).
const BADKEY: u16 = 17;

/// The bytes before an option's data: its code and its length.
const OPTION_HEAD_LEN: usize = 4;

/// The bytes between a record's owner name and its data: type, class, TTL and length.
pub(super) const RECORD_HEAD_LEN: usize = 10;

/// The server's own EDNS options. A reply has them if the query has EDNS.
#[derive(Clone, Copy, Debug, Default)]
pub struct ServerOptions<'a> {
    /// The server's identity (RFC 5001), for clients that ask for it.
    pub nsid: &'a [u8],
    /// The client's cookie, then the server's (RFC 7873).
    pub cookie: Option<[u8; CLIENT_COOKIE_LEN + SERVER_COOKIE_LEN]>,
}

/// The last records of a reply. The composer keeps room for them.
pub(super) struct EdnsTail<'a> {
    pub edns: Option<Edns>,
    pub rcode: Rcode,
    pub own: ServerOptions<'a>,
    pub error: Option<u16>,
    /// The bytes of padding. `None` if the reply has no such option.
    pub padding: Option<usize>,
    pub signature: Option<(Signature<'a>, u16)>,
}

impl EdnsTail<'_> {
    pub fn len(&self) -> usize {
        let opt = self.edns.map_or(0, |edns| 1 + RECORD_HEAD_LEN + self.options_len(edns));
        let signature = self.signature.map_or(0, |(signature, _)| {
            signature.key.len() + RECORD_HEAD_LEN + signature.algorithm.len() + signature.time_and_fudge.len() + 8
        });
        opt + signature
    }

    fn options_len(&self, edns: Edns) -> usize {
        let nsid = if edns.wants_nsid { OPTION_HEAD_LEN + self.own.nsid.len() } else { 0 };
        let cookie = self.own.cookie.map_or(0, |cookie| OPTION_HEAD_LEN + cookie.len());
        let error = self.error.map_or(0, |_| OPTION_HEAD_LEN + 2);
        let padding = self.padding.map_or(0, |len| OPTION_HEAD_LEN + len);
        nsid + cookie + error + padding
    }

    /// Pads a message that has this many bytes before its tail. A message that has no room for the option stays as it is.
    pub fn pad(&mut self, len: usize, len_max: usize) {
        let unpadded = len + self.len() + OPTION_HEAD_LEN;
        self.padding = unpadded.next_multiple_of(PADDING_BLOCK).min(len_max).checked_sub(unpadded);
    }

    /// Appends the records. Returns their number.
    pub fn append(&self, out: &mut Vec<u8>) -> u16 {
        let mut count = 0;
        if let Some(edns) = self.edns {
            count += 1;
            let flags = if edns.is_dnssec_ok { 0x8000 } else { 0 };
            let ttl = u32::from(self.rcode.0 >> 4) << 24 | flags;
            out.push(0);
            push_u16s(out, &[Rtype::OPT.0, UDP_LEN_MAX as u16]);
            out.extend_from_slice(&ttl.to_be_bytes());
            push_u16s(out, &[self.options_len(edns) as u16]);
            if edns.wants_nsid {
                push_u16s(out, &[OPTION_NSID, self.own.nsid.len() as u16]);
                out.extend_from_slice(self.own.nsid);
            }
            if let Some(cookie) = self.own.cookie {
                push_u16s(out, &[OPTION_COOKIE, cookie.len() as u16]);
                out.extend_from_slice(&cookie);
            }
            if let Some(error) = self.error {
                push_u16s(out, &[OPTION_EDE, 2, error]);
            }
            if let Some(len) = self.padding {
                push_u16s(out, &[OPTION_PADDING, len as u16]);
                out.resize(out.len() + len, 0);
            }
        }
        if let Some((signature, id)) = self.signature {
            count += 1;
            append_bad_key(out, &signature, id);
        }
        count
    }
}

/// Appends an unsigned TSIG record with the error BADKEY (RFC 8945 §5.2.1).
fn append_bad_key(out: &mut Vec<u8>, signature: &Signature<'_>, id: u16) {
    let data_len = signature.algorithm.len() + signature.time_and_fudge.len() + 8;
    out.extend_from_slice(signature.key);
    push_u16s(out, &[Rtype::TSIG.0, Class::ANY.0, 0, 0, data_len as u16]);
    out.extend_from_slice(signature.algorithm);
    out.extend_from_slice(signature.time_and_fudge);
    push_u16s(out, &[0, id, BADKEY, 0]); // no MAC, original ID, error, no other data
}

pub(super) fn push_u16s(out: &mut Vec<u8>, words: &[u16]) {
    words.iter().for_each(|word| out.extend_from_slice(&word.to_be_bytes()));
}
