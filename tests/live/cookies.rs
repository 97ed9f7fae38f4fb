//! DNS cookies (RFC 7873, RFC 9018).

use std::fs;

use domain::base::iana::Rtype;

use super::clients::{Client, NAME, PATIENCE, cookie_of, start, with_cookie};
use super::site::ask;
use crate::harness::ask::{Ask, Reply};
use crate::harness::eventually;
use crate::harness::exchange::exchange_tcp;
use crate::harness::process::scratch;
use crate::harness::server::Server;

/// RFC 7873 §5.2, RFC 9018; bad-input 22 and 23.
#[test]
fn cookies() {
    let server = start(&["--cookies"]);
    let client = Client::at("127.0.0.1", &server);
    let srv = || ask(NAME, Rtype::SRV);
    assert_eq!(cookie_of(&client.ask(&srv().edns(1232))), None, "no cookie without a client cookie");
    let first = cookie_of(&client.ask(&with_cookie(srv(), b"8 bytes!"))).expect("a cookie");
    assert_eq!((first.len(), &first[..8]), (24, &b"8 bytes!"[..]));
    assert_eq!(cookie_of(&client.ask(&with_cookie(srv(), &first))).as_ref(), Some(&first), "a good one stays");
    let elsewhere = cookie_of(&Client::at("127.0.0.2", &server).ask(&with_cookie(srv(), &first))).expect("a cookie");
    assert_ne!(elsewhere, first, "another client gets its own");
    for len in [0, 1, 7, 9, 15, 41, 255] {
        let reply = client.ask(&with_cookie(srv(), &vec![7; len]));
        assert_eq!((reply.rcode.as_str(), reply.answer.len()), ("FORMERR", 0), "{len} bytes");
    }
    for len in [16, 17, 24, 40] {
        let reply = client.ask(&with_cookie(srv(), &vec![7; len]));
        let cookie = cookie_of(&reply).expect("a cookie");
        assert_eq!((reply.rcode.as_str(), &cookie[..8], cookie.len()), ("NOERROR", &[7; 8][..], 24), "{len} bytes");
    }
    let query = with_cookie(srv(), &first).to_wire();
    let reply = Reply::read(&query, exchange_tcp(server.dns, &query).expect("a reply"));
    assert_eq!(cookie_of(&reply), Some(first), "over TCP too");
    let dig = server.dig(&["+cookie=0102030405060708", "+nsid", "rpc.cluster.local.", "SOA"]);
    assert!(dig.text.contains("(good)") && dig.status == "NOERROR", "{}", dig.text);
    // Without `--cookies`, a malformed cookie is ignored.
    let plain = start(&[]);
    let reply = Client::at("127.0.0.1", &plain).ask(&with_cookie(srv(), &[7; 9]));
    assert_eq!((reply.rcode.as_str(), cookie_of(&reply)), ("NOERROR", None));
}

/// A query without a question, with this cookie.
pub(super) fn cookie_alone(cookie: &[u8]) -> Vec<u8> {
    let whole = with_cookie(Ask::new(".", Rtype::NS), cookie).to_wire();
    let question = 12..17; // the root's name, type and class
    let mut query = [&whole[..question.start], &whole[question.end..]].concat();
    query[5] = 0; // QDCOUNT
    query
}

/// RFC 7873 §5.4.
#[test]
fn a_query_without_a_question_gets_a_cookie() {
    let given = |server: &Server, cookie: &[u8]| {
        let (client, query) = (Client::at("127.0.0.1", server), cookie_alone(cookie));
        client.0.send(&query).expect("send");
        let mut reply = vec![0; 512];
        let len = client.0.recv(&mut reply).expect("a reply");
        reply.truncate(len);
        assert_eq!(reply[4..10], [0; 6], "no question and no answer");
        let reply = Reply::read(&query, reply);
        (reply.rcode.clone(), cookie_of(&reply))
    };
    let server = start(&["--cookies"]);
    let (rcode, cookie) = given(&server, b"8 bytes!");
    let cookie = cookie.expect("a cookie");
    assert_eq!((rcode.as_str(), cookie.len(), &cookie[..8]), ("NOERROR", 24, &b"8 bytes!"[..]));
    assert_eq!(given(&server, &cookie), ("NOERROR".to_owned(), Some(cookie.clone())), "a good one stays");
    let other = [&b"8 BYTES!"[..], &cookie[8..]].concat();
    for bad in [&other[..], &other[..20]] {
        let (rcode, new) = given(&server, bad);
        assert_eq!((rcode.as_str(), new.map(|new| new.len())), ("BADCOOKIE", Some(24)));
    }
    assert_eq!(given(&server, b"7 bytes"), ("FORMERR".to_owned(), None));
    let plain = start(&[]);
    assert_eq!(given(&plain, b"8 bytes!"), ("FORMERR".to_owned(), None), "a server without cookies");
}

#[test]
fn replicas_share_a_secret_and_replace_it() {
    let file = scratch("cookies").join("secrets");
    let (old, new) = ("00112233445566778899aabbccddeeff", "ffeeddccbbaa99887766554433221100");
    fs::write(&file, old).expect("write");
    let path = file.to_str().expect("a plain path");
    let replicas = [start(&["--cookie-secret", path]), start(&["--cookie-secret", path])];
    let given = |server: &Server, cookie: &[u8]| {
        let reply = Client::at("127.0.0.1", server).ask(&with_cookie(ask("Z", Rtype::SOA), cookie));
        cookie_of(&reply).expect("a cookie")
    };
    let cookie = given(&replicas[0], b"8 bytes!");
    assert_eq!(given(&replicas[1], &cookie), cookie, "the other replica knows it");
    fs::write(&file, "no secret").expect("write");
    eventually(PATIENCE, || match replicas[0].log().contains("the old ones stay") {
        true => Ok(()),
        false => Err("the log does not report the bad file"),
    });
    assert!(!replicas[0].log().contains("0011223344"), "no secret in a log");
    assert_eq!(given(&replicas[0], &cookie), cookie);
    fs::write(&file, format!("{new}\n{old}\n")).expect("write");
    eventually(PATIENCE, || match given(&replicas[0], &cookie) != cookie {
        true => Ok(()),
        false => Err("still the old secret"),
    });
}
