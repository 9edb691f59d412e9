"""HEIC and HEIF photographs, as telephones store them; read by pillow-heif where that is."""

from pathlib import Path

from cope_ros.core.errors import CopeError

# ISO/IEC 23008-12: brands of still images and bursts in HEVC, in the file's first box.
BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def is_heif(path: Path) -> bool:
    """Whether a file's first bytes are those of HEIF, whatever its name."""
    with path.open("rb") as file:
        start = file.read(12)
    return start[4:8] == b"ftyp" and start[8:] in BRANDS


def teach_pillow(path: Path) -> None:
    """Lets Pillow open HEIF files.

    Args:
        path: of the file at hand, for the message.

    Raises:
        CopeError: pillow-heif is not installed.
    """
    try:
        from pillow_heif import register_heif_opener
    except ImportError as error:
        raise CopeError(
            f"{path}: is a HEIC photograph: pip install pillow-heif, or convert it to JPEG"
        ) from error
    register_heif_opener()
