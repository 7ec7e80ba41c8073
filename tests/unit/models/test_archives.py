"""What an archive may hold, and what becomes of one that is broken, hostile or too large."""

from __future__ import annotations

import gzip
import io
import os
import stat
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nearstream.core.errors import Unusable
from nearstream.models.archives import Bounds, is_archive, unpack

WIDE = Bounds()
Entry = tuple[tarfile.TarInfo, bytes]


def entry(name: str, data: bytes = b"", **fields: Any) -> Entry:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data


def tar(path: Path, *entries: Entry, mode: Any = "w:gz") -> Path:
    with tarfile.open(path, mode) as file:
        for info, data in entries:
            file.addfile(info, io.BytesIO(data))
    return path


def zipped(path: Path, *entries: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in entries:
            file.writestr(name, data)
    return path


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_refused(archive: Path, said: str, bounds: Bounds = WIDE) -> None:
    """Refused with these words, and nothing is left of it."""
    place = archive.parent / "place"
    place.mkdir(exist_ok=True)
    with pytest.raises(Unusable, match=said):
        unpack(archive, place / "model", bounds=bounds)
    assert list(place.iterdir()) == []


WHOLE = {"serving.properties": b"engine=Python\n", "code/model.py": b"x = 1\n", "empty": b""}


@pytest.mark.parametrize("form", ["w:gz", "w", "zip", "pax", "gnu"])
def test_every_form_comes_out_as_it_went_in(tmp_path: Path, form: Any) -> None:
    path = tmp_path / "model"
    if form == "zip":
        zipped(path, *WHOLE.items())
    else:
        formats = {"pax": tarfile.PAX_FORMAT, "gnu": tarfile.GNU_FORMAT}
        long = "a" * 120 + "/" + "b" * 120
        with tarfile.open(path, "w:gz" if form in formats else form, format=formats.get(form)) as file:
            for name, data in {**WHOLE, long: b"long"}.items():
                file.addfile(entry(name, data)[0], io.BytesIO(data))
    unpack(path, tmp_path / "out")
    assert {name: data for name, data in files(tmp_path / "out").items() if len(name) < 100} == WHOLE


def test_what_the_tar_command_makes_is_taken(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "sub/model.bin").write_bytes(os.urandom(3_000_000))
    (source / "run.sh").write_text("true")
    (source / "run.sh").chmod(0o4777)
    subprocess.run(["tar", "-czf", tmp_path / "model.tar.gz", "-C", source, "."], check=True)
    unpack(tmp_path / "model.tar.gz", tmp_path / "out")
    assert files(tmp_path / "out") == files(source)
    assert stat.S_IMODE((tmp_path / "out/run.sh").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "out/sub/model.bin").stat().st_mode) == 0o600


def test_a_name_that_comes_twice_is_the_later_file(tmp_path: Path) -> None:
    unpack(tar(tmp_path / "t", entry("a", b"old"), entry("a", b"new!")), tmp_path / "out")
    assert files(tmp_path / "out") == {"a": b"new!"}


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (entry("../up", b"x"), r"'\.\./up' lies outside"),
        (entry("a/../../up", b"x"), "lies outside"),
        (entry("/etc/cron.d/x", b"x"), "'/etc/cron.d/x' lies outside"),
        (entry("..", type=tarfile.DIRTYPE), "lies outside"),
        (entry("l", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "'l' is a link"),
        (entry("l", type=tarfile.SYMTYPE, linkname="beside"), "'l' is a link"),
        (entry("h", type=tarfile.LNKTYPE, linkname="beside"), "'h' is a link"),
        (entry("d", type=tarfile.CHRTYPE, devmajor=1, devminor=3), "'d' is neither a file nor a folder"),
        (entry("b", type=tarfile.BLKTYPE), "'b' is neither"),
        (entry("f", type=tarfile.FIFOTYPE), "'f' is neither"),
        (entry("c", type=b"Z"), "'c' is neither"),
        (entry("n" * 5000, b"x"), "lies outside"),
        (entry("beside/x", b"x"), "cannot be unpacked"),
        (entry("beside", type=tarfile.DIRTYPE), "cannot be unpacked"),
    ],
)
def test_a_member_that_is_no_plain_file_within_is_refused_by_its_name(
    tmp_path: Path, made: Entry, said: str
) -> None:
    assert_refused(tar(tmp_path / "t.tar.gz", entry("beside", b"kept?"), made), said)


def test_a_link_does_not_lead_a_later_member_out(tmp_path: Path) -> None:
    out = entry("way", type=tarfile.SYMTYPE, linkname=str(tmp_path))
    assert_refused(tar(tmp_path / "t", out, entry("way/owned", b"x")), "'way' is a link")
    assert not (tmp_path / "owned").exists()


def test_a_sparse_file_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "holes").open("wb") as file:
        file.truncate(50_000_000)
        file.seek(40_000_000)
        file.write(b"x" * 4096)
    subprocess.run(["tar", "-czSf", "t.tar.gz", "holes"], cwd=tmp_path, check=True)
    assert_refused(tmp_path / "t.tar.gz", "'holes' is a sparse file")


