"""untar.py FOLDER: unpacks a tar archive from standard input, and ends when the archive does."""

import sys
import tarfile

# Unbuffered: a last block need not be full.
with open(0, "rb", buffering=0) as pipe, tarfile.open(fileobj=pipe, mode="r|") as archive:
    # Older Pythons have no filters.
    archive.extraction_filter = getattr(tarfile, "data_filter", lambda member, path: member)
    try:
        archive.extractall(sys.argv[1])
    except (OSError, tarfile.TarError) as error:
        sys.exit(f"untar: {sys.argv[1]}: {error}")
