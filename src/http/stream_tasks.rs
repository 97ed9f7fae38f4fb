//! The tasks of HTTP/2 requests. Each can be ended alone.
//!
//! hyper gives each request of an HTTP/2 connection a task. While the task waits for its stream's window, it does not
//! poll the response's body, so the body cannot end the stream. But if the task is dropped, h2 resets the stream and
//! frees the unsent part of the response.

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
    /// The task that calls this. `None` over HTTP/1.1.
    pub(super) fn current() -> Option<StreamTask> {
        CURRENT.try_with(StreamTask::clone).ok()
    }

    /// Drops the task, which resets its stream.
    pub(super) fn end(&self) {
        self.0.notify_one();
    }
}

/// Spawns the tasks of a connection's requests.
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
