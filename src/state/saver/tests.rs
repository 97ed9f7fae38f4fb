//! Tests how often the zone is written. Time is tokio's: it stands still during a write, and advances when no task has
//! anything to do. How long a write takes is measured in real time.

use std::fs;
use std::process::Command;

use tokio::sync::mpsc;
use tokio::time;

use super::*;
use crate::snapshot::ZoneSettings;
use crate::zones::Zones;

const SECOND: Duration = Duration::from_secs(1);

/// A running keeper: its folder, its zone, and the times at which its writes begin.
struct Running {
    folder: PathBuf,
    zone: Arc<PublishedZone>,
    writes: mpsc::Receiver<time::Instant>,
}

impl Running {
    fn start(name: &str, heard_at: Option<u64>, prepare: impl FnOnce(&PathBuf)) -> Running {
        let folder = std::env::temp_dir().join(format!("callsign-keeper-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        prepare(&folder);
        let settings = Arc::new(ZoneSettings::of_tests());
        let empty = Snapshot::empty(settings.clone(), Arc::new(Zones::none(settings.origin.clone())));
        let first = Snapshot { is_synced: true, revision: 1, heard_at, ..empty };
        let zone = Arc::new(PublishedZone::new(Arc::new(first)));
        let (begun, writes) = mpsc::channel(1024);
        // The keeper asks for the age at the beginning of each write.
        let age = move || {
            begun.try_send(time::Instant::now()).unwrap();
            None
        };
        let saver = StateSaver::new(folder.clone(), Vec::new(), zone.clone(), Arc::default(), age);
        tokio::spawn(Arc::new(saver).run());
        Running { folder, zone, writes }
    }

    /// Publishes a changed zone.
    fn change(&self) {
        let before = self.zone.snapshot.load_full();
        self.zone.snapshot.store(Arc::new(Snapshot { revision: before.revision + 1, ..Snapshot::clone(&before) }));
    }

    /// When the writes so far began.
    fn begun(&mut self) -> Vec<time::Instant> {
        std::iter::from_fn(|| self.writes.try_recv().ok()).collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[tokio::test(start_paused = true)]
async fn a_zone_that_always_changes_is_written_at_most_every_ten_seconds() {
    let (started, mut saver) = (time::Instant::now(), Running::start("changes", None, |_| {}));
    for _ in 0..125 {
        saver.change();
        time::sleep(SECOND).await;
    }
    let begun = saver.begun();
    let gaps: Vec<Duration> = [started].iter().chain(&begun).zip(&begun).map(|(one, next)| *next - *one).collect();
    assert!(gaps.iter().all(|gap| *gap >= 10 * SECOND), "{gaps:?}");
    // A slow disk has its rest after each write, so there may be fewer than twelve.
    assert!((2..=12).contains(&gaps.len()), "{gaps:?}");
    assert!(saver.folder.join(super::super::FILE_NAME).exists());
}

#[tokio::test(start_paused = true)]
async fn a_zone_that_does_not_change_is_written_once() {
    let mut saver = Running::start("rests", None, |_| {});
    time::sleep(REFRESH - INTERVAL).await;
    assert_eq!(saver.begun().len(), 1);
    saver.change();
    time::sleep(2 * INTERVAL).await;
    assert_eq!(saver.begun().len(), 1, "and once more after a change");
}

#[tokio::test(start_paused = true)]
async fn an_earlier_runs_zone_is_not_written_again() {
    let mut saver = Running::start("stale", Some(1), |_| {});
    for _ in 0..60 {
        saver.change();
        time::sleep(SECOND).await;
    }
    assert_eq!(saver.begun(), []);
}

#[tokio::test(start_paused = true)]
async fn a_write_is_followed_by_nineteen_times_its_length_of_rest() {
    /// The shortest duration of a write. Its rest is longer than the shortest time between two writes.
    const WRITE: Duration = Duration::from_millis(700);
    const SHARE: u32 = 19;
    // The new file is a pipe, so a write blocks until a reader opens it.
    let pipe = |folder: &PathBuf| {
        let made = Command::new("mkfifo").arg(folder.join(".zone.state.new")).status();
        assert!(made.unwrap().success());
    };
    let mut saver = Running::start("slow", None, pipe);
    let mut begun = Vec::new();
    for _ in 0..3 {
        saver.change();
        begun.push(saver.writes.recv().await.unwrap());
        let pipe = saver.folder.join(".zone.state.new");
        let reader = std::thread::spawn(move || {
            std::thread::sleep(WRITE);
            fs::read(pipe).unwrap().len()
        });
        // The read begins after the write's beginning, and before its end.
        let len = tokio::task::spawn_blocking(move || reader.join().unwrap()).await.unwrap();
        assert!(len > 0, "something was written");
    }
    let gaps: Vec<Duration> = begun.iter().zip(&begun[1..]).map(|(one, next)| *next - *one).collect();
    assert!(WRITE * SHARE > INTERVAL && gaps.iter().all(|gap| *gap >= WRITE * SHARE), "{gaps:?}");
}
