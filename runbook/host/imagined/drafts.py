"""What the changes of an overlay make: new inodes, and contents that are remembered without being read."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from runbook.changes import Content, FileRef, Stat
from runbook.changes.values import Kind
from runbook.host.imagined.index import Node, Pending, Tree
from runbook.host.imagined.permits import fault, may
from runbook.host.reading import require_file
from runbook.host.refusals import altered, refusing, shown
from runbook.units import Secret
from runbook.unknown import Unknown

SMALL = 10**6  # bytes; an overlay holds no more of a real file that is added to
Kept = bytes | Secret | FileRef | Pending


def new_stat(tree: Tree, kind: Kind, folder: Node, *, mode: int, size: int | Unknown, links: int = 1) -> Stat:
    """Give the status of something new in a folder: ours, with the run's time."""
    device, inode = tree.new_ident()
    group = folder.stat.gid if folder.stat.mode & 0o2000 else os.getegid()
    return Stat(kind, size, tree.now, mode, os.geteuid(), group, device, inode, links)


def symbolic(tree: Tree, to: str, folder: Node) -> Node:
    """Give a new symbolic link; raises what the system would for a text that no link can hold."""
    raw = os.fsencode(to)
    if not raw:
        raise fault(errno.ENOENT)
    if b"\0" in raw:
        raise ValueError("embedded null byte")
    if len(raw) > 4095:
        raise fault(errno.ENAMETOOLONG)
    return Node(new_stat(tree, "link", folder, mode=0o777, size=len(raw)), target=to)


def second_name(tree: Tree, path: Path, source: Path) -> Node:
    """Give what the hard link at `path` is to lead to."""
    with refusing(f"link {shown(path)} to", source):
        node = tree.walk(source, follow=False).node
        if node is None:
            raise fault(errno.ENOENT)
        return node


def permit_reading(node: Node) -> None:
    if not may(node.stat, 4):
        raise fault(errno.EACCES)


def keep(tree: Tree, content: Content) -> tuple[Kept, int]:
    """Give what to remember of a content, and its size; a reference is followed to where the bytes really are."""
    if isinstance(content, bytes):
        return content, len(content)
    if isinstance(content, Secret):
        return content, len(content.reveal().encode("utf-8", "surrogateescape"))
    with refusing("read", content.path):
        node = tree.walk(content.path, follow=True).node
        if node is None:
            raise fault(errno.ENOENT)
        require_file("read", content.path, node.stat)
        permit_reading(node)
    if not isinstance(node.stat.size, Unknown) and node.stat.size != content.size:
        raise altered(content.path)
    if node.content is None:
        return FileRef(node.origin or content.path, content.size, content.sha256), content.size
    return node.content, content.size


def joined(tree: Tree, node: Node, more: bytes | Unknown, reason: str) -> Kept:
    """Give a file's content with more at its end; of one that is large, only a run has to know it."""
    held: Kept | None = node.content
    if held is None and node.origin is not None and node.stat.size <= SMALL:
        held = tree.real.read(node.origin)
    return held + more if isinstance(held, bytes) and isinstance(more, bytes) else Pending(reason)
