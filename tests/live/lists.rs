//! Pages and ETags of the lists over HTTP.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use crate::harness::eventually;
use crate::harness::server::Server;

use super::site::{SITE, manifest, pod, rewrite, text};

/// A page: its rows, and the token of the next page.
#[track_caller]
fn page(server: &Server, path: &str) -> (Vec<Value>, Option<String>) {
    let (status, body) = server.get(path);
    assert_eq!(status, 200, "{path}: {body}");
    let page: Value = serde_json::from_str(&body).expect("JSON");
    (page["items"].as_array().expect("rows").clone(), page["continue"].as_str().map(str::to_owned))
}

#[test]
fn the_pages_together_are_the_list() {
    for path in ["/v1/interfaces?", "/v1/endpoints?", "/v1/endpoints?namespace=default&", "/v1/pods?", "/v1/bad?"] {
        let (whole, next) = page(&SITE.server, path.trim_end_matches(['?', '&']));
        assert!(next.is_none() && !whole.is_empty(), "{path}");
        for limit in [1, 2, whole.len(), whole.len() + 1] {
            let (mut rows, mut next, mut pages) = (Vec::new(), String::new(), 0);
            loop {
                let (some, more) = page(&SITE.server, &format!("{path}limit={limit}&continue={next}"));
                assert!(some.len() <= limit && !some.is_empty(), "{path} {limit}");
                rows.extend(some);
                pages += 1;
                match more {
                    Some(more) => next = more,
                    None => break,
                }
            }
            assert_eq!((&rows, pages), (&whole, whole.len().div_ceil(limit)), "{path} {limit}");
        }
    }
}

#[test]
fn a_change_between_two_pages_moves_no_other_row() {
    let all = |names: &str| -> Vec<Value> {
        let pod = |name: &str| pod(name, [10, 9, 0, name.as_bytes()[0]], "interface=a.B port=1");
        names.split_whitespace().map(pod).collect()
    };
    let file = manifest(&all("a c e g"));
    let server = Server::start(&["--manifests", text(&file)]);
    let names = |rows: &[Value]| -> String {
        rows.iter().map(|row| row["pod"].as_str().or(row["name"].as_str()).expect("a name")).collect()
    };
    let first = ["/v1/endpoints?limit=2", "/v1/pods?limit=2"].map(|path| (path, page(&server, path)));
    rewrite(&file, &all("b d e f g"));
    eventually(std::time::Duration::from_secs(5), || {
        let now = names(&page(&server, "/v1/pods").0);
        if now == "bdefg" { Ok(()) } else { Err(now) }
    });
    for (path, (rows, next)) in first {
        assert_eq!(names(&rows), "ac", "{path}");
        let (rows, next) = page(&server, &format!("{path}&continue={}", next.expect("more")));
        assert_eq!(names(&rows), "de", "{path}: c is gone, and what is behind it comes");
        let (rows, next) = page(&server, &format!("{path}&continue={}", next.expect("more")));
        assert_eq!((names(&rows).as_str(), next), ("fg", None), "{path}");
    }
}

/// The status line, the ETag and the body of an answer.
fn get(server: SocketAddr, path: &str, known: Option<&str>) -> (String, String, String) {
    let mut stream = TcpStream::connect(server).expect("a connection");
    let known = known.map(|tag| format!("If-None-Match: {tag}\r\n")).unwrap_or_default();
    write!(stream, "GET {path} HTTP/1.0\r\n{known}\r\n").expect("ask");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).expect("a reply");
    let (head, body) = reply.split_once("\r\n\r\n").expect("a head");
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap_or_default();
    (head.split(' ').nth(1).expect("a status").to_owned(), tag.to_owned(), body.to_owned())
}

#[test]
fn a_client_with_the_current_page_gets_304() {
    let server = SITE.server.http;
    for path in ["/v1/interfaces", "/v1/endpoints?limit=1", "/v1/pods", "/v1/pods/default/greeter-0", "/v1/bad"] {
        let (status, tag, body) = get(server, path, None);
        assert!(status == "200" && tag.len() > 19 && tag.starts_with('"') && tag.ends_with('"'), "{path}: {tag}");
        for known in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".into()] {
            assert_eq!(get(server, path, Some(&known)), ("304".into(), tag.clone(), String::new()), "{path} {known}");
        }
        for other in [tag.trim_matches('"').to_owned(), "\"x\"".into(), tag.replace('-', "-1")] {
            assert_eq!(get(server, path, Some(&other)), ("200".into(), tag.clone(), body.clone()), "{path} {other}");
        }
    }
}

/// Pods with as many registrations as possible make pages of a few rows. Together they are still the whole list.
#[test]
fn pages_of_long_rows_end_early() {
    const PODS: u8 = 20;
    let long = "l".repeat(400);
    let pods = (11..=10 + PODS).map(|n| {
        let fields: String = (10..400).map(|at| format!("interface=a{at}.{long} port=1 ")).collect();
        pod(&format!("p{n}"), [10, 244, 0, n], &fields)
    });
    let file = manifest(&pods.collect::<Vec<_>>());
    let server = Server::start(&["--manifests", text(&file)]);
    let (mut names, mut next, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let (rows, more) = page(&server, &format!("/v1/pods?continue={next}"));
        let len: usize = rows.iter().map(|row| row.to_string().len()).sum();
        assert!(len < 5 << 20, "{len} bytes of {} rows", rows.len());
        names.extend(rows.iter().map(|row| row["name"].as_str().expect("a name").to_owned()));
        pages += 1;
        match more {
            Some(more) => next = more,
            None => break,
        }
    }
    assert!(pages > 1, "{pages} pages");
    assert_eq!(names, (11..=10 + PODS).map(|n| format!("p{n}")).collect::<Vec<_>>());
}
