"""Why an export was not made."""

from alignment.training.errors import TrainingError


class NoAdapter(TrainingError):
    """An adapter was asked for, and the checkpoint is none."""

    code = "no_adapter"
    exit_code = 64
    title = "Not an adapter"


class ExportDiffers(TrainingError):
    """What was written does not do what the checkpoint does; it was thrown away."""

    code = "export_differs"
    title = "The export differs from its checkpoint"


class FolderTaken(TrainingError):
    """The folder to write is there already."""

    code = "folder_taken"
    exit_code = 64
    title = "The folder is not empty"
