import pytest

from medfm_core.errors import InputError
from training.data.source_files import content_hash, content_size, fingerprint, source_files


def test_a_header_brings_its_data(tmp_path):
    (tmp_path / "a.mhd").write_text("ObjectType = Image\nElementDataFile = voxels.raw\n")
    with pytest.raises(InputError, match=r"voxels\.raw, which is not there"):
        source_files(tmp_path / "a.mhd")
    (tmp_path / "voxels.raw").write_bytes(b"1")
    before = content_hash(source_files(tmp_path / "a.mhd"))
    (tmp_path / "voxels.raw").write_bytes(b"2")
    assert content_hash(source_files(tmp_path / "a.mhd")) != before
    (tmp_path / "b.nhdr").write_text("NRRD0004\ntype: short\ndata file: voxels.raw\n")
    assert [p.name for p in source_files(tmp_path / "b.nhdr")] == ["b.nhdr", "voxels.raw"]
    (tmp_path / "c.mhd").write_text("ElementDataFile = LOCAL\n")
    assert len(source_files(tmp_path / "c.mhd")) == 1
    for name in ("d.hdr", "d.img"):
        (tmp_path / name).write_bytes(name.encode())
    assert {p.name for p in source_files(tmp_path / "d.img")} == {"d.hdr", "d.img"}


def test_a_folder_is_known_by_its_files_whatever_they_are_called(tmp_path):
    for folder, names in (("one", "ab"), ("two", "yx")):
        (tmp_path / folder).mkdir()
        for name, data in zip(names, ("first", "second"), strict=True):
            (tmp_path / folder / name).write_text(data)
    files = [source_files(tmp_path / folder) for folder in ("one", "two")]
    assert content_hash(files[0]) == content_hash(files[1])
    assert content_size(files[0]) == content_size(files[1]) == (5, 6)
    assert fingerprint(files[0]) != fingerprint(files[1])
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="holds no files"):
        source_files(tmp_path / "none")
    with pytest.raises(InputError, match="cannot read"):
        content_hash([tmp_path / "gone"])
