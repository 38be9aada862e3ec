"""Where identities come from. One file per kind of directory; a new one is a file and a line of the table."""

from callout.directories.directory import Credentials, Directory

__all__ = ["Credentials", "Directory"]
