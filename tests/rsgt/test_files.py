"""Results are written whole or not at all, and what is not ours stays."""

import os
import stat

import pytest

from rsgt.files import remove_leftovers, replacing, write_csv, write_text


def test_a_failure_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def fail():
        with replacing(path) as aside:
            aside.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert path.read_text() == "old"
    assert [*tmp_path.iterdir()] == [path]


def test_what_is_another_s_stays(tmp_path):
    """Whatever lies beside, also under a name that looks like a temporary one."""
    (tmp_path / "a.txt.tmp").mkdir()
    (tmp_path / "a.txt.tmp" / "mine").write_text("mine")
    (tmp_path / ".a.txt.notes.tmp").write_text("mine")
    write_text(tmp_path / "a.txt", "new")
    remove_leftovers(tmp_path / "a.txt")
    assert (tmp_path / "a.txt.tmp" / "mine").read_text() == "mine"
    assert (tmp_path / ".a.txt.notes.tmp").exists()


def test_what_a_killed_process_left_goes(tmp_path):
    left = tmp_path / ".a.txt.0123abcd.tmp"
    left.write_text("half")
    remove_leftovers(tmp_path / "a.txt")
    assert not left.exists()


def test_a_link_is_written_to_where_it_leads(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "real.txt")
    write_text(tmp_path / "link", "text")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "text"


def test_what_is_no_file_is_written_to_directly(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_text(pipe, "text")
        assert os.read(reader, 10) == b"text"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_folder_is_named(tmp_path):
    with pytest.raises(IsADirectoryError, match="expected a file"):
        write_text(tmp_path, "text")


def test_rows_with_columns_of_their_own(tmp_path):
    write_csv(tmp_path / "a.csv", [{"a": 1}, {"a": 2, "b": 3}])
    assert (tmp_path / "a.csv").read_text() == "a,b\n1,\n2,3\n"
