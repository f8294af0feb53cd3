"""What a worker tells when a checkpoint cannot answer."""


class Refused(Exception):
    """A checkpoint cannot answer at all; `reason` and `remedy` are sentences for people."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason, self.remedy = reason, remedy
