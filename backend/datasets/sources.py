"""Where the rows of an import lie: a file that was sent, files of the server, or rows of a hub, fetched first."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pydantic import TypeAdapter
from sqlalchemy import select
from sqlalchemy.orm import Session

from alignment.formats import FileRefused, packed
from alignment.formats.argilla import require_version
from backend import storage, work
from backend.accounts.models import User
from backend.checkpoints import fetches
from backend.datasets import hub, server_files, uploads
from backend.datasets.models import Import, Upload
from backend.datasets.schemas import FromFile, FromHub, FromServer, ImportedBefore, Origin, UploadOut
from backend.datasets.source_schemas import HubDatasetIn
from backend.projects.models import Project
from backend.settings import Settings
from backend.work import now

_ORIGIN: TypeAdapter[FromFile | FromServer | FromHub] = TypeAdapter(Origin)


def origin_of(upload: Upload) -> FromFile | FromServer | FromHub:
    """Where the data of an upload come from."""
    return _ORIGIN.validate_python(upload.origin)


def from_server(session: Session, project: Project, user_id: uuid.UUID, path: str, settings: Settings) -> Upload:
    """Files of the server as data to import; nothing is copied.  Raises OutsideDataRoots, NotFound, NoDataThere."""
    place = server_files.resolve(settings.data_roots, path)
    size, digest = server_files.fingerprint(server_files.files_of(settings.data_roots, path))
    origin = FromServer(path=str(place))
    return _recorded(session, project, user_id, place.name, size, digest, "", origin)


def from_hub(session: Session, project: Project, user: User, body: HubDatasetIn, settings: Settings) -> Upload:
    """A split of a hub's dataset as data to import; its first rows are kept for the preview.

    Raises NotReadable, SecretMissing, TooManyChecks.
    """
    token = fetches.token(session, project.id, body.secret, user)
    first = hub.first_rows(token, body, uploads.folder_of(settings))
    size = first.stat().st_size
    name = str(uuid.uuid4())
    storage.put(first, uploads.key_of(name), move=True)
    origin = FromHub(**body.model_dump())
    title = f"{body.hub_id} {body.config} {body.split}" if body.config != "default" else f"{body.hub_id} {body.split}"
    return _recorded(session, project, user.id, title, size, hub.fingerprint(body), name, origin)


def _recorded(
    session: Session,
    project: Project,
    user_id: uuid.UUID,
    filename: str,
    size: int,
    digest: str,
    path: str,
    origin: FromServer | FromHub,
) -> Upload:
    upload = Upload(
        project_id=project.id,
        filename=uploads.printable(filename),
        size=size,
        sha256=digest,
        path=path,
        origin=origin.model_dump(),
        created_by=user_id,
    )
    session.add(upload)
    session.flush()
    session.refresh(upload)
    return upload


def first_file(upload: Upload, settings: Settings) -> Path:
    """The file that a preview reads: of several the first, of a hub's its first rows.

    Raises UploadGone, OutsideDataRoots, NotFound, NoDataThere, FileUnreadable.
    """
    origin = origin_of(upload)
    if isinstance(origin, FromServer):
        try:
            return _server_files(origin, settings)[0]
        except FileRefused as refused:
            raise uploads.FileUnreadable(refused.reason, field="path", remedy=refused.remedy) from None
    return uploads.file_of(upload)


@contextmanager
def opened(upload: Upload, token: str | None, settings: Settings, pulse: Callable[[int], None]) -> Iterator[list[Path]]:
    """The plain files to read, on this machine until the end of the block; `pulse` is told bytes, and may raise.

    Raises FileRefused, UploadGone, OutsideDataRoots, NotFound, NoDataThere, StorageTrouble.
    """
    origin = origin_of(upload)
    with ExitStack() as held:
        if isinstance(origin, FromServer):
            files = _server_files(origin, settings)
        elif isinstance(origin, FromHub):
            files = [_temporary(held, settings)]
            hub.fetch(origin, token, files[0], settings, pulse)
        else:
            files = [uploads.hold(upload, held)]
        yield [_plain(path, held, settings, pulse) for path in files]


def _server_files(origin: FromServer, settings: Settings) -> list[Path]:
    """The files, looked for anew: what may be read is decided when it is read."""
    files = server_files.files_of(settings.data_roots, origin.path)
    version = files[0].parent / server_files.VERSION_OF_ARGILLA
    if Path(origin.path).is_dir() and version.is_file() and not version.is_symlink():
        require_version(server_files.stated_version(version))
    return files


def _temporary(held: ExitStack, settings: Settings) -> Path:
    """A file that does not exist yet and goes at the end; what a killed worker leaves, the sweep removes."""
    path = uploads.folder_of(settings) / f"{uuid.uuid4()}.part"
    held.callback(path.unlink, missing_ok=True)
    return path


def _plain(path: Path, held: ExitStack, settings: Settings, pulse: Callable[[int], None]) -> Path:
    """The file itself, or what it unpacks to."""
    if packed.packing_of(path) is None:
        return path
    target = _temporary(held, settings)
    packed.unpack(path, target, most=settings.max_upload_bytes, check=lambda: pulse(0))
    return target


def discard(session: Session, upload_id: uuid.UUID) -> None:
    """Afterwards the file of an imported upload is gone, unless another import still has to read it."""
    upload = session.get_one(Upload, upload_id, with_for_update=True)
    waiting = select(Import.id).where(Import.upload_id == upload_id, Import.state.not_in(work.ENDED)).limit(1)
    if session.scalar(waiting) is not None or upload.removed_at is not None:
        return
    upload.removed_at = now()
    if upload.path:
        storage.delete(uploads.key_of(upload.path))


def imported_before(session: Session, upload: Upload) -> list[ImportedBefore]:
    """Imports of the same data into this project that succeeded and whose dataset is there, or that are under way."""
    same = (
        select(Import)
        .join(Upload, Upload.id == Import.upload_id)
        .where(Import.project_id == upload.project_id, Upload.sha256 == upload.sha256)
        .where(Import.state.not_in(work.ENDED) | Import.dataset_id.is_not(None))
        .order_by(Import.id.desc())
        .limit(10)
    )
    return [ImportedBefore.model_validate(row) for row in session.scalars(same)]


def out(session: Session, upload: Upload) -> UploadOut:
    """The upload with the imports of the same data."""
    shown = UploadOut.model_validate(upload)
    return shown.model_copy(update={"imported": imported_before(session, upload)})
