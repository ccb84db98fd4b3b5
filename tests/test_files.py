"""Files and folders are replaced whole or not at all, and a folder has one writer."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from minbert.errors import RunError
from minbert.files import (
    check_place,
    make_folder,
    one_writer,
    recover_folder,
    replacing,
    replacing_folder,
    write_text,
)
from minbert.pretrained import write_weights

# Holds the folder given as argument until it is killed.
HOLDER = """
import sys, time
from pathlib import Path
from minbert.files import one_writer
with one_writer(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""
# Replaces the folder given as argument and dies just before the rename whose number is given.
KILLED = """
import os, sys
from pathlib import Path
from minbert.files import replacing_folder
renames, rename = 0, Path.rename
def counted(self, target):
    global renames
    renames += 1
    if renames == int(sys.argv[2]):
        os._exit(9)
    return rename(self, target)
Path.rename = counted
with replacing_folder(Path(sys.argv[1])) as fresh:
    (fresh / "model").write_text("new")
"""


class Stop(BaseException):
    """Stands for Ctrl-C: no ordinary exception."""


def write_half(file: Path, fault: type[BaseException]) -> None:
    file.write_text("half of the ne")
    raise fault


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def content(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_replacing_writes_a_file_and_makes_its_folder(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "file.bin"
    for text in ("one", "two"):
        with replacing(target) as temporary:
            assert temporary.parent == target.parent
            temporary.write_text(text)
        assert target.read_text() == text
        assert names(target.parent) == ["file.bin"]


@pytest.mark.parametrize("fault", [ValueError, KeyboardInterrupt, Stop])
@pytest.mark.parametrize("before", [None, "old"])
def test_replacing_keeps_the_old_file_when_the_block_fails(
    tmp_path: Path, fault: type[BaseException], before: str | None
) -> None:
    target = tmp_path / "file"
    if before is not None:
        target.write_text(before)
    with pytest.raises(fault), replacing(target) as temporary:
        write_half(temporary, fault)
    assert content(tmp_path) == ({} if before is None else {"file": before})


def test_two_writers_of_one_file_do_not_mix(tmp_path: Path) -> None:
    target = tmp_path / "file"
    with replacing(target) as one, replacing(target) as two:
        assert one != two
        one.write_text("one")
        two.write_text("two")
    assert target.read_text() == "one", "the block that ends last wins"
    assert names(tmp_path) == ["file"]


def test_text_is_utf8_with_plain_newlines(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "naïve – “ok”\r\nnext\n")
    assert (tmp_path / "file").read_bytes() == "naïve – “ok”\r\nnext\n".encode()


@pytest.mark.skipif(os.name != "posix", reason="permission bits are a matter of POSIX systems")
@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_permissions_are_those_of_a_normal_file(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        (tmp_path / "normal").write_text("x")
        (tmp_path / "folder").mkdir()
        write_text(tmp_path / "ours", "x")
        with replacing_folder(tmp_path / "our-folder") as fresh:
            (fresh / "deep").mkdir()
            write_weights({"a": torch.zeros(2)}, fresh / "deep" / "weights")
    finally:
        os.umask(before)
    for ours in (tmp_path / "ours", tmp_path / "our-folder" / "deep" / "weights"):
        assert ours.stat().st_mode == (tmp_path / "normal").stat().st_mode
    assert (tmp_path / "our-folder").stat().st_mode == (tmp_path / "folder").stat().st_mode


def test_replacing_a_folder_leaves_nothing_of_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "best"
    for version in ("one", "two"):
        with replacing_folder(target) as fresh:
            (fresh / version).mkdir()
            (fresh / version / "model").write_text(version)
        assert content(target) == {f"{version}/model": version}
        assert names(target.parent) == ["best"]


@pytest.mark.parametrize("fault", [ValueError, KeyboardInterrupt, Stop])
@pytest.mark.parametrize("before", [{}, {"model": "old"}])
def test_replacing_a_folder_keeps_the_old_one_when_the_block_fails(
    tmp_path: Path, fault: type[BaseException], before: dict[str, str]
) -> None:
    target = tmp_path / "best"
    for name, text in before.items():
        target.mkdir()
        (target / name).write_text(text)
    with pytest.raises(fault), replacing_folder(target) as fresh:
        write_half(fresh / "model", fault)
    assert content(tmp_path) == {f"best/{name}": text for name, text in before.items()}


def test_a_failing_second_rename_puts_the_old_folder_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, rename = tmp_path / "best", Path.rename
    target.mkdir()
    (target / "model").write_text("old")

    def refuse_the_new(self: Path, to: Path) -> Path:
        if self.name == ".best.new":
            raise OSError(errno.EIO, "the disk is broken")
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", refuse_the_new)
    message = "best cannot be written: the disk is broken; choose another place"
    with pytest.raises(RunError, match=message), replacing_folder(target) as fresh:
        (fresh / "model").write_text("new")
    assert content(tmp_path) == {"best/model": "old"}


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "make room, or choose another place"),
        (errno.EDQUOT, "make room, or choose another place"),
        (errno.EROFS, "choose another place"),
        (errno.ENAMETOOLONG, "choose another place"),
    ],
)
@pytest.mark.parametrize("write", [lambda target: write_text(target, "x"), make_folder])
def test_what_the_system_refuses_is_said_with_what_may_help(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, remedy: str, write: Callable[[Path], None]
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(number, os.strerror(number))

    for name in ("mkdir", "touch"):
        monkeypatch.setattr(Path, name, refuse)
    with pytest.raises(RunError) as refused:
        write(tmp_path / "x")
    assert str(refused.value).endswith(f" cannot be written: {os.strerror(number)}; {remedy}")


def test_a_place_that_cannot_be_written_is_refused_before_it_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("x")
    for target, reason in {
        tmp_path / "file" / "run": f"{tmp_path / 'file'} is a file, not a folder",
        tmp_path / "new" / "run": f"no permission in {tmp_path}",
    }.items():
        monkeypatch.setattr(os, "access", lambda *_: False)
        with pytest.raises(RunError) as refused:
            check_place(target)
        assert str(refused.value) == f"{target} cannot be written: {reason}; choose another place"


@pytest.mark.parametrize("rename", [1, 2])
def test_a_kill_at_either_rename_loses_nothing(tmp_path: Path, rename: int) -> None:
    target = tmp_path / "best"
    target.mkdir()
    (target / "model").write_text("old")
    killed = subprocess.run([sys.executable, "-c", KILLED, target, str(rename)], check=False, timeout=60)
    assert killed.returncode == 9
    assert target.exists() == (rename == 1), "the second rename leaves the moment that recover_folder mends"
    recover_folder(target)
    assert content(tmp_path) == {"best/model": "old"}
    assert names(tmp_path) == ["best"]


@pytest.mark.parametrize("lone", [True, False])
def test_recovering_a_sound_or_absent_folder_changes_nothing(tmp_path: Path, lone: bool) -> None:
    target = tmp_path / "best"
    if not lone:
        target.mkdir()
        (target / "model").write_text("x")
    recover_folder(target)
    assert content(tmp_path) == ({} if lone else {"best/model": "x"})


def test_the_next_writer_recovers_before_it_writes(tmp_path: Path) -> None:
    """Else a failing block would lose the folder that the killed one had moved aside."""
    (tmp_path / ".best.old").mkdir()
    (tmp_path / ".best.old" / "model").write_text("old")
    (tmp_path / ".best.new").mkdir()
    with pytest.raises(ValueError, match="stop"), replacing_folder(tmp_path / "best"):
        raise ValueError("stop")
    assert content(tmp_path) == {"best/model": "old"}


def test_what_a_kill_left_beside_a_whole_folder_is_no_hindrance(tmp_path: Path) -> None:
    """A kill while the old folder is being cleared leaves a part of it beside the new one."""
    for name in ("best", ".best.old", ".best.new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model").write_text(name)
    with replacing_folder(tmp_path / "best") as fresh:
        (fresh / "model").write_text("newer")
    assert content(tmp_path) == {"best/model": "newer"}
    assert names(tmp_path) == ["best"]


def test_a_second_writer_is_refused_until_the_first_ends_or_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RunError) as refused, one_writer(tmp_path):
            pass
        holder.kill()
        holder.wait(60)
    assert str(refused.value) == (f"{tmp_path} is in use by another process; wait for it, or write to another folder")
    for _ in range(2):  # the lock's file may stay; the lock does not
        with one_writer(tmp_path):
            pass


def test_the_lock_is_freed_when_the_block_fails(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="stop"), one_writer(tmp_path):
        raise ValueError("stop")
    with one_writer(tmp_path), pytest.raises(RunError, match="in use"), one_writer(tmp_path):
        pass


def test_folders_are_locked_one_by_one(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with one_writer(tmp_path / "one"), one_writer(tmp_path / "two"):
        assert content(tmp_path / "one").keys() <= {".lock"}
