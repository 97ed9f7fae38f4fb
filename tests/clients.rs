//! Other projects' clients against the real server: Go's resolver and gRPC's, and HAProxy with the recipe of
//! `deploy/clients`.

#[allow(dead_code, reason = "every test binary uses a part of it")]
mod harness;

mod clients {
    mod go;
    mod haproxy;
    mod pods;
}
