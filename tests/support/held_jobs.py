"""Stands in for `widgets.job`: jobs that are done at once, or when a test says so."""


class HeldJob:
    """A job whose events come when `finish` is called; `stop` is obeyed between two of them."""

    def __init__(self, events, on_event, on_end):
        self.events, self.on_event, self.on_end = events, on_event, on_end
        self.stopped = False

    def stop(self):
        self.stopped = True

    def finish(self):
        error = None
        try:
            for event in self.events:
                self.on_event(event)
                if self.stopped:
                    break
            self.events.close()
        except Exception as raised:
            error = raised
        self.on_end(error)


class Launch:
    """Drains at once, or keeps jobs in `held` while `hold` is set."""

    def __init__(self):
        self.hold, self.held = False, []

    def __call__(self, events, on_event, on_end):
        job = HeldJob(events, on_event, on_end)
        if self.hold:
            self.held.append(job)
        else:
            job.finish()
        return job
