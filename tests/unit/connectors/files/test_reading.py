"""Files that somebody made: encodings, marks, delimiters, and rows that cannot be read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from headwater.connectors.files.detecting import delimiter_of, encoding_of
from headwater.connectors.files.reading import Bad, Good, layout_of, read_rows
from headwater.kernel.errors import InvalidInput

GERMAN = "id;name;city\n1;Jörg Müßig;Köln\n2;Änne Öztürk;Düsseldorf\n" + "3;Günther Weiß;Nürnberg\n" * 20
POLISH = "id,name,city\n1,Łukasz Żółć,Łódź\n2,Święcka Gęśla,Gdańsk\n" + "3,Jaźń Ćma,Kraków\n" * 20
JAPANESE = "id,name,note\n1,山田太郎,見積もりをお送りください\n2,鈴木花子,来週お電話します\n3,佐藤一郎,メールで連絡してください\n"
FRENCH = "id,name,city\n1,André Lefèvre,Orléans\n2,Françoise Maître,Besançon\n"
RUSSIAN = "id,name,note\n1,Иван Петров,просит перезвонить\n2,Ольга Смирнова,выслать предложение\n"


def a_file(folder: Path, content: bytes, name: str = "people.csv") -> Path:
    """Write a file."""
    file = folder / name
    file.write_bytes(content)
    return file


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (GERMAN, "utf-8"),
        (GERMAN, "utf-8-sig"),
        (GERMAN, "utf-16"),
        (GERMAN, "utf-32"),
        (GERMAN, "cp1252"),
        (POLISH, "cp1250"),
        (FRENCH, "cp1252"),
        (RUSSIAN, "cp1251"),
        (JAPANESE, "shift_jis"),
        (JAPANESE, "utf-8"),
    ],
)
def test_text_is_read_whatever_it_is_encoded_in(tmp_path: Path, text: str, encoding: str) -> None:
    """Marks are taken away, code pages found out; every cell comes as it was meant."""
    file = a_file(tmp_path, text.encode(encoding))
    rows = list(read_rows(file, layout_of(file)))
    expected = [line.replace(";", ",").split(",") for line in text.splitlines()[1:]]
    assert [list(row.record.values()) for row in rows if isinstance(row, Good)] == expected


def test_one_odd_letter_far_down_is_seen(tmp_path: Path) -> None:
    """A head of plain ASCII says nothing: what stands around the first odd byte decides."""
    plain = "id,name\n" + "1,Smith\n" * 20_000
    file = a_file(tmp_path, (plain + "2,Müller aus Köln\n3,Größe\n" * 30).encode("cp1252"))
    assert encoding_of(file).how == "detected"
    rows = list(read_rows(file, layout_of(file)))
    assert [row.record["name"] for row in rows[-2:] if isinstance(row, Good)] == ["Müller aus Köln", "Größe"]


def test_a_letter_split_between_two_chunks_is_no_fault(tmp_path: Path) -> None:
    """UTF-8 is looked at as a stream."""
    file = a_file(tmp_path, b"id\n" + b"x" * ((1 << 20) - 4) + "é\n".encode())
    assert encoding_of(file).encoding == "utf-8"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_out(delimiter: str) -> None:
    """Also where cells hold the others, in quotes or not."""
    lines = [
        delimiter.join(("id", "name", "note")) + "\n",
        delimiter.join(("1", '"a, b; c | d"', "x")) + "\n",
        delimiter.join(("2", "e", '"f, g"')) + "\n",
    ]
    assert delimiter_of(lines) == delimiter


def test_one_column_is_read_by_the_comma() -> None:
    """Nothing to separate."""
    assert delimiter_of(["id\n", "1\n"]) == ","


def test_bad_rows_are_told_by_number_and_reason_and_the_rest_is_read(tmp_path: Path) -> None:
    """Too many cells, too few, a cell beyond any bound; quoted line ends are no new rows; empty lines none at all."""
    text = f'id,name\n1,A\n2\n3,B,more\n\n4,"two\nlines"\n5,{"x" * 200_000}\n6,C\n'
    file = a_file(tmp_path, text.encode())
    rows = list(read_rows(file, layout_of(file)))
    told = [(row.number, row.reason if isinstance(row, Bad) else row.record["id"]) for row in rows]
    assert told == [
        (1, "1"),
        (2, "too_few_cells"),
        (3, "too_many_cells"),
        (4, "4"),
        (5, "bad_csv"),
        (6, "6"),
    ]


def test_bytes_that_are_no_text_spoil_their_row_only(tmp_path: Path) -> None:
    """An encoding that was told is believed; what does not fit it is shown as escapes."""
    file = a_file(tmp_path, b"id,name\n1,A\n2,\xff\xfe\n3,C\n")
    good, bad, last = read_rows(file, layout_of(file, encoding="utf-8"))
    assert isinstance(good, Good)
    assert isinstance(last, Good)
    assert isinstance(bad, Bad)
    assert (bad.number, bad.reason) == (2, "bad_text")
    assert bad.raw.isprintable()


def test_json_lines_that_are_none_are_told(tmp_path: Path) -> None:
    """Broken JSON, a list, nesting without end; the rest is read."""
    deep = "[" * 100_000
    file = a_file(tmp_path, f'{{"id": 1}}\n{{"id": \n[1]\n\n{deep}\n{{"id": 2}}\n'.encode(), "people.jsonl")
    rows = list(read_rows(file, layout_of(file)))
    assert [row.reason if isinstance(row, Bad) else row.record["id"] for row in rows] == [
        1,
        "bad_json",
        "bad_json",
        "bad_json",
        2,
    ]


@pytest.mark.parametrize("header", ["", "id,id\n", "id,,name\n"])
def test_a_header_that_cannot_be_trusted_refuses_the_file(tmp_path: Path, header: str) -> None:
    """None, a name twice, an empty name: a wrong column would be recorded in every row."""
    file = a_file(tmp_path, (header + "1,2,3\n").encode() if header else b"")
    with pytest.raises(InvalidInput):
        list(read_rows(file, layout_of(file)))


def test_a_file_of_unknown_kind_asks_for_it(tmp_path: Path) -> None:
    """A name that says nothing needs --format."""
    with pytest.raises(InvalidInput, match="--format"):
        layout_of(a_file(tmp_path, b"x", "people.dat"))


def test_a_hundred_thousand_rows_are_read_one_by_one(tmp_path: Path) -> None:
    """The whole file, in a few seconds at most; the reader holds no row back."""
    lines = "".join(f"{number},Name {number},n{number}@example.org\n" for number in range(100_000))
    file = a_file(tmp_path, ("id,name,email\n" + lines).encode())
    rows = read_rows(file, layout_of(file))
    assert next(iter(rows)).number == 1
    assert sum(1 for _ in rows) == 99_999


def test_odd_values_survive(tmp_path: Path) -> None:
    """What JSON can say, a record holds."""
    record = {"id": "1", "name": 'Zoë 🦉 "q" \\ \n', "n": 1.5, "tags": ["a"], "none": None}
    file = a_file(tmp_path, json.dumps(record).encode(), "one.ndjson")
    [row] = read_rows(file, layout_of(file))
    assert isinstance(row, Good)
    assert row.record == record
