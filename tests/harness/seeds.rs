//! How many cases a property runs, and where the seeds of its failures are kept.
//!
//! The seeds of `tests/<path>.rs` are in `proptest-regressions/<path>.txt`, in the repository. Each
//! run replays them first. `PROPTEST_CASES` overrides the number of cases.

use std::any::Any;
use std::fmt::Debug;

use proptest::test_runner::{Config, FailurePersistence, FileFailurePersistence, PersistedSeed};

/// The configuration of a property: its cases in CI, and the file of its seeds. [`seeds_of`] makes the path.
#[allow(clippy::disallowed_methods, reason = "the tests' own variable, not an option of callsign")]
pub(crate) fn config(cases: u32, seeds: &'static str) -> Config {
    let cases = std::env::var("PROPTEST_CASES").map_or(cases, |cases| cases.parse().expect("PROPTEST_CASES"));
    Config { cases, failure_persistence: Some(Box::new(Seeds(seeds))), ..Config::default() }
}

/// The path of a property's seeds, from the path of its module. It is absolute, because proptest looks for its default folder
/// beside a `lib.rs`, which an integration test does not have.
macro_rules! seeds_of {
    ($property:literal) => {
        concat!(env!("CARGO_MANIFEST_DIR"), "/proptest-regressions/", $property, ".txt")
    };
}
pub(crate) use seeds_of;

/// A file of seeds. On a failure it prints how to run the seed again.
#[derive(Clone, Debug, PartialEq)]
struct Seeds(&'static str);

impl Seeds {
    fn file(&self) -> FileFailurePersistence {
        FileFailurePersistence::Direct(self.0)
    }
}

impl FailurePersistence for Seeds {
    fn load_persisted_failures2(&self, source: Option<&'static str>) -> Vec<PersistedSeed> {
        self.file().load_persisted_failures2(source)
    }

    fn save_persisted_failure2(&mut self, source: Option<&'static str>, seed: PersistedSeed, shrunken: &dyn Debug) {
        self.file().save_persisted_failure2(source, seed, shrunken);
        let test = std::thread::current();
        let test = test.name().unwrap_or_default();
        eprintln!("To run this seed again, keep its line in {} and run `cargo test {test}`.", self.0);
    }

    fn box_clone(&self) -> Box<dyn FailurePersistence> {
        Box::new(self.clone())
    }

    fn eq(&self, other: &dyn FailurePersistence) -> bool {
        other.as_any().downcast_ref::<Seeds>() == Some(self)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
