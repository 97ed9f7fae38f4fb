//! Questions and their replies without sockets: Pods in, bytes out. The `domain` crate decodes each reply.

mod addresses;
mod bounds;
mod chains;
mod existence;
mod hickory;
mod hostile;
mod large;
mod lists;
mod naive;
mod names;
mod pods;
mod profiles;
mod properties;
mod records;
mod renames;
mod restores;
mod room;
mod second_opinion;
mod sequences;
mod serials;
mod sizes;
mod state;
mod state_versions;
pub(crate) mod world;
mod zones;
