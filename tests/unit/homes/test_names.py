"""Every name gets a directory of its own below the homes' root, or is refused by name."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest
from berth_names import MAX_NAME_LENGTH, check_name, directory_name
from hypothesis import assume, example, given
from hypothesis import strategies as st

ROOT = Path("/srv/berth/homes")

anything = st.text(st.characters(), max_size=MAX_NAME_LENGTH + 5)
plain = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,62}", fullmatch=True)
hashed = st.from_regex(r"[a-z0-9-]{0,32}--[0-9a-f]{16}", fullmatch=True)
nasty = st.sampled_from(
    ["..", ".", "../x", "a/../b", "/etc", "..\\x", "~", "-rf", ".hidden", "a\0b", "a\nb", "con", "*", "a b"]
)
names = st.one_of(anything, plain, hashed, nasty)


def directory_or_none(name: str) -> str | None:
    try:
        return directory_name(name)
    except ValueError:
        return None


@given(names)
def test_a_directory_is_one_safe_name_below_the_root(name: str) -> None:
    directory = directory_or_none(name)
    assume(directory is not None)
    assert directory is not None
    assert re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,62}", directory)
    assert (ROOT / directory).resolve().parent == ROOT
    assert not directory.startswith(".")


@given(names, names)
@example("Alice", "alice")
@example("alice--0123456789abcdef", "alice")
@example("é", "e\u0301")
@example("straße", "strasse")
@example("a" * 255, "a" * 254)
def test_two_names_never_share_a_directory(one: str, other: str) -> None:
    assume(one != other)
    first, second = directory_or_none(one), directory_or_none(other)
    assume(first is not None)
    assert first != second


@given(names)
def test_nobody_can_be_named_like_the_directory_of_another(name: str) -> None:
    """Who registers under the name of another's directory gets one of their own."""
    directory = directory_or_none(name)
    assume(directory is not None and directory != name)
    assert directory is not None
    assert directory_name(directory) != directory


@given(names, names)
def test_no_two_directories_differ_only_where_a_file_system_may_not_tell(one: str, other: str) -> None:
    first, second = directory_or_none(one), directory_or_none(other)
    assume(first is not None and second is not None and first != second)
    assert first is not None
    assert second is not None
    assert first.casefold() != second.casefold()
    assert unicodedata.normalize("NFKD", first) != unicodedata.normalize("NFKD", second)


@given(names)
def test_a_name_has_the_same_directory_each_time(name: str) -> None:
    assert directory_or_none(name) == directory_or_none(name)


@pytest.mark.parametrize("name", ["alice", "a", "alice.smith", "al-ice_2", "0", "a" * 63])
def test_plain_names_stand_for_themselves(name: str) -> None:
    assert directory_name(name) == name


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("alice@example.org", "alice-example-org--"),
        ("Alice", "alice--"),
        ("größe", "gr-e--"),
        ("日本", "user--"),
        ("a" * 255, "a" * 32 + "--"),
        ("-rf", "rf--"),
        (".hidden", "hidden--"),
        ("alice--0123456789abcdef", "alice-0123456789abcdef--"),
    ],
)
def test_other_names_can_still_be_recognised(name: str, start: str) -> None:
    assert re.fullmatch(re.escape(start) + "[0-9a-f]{16}", directory_name(name))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "1 to 255 characters, this one 0"),
        ("a" * 256, "1 to 255 characters, this one 256"),
        (".", "'.' is not a user name"),
        ("..", "'..' is not a user name"),
        ("a/b", "user name 'a/b' holds a \"/\""),
        ("a`b", "user name 'a`b' holds"),
        (" a", "' a' starts or ends with white space"),
        ("a\u3000", "'a\\u3000' starts or ends with white space"),
        ("a\nb", "'a\\nb' holds a control character"),
        ("a\0b", "'a\\x00b' holds a control character"),
        ("a\x7fb", "'a\\x7fb' holds a control character"),
        ("a\u2028b", "'a\\u2028b' holds a control character"),
        ("a\ud800b", "'a\\ud800b' holds a control character"),
    ],
)
def test_bad_names_are_refused_by_name(name: str, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)):
        check_name(name)
    with pytest.raises(ValueError, match=re.escape(why)):
        directory_name(name)
