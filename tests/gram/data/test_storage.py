"""Folders and zips, however they were packed, give the same files, or say which one cannot be read."""

import pickle  # noqa: TID251 - data sets go to worker processes
import struct
import zipfile
from pathlib import Path

import pytest
import torch
from conftest import write_dataset

from gram.data import storage
from gram.data.format import DatasetError
from gram.data.reader import ImageDataset
from gram.data.storage import open_storage

IMAGE = "images/00000/img00000001.png"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_dataset(tmp_path / "set")
    return tmp_path / "set"


def pack(folder: Path, rename=lambda name: name, **options) -> Path:
    path = folder.parent / "set.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.writestr(rename(file.relative_to(folder).as_posix()), file.read_bytes(), **options)
    return path


def damage(path: Path, change) -> None:
    """Change the headers of IMAGE, local and central, by their bytes."""
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        local = archive.getinfo(IMAGE).header_offset
    central = content.index(b"PK\x01\x02", content.rindex(IMAGE.encode()) - 46)
    change(content, local, central)
    path.write_bytes(bytes(content))


def same(path: Path, folder: Path) -> bool:
    theirs, ours = ImageDataset(path), ImageDataset(folder)
    depths = theirs.depth(1), ours.depth(1)
    assert depths[0] is not None and depths[1] is not None
    equal_depth = torch.equal(depths[0].nan_to_num(), depths[1].nan_to_num())
    return equal_depth and torch.equal(theirs.load_images(), ours.load_images())


@pytest.mark.parametrize("top", ["", "my pictures/"])
@pytest.mark.parametrize("slash", ["/", "\\"])
def test_top_folders_backslashes_and_junk_of_macs_are_understood(folder: Path, top: str, slash: str) -> None:
    path = pack(folder, lambda name: (top + name).replace("/", slash))
    with zipfile.ZipFile(path, "a") as archive:
        for junk in (f"__MACOSX/{top}images/._a.png", f"{top}._b.png", f"{top}.DS_Store"):
            archive.writestr(junk, b"Mac OS X")
    assert same(path, folder)
    sent = pickle.loads(pickle.dumps(ImageDataset(path)))
    assert torch.equal(sent[1][0], ImageDataset(folder)[1][0])


def test_a_folder_in_a_folder_is_understood(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "outer").mkdir()
    (folder / ".DS_Store").write_bytes(b"")
    assert same(folder.rename(tmp_path / "outer/inner").parent, tmp_path / "outer/inner")


def test_linked_folders_are_followed_and_a_link_to_itself_harms_nothing(folder: Path, tmp_path: Path) -> None:
    whole = ImageDataset(folder).load_images()
    for name in ("images", "depth"):
        (folder / name).rename(tmp_path / f"big-{name}")
        (folder / name).symlink_to(tmp_path / f"big-{name}", target_is_directory=True)
    (folder / "self").symlink_to(folder, target_is_directory=True)
    read = ImageDataset(folder)
    assert torch.equal(read.load_images(), whole)
    assert read.depth(1) is not None


def set_encrypted(content: bytearray, local: int, central: int) -> None:
    content[local + 6] |= 1
    content[central + 8] |= 1


def set_method(content: bytearray, local: int, central: int) -> None:
    struct.pack_into("<H", content, local + 8, 97)
    struct.pack_into("<H", content, central + 10, 97)


def set_size(content: bytearray, local: int, central: int) -> None:
    struct.pack_into("<I", content, local + 22, 2**32 - 2)
    struct.pack_into("<I", content, central + 24, 2**32 - 2)


def flip_bytes(content: bytearray, local: int, central: int) -> None:
    content[local + 30 + len(IMAGE) + 40] ^= 0xFF


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (set_encrypted, "is encrypted: pack the zip without a password"),
        (set_method, r"cannot be unpacked \(.*not supported\): pack the zip again, with deflate"),
        (set_size, "has 4,294,967,294 bytes, more than 268,435,456: replace the file"),
        (flip_bytes, r"cannot be unpacked \(.+\): pack the zip again"),
    ],
)
def test_a_member_that_cannot_be_read_is_named(folder: Path, change, problem: str) -> None:
    path = pack(folder)
    damage(path, change)
    read = open_storage(path)
    with pytest.raises(DatasetError, match=rf"{IMAGE} in .*set.zip {problem}") as error:
        read.read(IMAGE)
    assert "\n" not in str(error.value)
    with pytest.raises(DatasetError, match=IMAGE):
        ImageDataset(path).load_images()


def test_no_more_is_unpacked_than_a_file_may_have(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pack(folder)
    monkeypatch.setattr(storage, "MAX_BYTES", 10)
    for where in (path, folder):
        with pytest.raises(DatasetError, match=rf"{IMAGE} in .* bytes, more than 10: replace the file"):
            open_storage(where).read(IMAGE, max_bytes=10)


def test_a_damaged_directory_is_named(folder: Path) -> None:
    path = pack(folder)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"PK\x01\x02", b"PK\x09\x09"))
    with pytest.raises(DatasetError, match=r"set.zip is a damaged zip archive \(.*\): copy or pack it again"):
        open_storage(path)


def test_two_members_of_one_name_are_refused(folder: Path) -> None:
    path = pack(folder)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(IMAGE.replace("/", "\\"), b"")
    with pytest.raises(
        DatasetError, match=r"holds .*img00000001.png' and .*: pack it again with one of them"
    ):
        open_storage(path)
