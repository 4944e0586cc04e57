"""Download one file of a package from the indexes that pip is set up for. Run as a script, in a process of its own.

pip knows the user's indexes, credentials, proxy and certificates. Its ``download`` unpacks a source distribution, and
asks the build backend for metadata: a hostile one could write elsewhere, or run. So only pip's search and session are
used, and the file is written as it comes, unopened. These are no public interface of pip, whose version is pinned.
"""

from __future__ import annotations

import sys
from optparse import Values
from pathlib import Path

from pip._internal.cli.status_codes import SUCCESS
from pip._internal.commands.download import DownloadCommand
from pip._internal.exceptions import CommandError
from pip._internal.models.format_control import FormatControl
from pip._internal.network.utils import HEADERS, raise_for_status, response_chunks
from pip._vendor.packaging.version import Version


class FileCommand(DownloadCommand):
    """``pip download`` of one file: its arguments are package, version, SHA-256, the file's name and where it goes."""

    def run(self, options: Values, args: list[str]) -> int:
        """Write the file. Raises ``CommandError`` where no index offers it."""
        package, version, sha256, name, target = args
        # Neither is built or installed, so that it does not matter what the user wants of the two.
        options.format_control = FormatControl()
        session = self.get_default_session(options)
        finder = self._build_package_finder(options=options, session=session, ignore_requires_python=True)
        wanted = Version(version)
        found = [entry.link for entry in finder.find_all_candidates(package) if entry.version == wanted]
        # Of several with the name, one whose index states the right hash, or none at all.
        offered = [link for link in found if link.filename == name]
        offered.sort(key=lambda link: (link.hash is not None) - 2 * (link.hash == sha256))
        if not offered:
            names = ", ".join(sorted({str(link.filename) for link in found})) or "no file"
            raise CommandError(
                f"No matching distribution: {package}=={version} has {names} for this machine, not {name}"
            )
        # Of files on this machine too: the session reads both.
        answer = session.get(offered[0].url_without_fragment, headers=HEADERS, stream=True)
        raise_for_status(answer)
        with Path(target).open("wb") as stream:
            for chunk in response_chunks(answer):
                stream.write(chunk)
        return SUCCESS


if __name__ == "__main__":
    sys.exit(FileCommand("download", "one file").main(sys.argv[1:]))
