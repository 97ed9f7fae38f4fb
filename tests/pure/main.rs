//! The library's parts without a socket and without the program: tables, properties, the layers and the package.

#[path = "../harness"]
mod harness {
    pub(crate) mod ask;
    pub(crate) mod cases;
    pub(crate) mod header;
    pub(crate) mod recorded;
    pub(crate) mod seeds;
    pub(crate) mod sound;
}

mod answers;
mod boundary;
mod config;
mod environment;
mod layers;
mod registration;
mod registration_properties;
mod source_files;
mod tables;
mod zones;
