//! The tasks of HTTP/2's requests, each of which can be ended alone.
//!
//! hyper gives each request of an HTTP/2 connection a task. While the task waits for its stream's window it does not look at
//! the answer's body, so that the body cannot end the stream. But h2 resets the stream of a task that is dropped, and frees
//! what of the answer waits to be sent.

use std::sync::Arc;

use hyper::rt::Executor;
use tokio::sync::Notify;

tokio::task_local! {
    static CURRENT: StreamTask;
}

/// A request's task.
#[derive(Clone, Debug, Default)]
pub(super) struct StreamTask(Arc<Notify>);

impl StreamTask {
    /// The task that runs this; none where the connection speaks HTTP/1.1.
    pub(super) fn current() -> Option<StreamTask> {
        CURRENT.try_with(StreamTask::clone).ok()
    }

    /// Resets its stream.
    pub(super) fn end(&self) {
        self.0.notify_one();
    }
}

/// Runs the tasks of a connection's requests.
#[derive(Clone, Copy, Debug)]
pub(super) struct StreamTasks;

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for StreamTasks {
    fn execute(&self, work: F) {
        let task = StreamTask::default();
        let end = task.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = CURRENT.scope(task, work) => {}
                () = end.0.notified() => {}
            }
        });
    }
}