def test_links_absolute_names_and_locks_in_a_zip_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    assert_refused(zipped(tmp_path / "a", (link, b"/etc/passwd")), "'link' is a link")
    assert_refused(zipped(tmp_path / "b", ("../x", b"")), "lies outside")
    assert_refused(zipped(tmp_path / "c", ("/x", b"")), "lies outside")
    locked = bytearray(zipped(tmp_path / "d", ("secret", b"x")).read_bytes())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        locked[locked.index(mark) + at] |= 1
    (tmp_path / "d").write_bytes(locked)
    assert_refused(tmp_path / "d", "'secret' is encrypted")


def test_too_many_members_too_much_in_all_and_bombs_are_refused(tmp_path: Path) -> None:
    many = tar(tmp_path / "many", *(entry(str(number)) for number in range(11)))
    assert_refused(many, "more than 10 members; '10'", Bounds(members=10))
    large = tar(tmp_path / "large", entry("a", b"x" * 600), entry("b", b"x" * 600))
    assert_refused(large, "'b' it unpacks to more", Bounds(total_bytes=1000))
    bomb = tmp_path / "bomb"
    with gzip.open(bomb, "wb") as file:
        info = tarfile.TarInfo("zeros")
        info.size = 200_000_000
        file.write(info.tobuf())
        for _ in range(200):
            file.write(bytes(1_000_000))
    assert_refused(bomb, "'zeros' it unpacks to more", Bounds(ratio=100))
    assert_refused(zipped(tmp_path / "zipbomb", ("z", bytes(110_000_000))), "'z'", Bounds(ratio=100))


def test_a_zip_that_lies_about_a_size_is_found_out(tmp_path: Path) -> None:
    data = bytearray(zipped(tmp_path / "z", ("a", b"x" * 5000)).read_bytes())
    for mark, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        start = data.index(mark) + at
        data[start : start + 4] = (10).to_bytes(4, "little")
    (tmp_path / "z").write_bytes(data)
    assert_refused(tmp_path / "z", "broken or cut short")


def test_a_head_of_gigabytes_is_not_held_in_memory(tmp_path: Path) -> None:
    bomb = tmp_path / "heads"
    with gzip.open(bomb, "wb", compresslevel=1) as file:
        info = tarfile.TarInfo("pax")
        info.type, info.size = tarfile.XHDTYPE, 10**12
        file.write(info.tobuf(tarfile.GNU_FORMAT))
        for _ in range(40):
            file.write(bytes(1_000_000))
    assert_refused(bomb, "a head in it does not end")


@pytest.mark.parametrize("form", ["gz", "tar", "zip"])
def test_half_a_file_is_told_and_leaves_nothing(tmp_path: Path, form: str) -> None:
    data = [entry("a", os.urandom(30_000)), entry("b", b"")]
    whole = tmp_path / "whole"
    if form == "zip":
        zipped(whole, *((info.name, body) for info, body in data))
    else:
        tar(whole, *data, mode="w:gz" if form == "gz" else "w")
    written = whole.read_bytes()
    cuts = [1, 3, 511, 512, 513, 15_000, 30_720 + 512, 30_720 + 1024, len(written) - 1, len(written) - 9]
    for cut in cuts:
        if form == "tar" and cut > 30_720 + 512:
            continue  # only padding is missing
        (tmp_path / "half").write_bytes(written[: min(cut, len(written) - 1)])
        assert_refused(tmp_path / "half", "half is (broken or cut short|empty)|cannot be unpacked")
    (tmp_path / "half").write_bytes(b"")
    assert_refused(tmp_path / "half", "is empty")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_anywhere_is_refused_or_harmless(tmp_path: Path, data: st.DataObject) -> None:
    """Whatever a byte becomes, nothing escapes the folder, and no other error comes out than ours."""
    written = bytearray(
        tar(tmp_path / "t", *(entry(n, d) for n, d in WHOLE.items()), mode="w").read_bytes()[:4096]
    )
    for _ in range(data.draw(st.integers(1, 4))):
        written[data.draw(st.integers(0, len(written) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "t").write_bytes(written)
    place = tmp_path / "place"
    before = set(tmp_path.iterdir()) | {place}
    try:
        unpack(tmp_path / "t", place / "model")
    except Unusable:
        assert not (place / "model").exists()
    else:
        subprocess.run(["rm", "-r", place / "model"], check=True)
    assert set(tmp_path.iterdir()) <= before and not list(place.glob("*"))


FULL = """
import resource, sys
from pathlib import Path
from nearstream.core.errors import Unusable
from nearstream.models.archives import unpack
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
try:
    unpack(Path(sys.argv[1]), Path(sys.argv[2]))
except Unusable as error:
    print(error)
"""


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    archive = tar(tmp_path / "t.tar.gz", entry("small", b"x"), entry("large", os.urandom(3_000_000)))
    (tmp_path / "place").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", FULL, archive, tmp_path / "place/model"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "t.tar.gz cannot be unpacked: File too large" in done.stdout, done.stderr
    assert list((tmp_path / "place").iterdir()) == []


def test_names_that_are_archives() -> None:
    assert (
        is_archive("m/model.tar.gz") and is_archive("A.TGZ") and is_archive("a.tar") and is_archive("a.zip")
    )
    assert not is_archive("m/") and not is_archive("model.safetensors") and not is_archive("x.gz")
