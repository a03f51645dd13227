"""Every function: what it gives, and what it says of arguments it cannot use."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.server.jobspec.evaluation import evaluated, good, wrong
from yurt.server.jobspec.calls import _LAZY
from yurt.server.jobspec.functions.registry import FUNCTIONS

VALUES: list[tuple[str, Any]] = [
    ("abs(-4.5)", 4.5), ("ceil(1.2)", 2), ("floor(-1.2)", -2), ("log(100, 10)", 2), ("max(3, 9)", 9), ("min(3, \"1\")", 1),
    ('parseint("-101", 2)', -5), ('parseint("fF", 16)', 255), ("pow(2, -1)", 0.5), ("signum(-9)", -1),
    ('base64encode("é")', "w6k="), ('base64decode("w6k=")', "é"), ('chomp("a\\r\\n")', "a"), ('indent(2, "a\\n\\nb")', "a\n  \n  b"),
    ('join(",", ["a"], ["b", 1])', "a,b,1"), ('lower("ÉA")', "éa"), ('upper("éß")', "Éß"), ('title("it\'s a")', "It'S A"),
    ('replace("a.a", ".", "-")', "a-a"), ('regex_replace("aXbX", "X(.)?", "<$1>")', "a<b><>"),
    ('regex_replace("abc", "(?P<x>b)", "${x}")'.replace("${", "$${"), "abc"), ('reverse("añ")', "ña"), ('strrev("ab")', "ba"),
    ('split(",", "")', [""]), ('split(",", "a,b")', ["a", "b"]), ('strlen("👨‍👩‍👧é")', 2), ('substr("hello", -3, 2)', "ll"),
    ('substr("hello", 1, -1)', "ello"), ('trim("xxaxx", "x")', "a"), ('trimprefix("aab", "a")', "ab"), ('trimsuffix("abb", "b")', "ab"),
    ('trimspace("\\t a \\n")', "a"), ("chunklist([1, 2, 3], 2)", [[1, 2], [3]]), ("chunklist([1], 0)", [[1]]),
    ('coalesce("", "b")', ""), ('coalesce(null, "b")', "b"), ("coalescelist([], [1])", [1]), ('compact(["a", "", null])', ["a"]),
    ('concat([], [1], ["a"])', [1, "a"]), ('contains(["1"], 1)', False), ('distinct([1, "1"])', ["1"]), ('distinct(["b", "a", "b"])', ["b", "a"]),
    ('element(["a", "b", "c"], -1)', "c"), ("flatten([[1], [[2], 3], []])", [1, 2, 3]), ("index([5, 6], 1)", 6), ('index({ a = 1 }, "a")', 1),
    ("keys({ z = 1, a = 2 })", ["a", "z"]), ("values({ z = 1, a = 2 })", [2, 1]), ("length([1, 2])", 2),
    ('lookup({ a = "1" }, "b", "0")', "0"), ("merge({ a = 1 }, null, { a = { b = 2 } })", {"a": {"b": 2}}), ("merge()", {}),
    ("range(3)", [0, 1, 2]), ("range(3, 0)", [3, 2, 1]), ("range(5, 1, -2)", [5, 3]), ("range(0, 1, 0.5)", [0, 0.5]),
    ('setunion(["a"], [1])', ["1", "a"]), ('setintersection(["a", "b"], ["b"])', ["b"]), ('setproduct(["a"], [1, 2])', [["a", 1], ["a", 2]]),
    ('slice(["a", "b", "c"], 1, 3)', ["b", "c"]), ('sort(["b", "A", 1])', ["1", "A", "b"]), ('zipmap(["a"], [1])', {"a": 1}),
    ('cidrhost("10.12.112.0/20", -1)', "10.12.127.255"), ('cidrnetmask("2001:db8::/32")', "ffff:ffff::"),
    ('cidrsubnet("10.1.0.0/16", 8, 2)', "10.1.2.0/24"), ('cidrsubnets("10.1.0.0/16", 4, 4, 8)', ["10.1.0.0/20", "10.1.16.0/20", "10.1.32.0/24"]),
    ('timeadd("2020-01-31T00:00:00Z", "-48h")', "2020-01-29T00:00:00Z"),
    ('formatdate("EEEE, D MMMM YY HH:mm:ss aa ZZZZZ \'o\'\'clock\'", "2018-01-02T23:12:01-07:00")', "Tuesday, 2 January 18 11:12:01 pm -07:00 o'clock"),
    ('jsonencode({ b = "<&>", a = [1, null, true] })', '{"a":[1,null,true],"b":"\\u003c\\u0026\\u003e"}'),
    ('jsondecode("{\\"a\\":[1,2.5,null]}")', {"a": [1, 2.5, None]}), ('csvdecode("a,b\\n1,\\"x,y\\"\\n")', [{"a": "1", "b": "x,y"}]),
    ('urlencode("a b&~é")', "a+b%26~%C3%A9"), ('md5("a")', "0cc175b9c0f1b6a831c399e269772661"), ('uuidv5("dns", "example.com")', "cfbff0d1-9375-5685-968c-48ce8b15ae17"),
    ('format("%v %s %q %d %5.1f|%-4s|%04d %x %X %b %o %t %% %#v %e", "a", 1, "b", 7.9, 2.25, "é", -3, 255, "hi", 5, 8, true, [1], 1500)', 'a 1 "b" 7   2.2|é   |-003 ff 6869 101 10 true % [1] 1.500000e+03'),
    ('format("%[2]s %[1]s", "a", "b")', "b a"), ('formatlist("%s-%s", ["a", "b"], "c")', ["a-c", "b-c"]), ('formatlist("%s", [])', []),
    ('yamlencode({ a = [1, "x: y", { b = null, c = [] }], z = {} })', '"a":\n- 1\n- "x: y"\n- "b": null\n  "c": []\n"z": {}\n'), ('yamlencode("x")', '"x"\n'),
]  # fmt: skip


@pytest.mark.parametrize(("source", "wanted"), VALUES)
def test_results(source: str, wanted: Any) -> None:
    assert good(source) == wanted


ERRORS = [
    ("length({ a = 1 })", 'Call to function "length" failed: collection must be a list, a map or a tuple.'),
    ('format("%z", 1)', "unsupported format verb 'z' in \"%z\" at offset 0."),
    ('format("%s", "a", "b")', 'Invalid value for "args" parameter: too many arguments; only 1 used by format string.'),
    ('format("%s%s", 1)', 'not enough arguments for "%s" at 2: need index 2 but have 1 total.'),
    ('format("%d", "x")', 'unsupported value for "%d" at 0: a number is required.'),
    ('timeadd("x", "1h")', 'not a valid RFC3339 timestamp: cannot use "x" as year.'),
    ('timeadd("2020-01-01T00:00:00Z", "5 minutes")', 'time: unknown unit " minutes" in duration "5 minutes".'),
    ('formatdate("Q", "2020-01-01T00:00:00Z")', 'invalid date format verb "Q"'),
    ('csvdecode("a,b\\n1\\n")', "CSV parse error on line 2: wrong number of fields."),
    ('csvdecode("a,a\\n")', 'duplicate column name "a".'),
    ('jsondecode("nope")', "invalid character 'o'."),
    ('base64decode("*")', "failed to decode base64 data"),
    ('parseint("9", 8)', 'Invalid value for "number" parameter: cannot parse "9" as a base 8 integer.'),
    ('element([], 0)', "cannot use element function with an empty list."),
    ("max()", "must pass at least one number."),
    ("range(1, 2, 0)", "step must not be zero."),
    ("slice([1], 0, 2)", 'Invalid value for "end_index" parameter: end index must not be greater than the length of the list.'),
    ('cidrhost("x", 1)', "invalid CIDR expression: invalid CIDR address: x."),
    ('cidrsubnet("10.0.0.0/30", 4, 1)', "insufficient address space to extend prefix of 30 by 4."),
    ('regex_replace("a", "(", "")', "error parsing regexp:"),
    ('merge({}, [])', "arguments must be maps or objects, got \"tuple\"."),
    ('uuidv5("nope", "x")', "uuidv5() doesn't support namespace nope"),
    ('rsadecrypt("aGk=", "no key")', "failed to parse key: no key found."),
    ("bcrypt(\"x\", 32)", "cost 32 is outside allowed inclusive range 4..31."),
    ("coalesce(null)", "no non-null arguments."),
    ("try(local.a)", "no expression succeeded:\n- Unsupported attribute (at f:1,10-12)"),
    ('yamldecode("a: [1")', "did not find expected"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "wanted"), ERRORS)
def test_what_is_wrong(source: str, wanted: str) -> None:
    assert wanted in wrong(source)


def test_all_documented_functions_are_there() -> None:
    names = """abs base64decode base64encode bcrypt can ceil chomp chunklist cidrhost cidrnetmask cidrsubnet cidrsubnets
    coalesce coalescelist compact concat contains convert csvdecode distinct element flatten floor format formatdate
    formatlist indent index join jsondecode jsonencode keys length log lookup lower max md5 merge min parseint pow range
    regex_replace replace reverse rsadecrypt setintersection setproduct setunion sha1 sha256 sha512 signum slice sort
    split strlen strrev substr timeadd title trim trimprefix trimspace trimsuffix try upper urlencode uuidv4 uuidv5
    values yamldecode yamlencode zipmap abspath basename dirname file filebase64 fileexists fileset pathexpand"""
    assert sorted([*FUNCTIONS, *_LAZY]) == sorted(names.split())


def test_random_ones_differ_and_have_the_right_shape() -> None:
    assert len(good("uuidv4()")) == 36 and good("uuidv4()") != good("uuidv4()")
    assert good('bcrypt("x", 4)').startswith("$2a$04$") and len(good('bcrypt("x", 4)')) == 60


def test_files_are_read_where_that_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "a.txt").write_text("hi")
    (tmp_path / "d" / "b.txt").write_text("ho")

    def value(source: str) -> Any:
        return evaluated(source.replace("DIR", str(tmp_path)), reads_files=True)[0]

    assert value('file("DIR/a.txt")') == "hi" and value('filebase64("DIR/a.txt")') == "aGk="
    assert value('[fileexists("DIR/a.txt"), fileexists("DIR/no")]') == [True, False]
    assert value('fileset("DIR", "**/*.txt")') == ["a.txt", "d/b.txt"] and value('fileset("DIR", "*.txt")') == ["a.txt"]
    assert value('[basename("a/b"), dirname("a/b"), dirname("a")]') == ["b", "a", "."]
    assert "no file exists at" in evaluated('file("nope")', reads_files=True)[1][0]
    assert evaluated('basename("a/b")')[1] == [
        '1,1-10: Error in function call; Call to function "basename" failed: filesystem function disabled.'
    ]


def test_an_encrypted_text_is_decrypted(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    made = subprocess.run(["openssl", "genrsa", "-out", str(key), "1024"], capture_output=True)
    if made.returncode:
        pytest.skip("no openssl here")
    subprocess.run(
        ["openssl", "rsa", "-in", str(key), "-pubout", "-out", str(key) + ".pub"], check=True, capture_output=True
    )
    done = subprocess.run(
        ["openssl", "pkeyutl", "-encrypt", "-pubin", "-inkey", str(key) + ".pub"], input=b"secret", check=True, capture_output=True,
    )  # fmt: skip
    text = base64.b64encode(done.stdout).decode()
    assert evaluated(f'rsadecrypt("{text}", file("{key}"))', reads_files=True) == ("secret", [])


YAML: list[tuple[str, Any]] = [
    ("a: 1\nb:\n- x\n- y: z\n  w: [1, {q: r}]\nc:\n  d: 'it''s'\n", {"a": 1, "b": ["x", {"y": "z", "w": [1, {"q": "r"}]}], "c": {"d": "it's"}}),
    ("- 0x1F\n- 010\n- 1_000\n- 1.50\n- ~\n- no\n- On\n- 2020-01-01\n- 2020-01-01T01:02:03+01:00\n", [31, 8, 1000, 1.5, None, False, True, "2020-01-01T00:00:00Z", "2020-01-01T01:02:03+01:00"]),
    ("t: |\n  a\n   b\n\n  c\nu: >-\n  a\n  b\n\n  c\nv: |+\n  x\n\n", {"t": "a\n b\n\nc\n", "u": "a b\nc", "v": "x\n\n"}),
    ("# c\n---\na: &x {k: v} # d\nb: *x\n", {"a": {"k": "v"}, "b": {"k": "v"}}),
    ('"q k": "a\\tb\\u00e9"\n', {"q k": "a\tbé"}), ("plain words", "plain words"), ("", None), ("- - 1\n  - 2\n- 3\n", [[1, 2], 3]),
    ("url: http://x:80/a#b\n", {"url": "http://x:80/a#b"}), ("a:\n  b:\n    - 1\n  c: 2\n", {"a": {"b": [1], "c": 2}}),
    ("{a: [], b: {}, \"c\": 'd'}", {"a": [], "b": {}, "c": "d"}), ("a: x\n  y\n", {"a": "x y"}),
]  # fmt: skip


@pytest.mark.parametrize(("document", "wanted"), YAML)
def test_yaml_is_read(document: str, wanted: Any) -> None:
    assert good(f"yamldecode({json.dumps(document, ensure_ascii=False)})") == wanted
