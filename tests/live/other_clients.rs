//! Other projects' clients against the real server: Go's resolver and gRPC's, and HAProxy with the recipe of
//! `deploy/clients`.

mod go;
mod haproxy;
mod pods;
