"""Which kind of file system a path is on: SQLite's log needs memory that all its readers share, so one host."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import psutil

_NETWORK = {
    *("nfs", "nfs4", "cifs", "smbfs", "smb2", "smb3", "ncpfs", "9p", "afs", "auristorfs", "coda", "lustre", "gpfs"),
    *("beegfs", "ceph", "pvfs2", "orangefs", "panfs", "ocfs2", "gfs2", "weka", "wekafs", "vboxsf", "virtiofs"),
    *("glusterfs", "davfs", "sshfs", "s3fs", "gcsfuse", "goofys", "juicefs", "cephfs", "glusterfs", "rclone"),
}


class Mount(Protocol):
    """A row of the mount table."""

    @property
    def mountpoint(self) -> str:
        """Where it is seen."""

    @property
    def fstype(self) -> str:
        """Its kind."""


def file_system(path: Path, mounts: Iterable[Mount] | None = None) -> str:
    """The kind of file system that a path is on, by the mount table; empty where that is not known.

    Args:
        path: it need not exist yet.
        mounts: instead of this host's.
    """
    table = psutil.disk_partitions(all=True) if mounts is None else mounts
    where = path.expanduser().resolve()
    longest, kind = -1, ""
    for mount in table:
        point = Path(mount.mountpoint)
        # Of two at the same place the later one hides the earlier.
        if len(point.parts) >= longest and (where == point or point in where.parents):
            longest, kind = len(point.parts), mount.fstype.lower()
    return kind


def is_network(kind: str) -> bool:
    """Whether several hosts may see such a file system. FUSE ones have names such as `fuse.sshfs`."""
    return kind.removeprefix("fuse.").removeprefix("fuseblk.") in _NETWORK
